//! The list of browser origins that may call (the Fetch standard's serialised origins).

use std::net::Ipv6Addr;

/// Which origins may call.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllowedOrigins {
    exact: Vec<String>,
    any: bool,
}

/// Why an origin is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OriginRule {
    /// It is named: it is echoed, and credentials are allowed.
    Named,
    /// `*` is named: `*` is the answer, without credentials.
    Any,
}

/// An entry of the list is not an origin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cors.allowedOrigins[{index}]: write an origin as a browser sends it, scheme://host or \
     scheme://host:port with no path behind it, or null, or *"
)]
pub(crate) struct InvalidOrigin {
    index: usize,
}

impl AllowedOrigins {
    /// Checks the configured list.
    ///
    /// # Errors
    /// [`InvalidOrigin`] says which entry is wrong.
    pub(crate) fn parse(list: &[String]) -> Result<Self, InvalidOrigin> {
        let mut origins = Self::default();
        for (index, entry) in list.iter().enumerate() {
            match entry.as_str() {
                "*" => origins.any = true,
                "null" => origins.exact.push(entry.clone()),
                other => origins.exact.push(normalise(other).ok_or(InvalidOrigin { index })?),
            }
        }
        Ok(origins)
    }

    /// Whether a request's `Origin` may call, and by which rule.
    pub(crate) fn rule(&self, origin: &str) -> Option<OriginRule> {
        if self.exact.iter().any(|exact| exact == origin) {
            return Some(OriginRule::Named);
        }
        self.any.then_some(OriginRule::Any)
    }
}

/// The form in which browsers send an origin: lower case, without the scheme's own port.
fn normalise(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let mut letters = scheme.bytes();
    let starts_well = letters.next().is_some_and(|b| b.is_ascii_lowercase());
    if !starts_well || !letters.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return None;
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if !is_host(host) {
        return None;
    }
    let Some(port) = port else { return Some(origin) };
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match (scheme, port.parse::<u16>().ok()?) {
        ("https", 443) | ("http", 80) => Some(format!("{scheme}://{host}")),
        (_, port) => Some(format!("{scheme}://{host}:{port}")),
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            !host.is_empty() && host.bytes().all(allowed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_origins_null_or_a_star() {
        let table = [
            ("https://app.example", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("http://[::1]", true),
            ("capacitor://localhost", true),
            ("null", true),
            ("*", true),
            ("", false),
            ("app.example", false),
            ("https://", false),
            ("https://app.example/", false),
            ("https://app.example/x", false),
            ("https://*.example", false),
            ("https://user@app.example", false),
            ("https://app.example:", false),
            ("https://app.example:99999", false),
            ("https://app.example:+1", false),
            ("http://[::g]", false),
            ("://app.example", false),
        ];
        for (entry, expected) in table {
            let got = AllowedOrigins::parse(&[entry.to_owned()]);
            assert_eq!(got.is_ok(), expected, "{entry:?}");
        }
    }

    #[test]
    fn a_named_origin_is_matched_as_browsers_send_it() {
        let list = ["HTTPS://App.Example:443".to_owned(), "null".to_owned()];
        let named = AllowedOrigins::parse(&list).unwrap();
        let with_star = AllowedOrigins::parse(&[list[0].clone(), "*".to_owned()]).unwrap();
        let table = [
            (&named, "https://app.example", Some(OriginRule::Named)),
            (&named, "null", Some(OriginRule::Named)),
            (&named, "https://app.example:8443", None),
            (&named, "http://app.example", None),
            (&named, "https://evil.app.example", None),
            (&with_star, "https://app.example", Some(OriginRule::Named)),
            (&with_star, "https://other.example", Some(OriginRule::Any)),
        ];
        for (origins, origin, expected) in table {
            assert_eq!(origins.rule(origin), expected, "{origin}");
        }
    }
}
