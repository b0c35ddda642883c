//! Where the server is, and header fields that a person gives.

use http::Uri;

/// A server's address and the path below which everything happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Without a slash at its end.
    pub(crate) base: String,
}

/// The text is not the URL of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// No URL at all.
    #[error("{0:?} is not a URL; write http://host:port or https://host")]
    Syntax(String),
    /// Neither `http` nor `https`.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// A user or password in it.
    #[error("the URL must not hold credentials; give a token with --token-file or --header")]
    Credentials,
    /// A query, to which no path can be appended.
    #[error("the URL must not have a query")]
    Query,
}

impl Origin {
    /// Reads `http[s]://host[:port][/path]`.
    ///
    /// # Errors
    /// [`InvalidUrl`], in a sentence for a person.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = url.parse().map_err(|_| InvalidUrl::Syntax(url.to_owned()))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(InvalidUrl::Scheme),
        };
        let authority = uri.authority().ok_or_else(|| InvalidUrl::Syntax(url.to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(InvalidUrl::Credentials);
        }
        if uri.query().is_some() {
            return Err(InvalidUrl::Query);
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { tls, host: authority.host().to_owned(), port, base })
    }

    /// What stands in `Host`.
    pub(crate) fn authority(&self) -> String {
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// The host without the brackets of an IPv6 address.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// A header line: a name and a value, one character a byte.
pub(crate) type Field = (String, String);

/// A `Name: value` that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a header is written 'Name: value'; this one has no name, or characters that no header may have"
)]
pub struct InvalidField;

/// Reads `Name: value` as a person gives it. The value is in no error: it may be a secret.
pub(crate) fn field(text: &str) -> Result<Field, InvalidField> {
    let (name, value) = text.split_once(':').ok_or(InvalidField)?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let value = value.trim();
    if name.is_empty() || !name.chars().all(token) || value.chars().any(char::is_control) {
        return Err(InvalidField);
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let origin = |tls, host: &str, port, base: &str| {
            Ok(Origin { tls, host: host.into(), port, base: base.into() })
        };
        let table = [
            ("http://127.0.0.1:8080", origin(false, "127.0.0.1", 8080, "")),
            ("http://127.0.0.1:8080/dav/", origin(false, "127.0.0.1", 8080, "/dav")),
            ("https://store.example", origin(true, "store.example", 443, "")),
            ("http://[::1]:9", origin(false, "[::1]", 9, "")),
            ("ftp://a", Err(InvalidUrl::Scheme)),
            ("127.0.0.1", Err(InvalidUrl::Scheme)),
            ("http://a b", Err(InvalidUrl::Syntax("http://a b".into()))),
            ("http://u:p@a/", Err(InvalidUrl::Credentials)),
            ("http://a/?b", Err(InvalidUrl::Query)),
        ];
        for (text, expected) in table {
            assert_eq!(Origin::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_field_has_a_name_and_nothing_that_would_begin_another() {
        assert_eq!(field("X-A:  b c "), Ok(("X-A".into(), "b c".into())));
        for wrong in ["", "a", ": b", "a b: c", "a: b\r\nc: d"] {
            assert_eq!(field(wrong), Err(InvalidField), "{wrong:?}");
        }
    }
}
