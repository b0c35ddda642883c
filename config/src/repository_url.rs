//! The URL of a Git repository, checked before git sees it.
//!
//! The sync checks it again, whatever made its configuration; the operator checks it before it
//! makes a Job, so that a wrong one is told at once.

use std::fmt;

/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `https://`.
    Https,
    /// `http://`: nothing proves who answers.
    Http,
    /// `ssh://` and `user@host:path`.
    Ssh,
    /// `file://`: a directory of the machine that fetches.
    File,
}

/// A URL that git may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryUrl {
    text: String,
    transport: Transport,
}

/// Why a URL cannot be used. The messages never repeat it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// Not one of the forms.
    #[error(
        "the URL has none of the forms https://host/path, ssh://user@host/path or \
         user@host:path: write one of them"
    )]
    Form,
    /// A program would take it for an option.
    #[error("the URL begins with -, which would make it an option: write https:// or ssh:// first")]
    Option,
    /// `http://` or `file://` where they are not allowed.
    #[error(
        "http:// and file:// URLs are not allowed here, because neither proves who answers: use \
         https:// or ssh://"
    )]
    Insecure,
    /// A URL stands in specs and logs.
    #[error("the URL holds a user name or password: take it out and put it into the Secret")]
    Credentials,
    /// `?` or `#`.
    #[error("the URL has a query or a fragment, which no repository needs: take it out")]
    Query,
    /// A character that means something else to one of the programs, or too many of them.
    #[error(
        "the URL holds a space, a quote or another character that needs percent-encoding, or is \
         longer than {URL_BYTES_MAX} bytes"
    )]
    Characters,
    /// A `file://` URL with a host or without a path.
    #[error("a file:// URL names an absolute path and no host: write file:///path")]
    File,
}

impl RepositoryUrl {
    /// Checks a URL; `http://` and `file://` only with `allow_insecure`.
    ///
    /// # Errors
    /// [`UrlRefused`] says what to write instead.
    pub fn parse(text: &str, allow_insecure: bool) -> Result<Self, UrlRefused> {
        if text.starts_with('-') {
            return Err(UrlRefused::Option);
        }
        let transport = match text.split_once("://") {
            Some((scheme, rest)) => check_with_scheme(scheme, rest, allow_insecure)?,
            None => check_scp_like(text)?,
        };
        if text.len() > URL_BYTES_MAX || !text.bytes().all(is_url_byte) {
            return Err(UrlRefused::Characters);
        }
        Ok(Self { text: text.to_owned(), transport })
    }

    /// The text, as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How the repository is reached.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Scheme and authority, as credentials are scoped to them: `https://host:port/`.
    #[must_use]
    pub fn origin(&self) -> String {
        let (scheme, rest) = self.text.split_once("://").unwrap_or_default();
        let authority = rest.split('/').next().unwrap_or_default();
        format!("{scheme}://{authority}/")
    }
}

impl fmt::Display for RepositoryUrl {
    /// For people: a `file://` URL without its path, which is one of this machine.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            Transport::File => f.write_str("the file:// URL"),
            _ => f.write_str(&self.text),
        }
    }
}

fn check_with_scheme(
    scheme: &str,
    rest: &str,
    allow_insecure: bool,
) -> Result<Transport, UrlRefused> {
    let transport = match scheme {
        "https" => Transport::Https,
        "http" => Transport::Http,
        "ssh" => Transport::Ssh,
        "file" => Transport::File,
        _ => return Err(UrlRefused::Form),
    };
    if matches!(transport, Transport::Http | Transport::File) && !allow_insecure {
        return Err(UrlRefused::Insecure);
    }
    if transport == Transport::File {
        let absolute = rest.len() > 1 && rest.starts_with('/');
        return if absolute { Ok(transport) } else { Err(UrlRefused::File) };
    }
    let (authority, path) = rest.split_once('/').ok_or(UrlRefused::Form)?;
    let host = match (authority.rsplit_once('@'), transport) {
        (None, _) => authority,
        (Some((user, host)), Transport::Ssh) if !user.contains(':') => {
            check_user(user)?;
            host
        }
        (Some(_), _) => return Err(UrlRefused::Credentials),
    };
    if rest.contains(['?', '#']) {
        return Err(UrlRefused::Query);
    }
    if is_host_and_port(host) && !path.is_empty() { Ok(transport) } else { Err(UrlRefused::Form) }
}

/// `user@host:path`, as scp writes it; `ext::…` and Windows paths have no `@` before the colon.
fn check_scp_like(text: &str) -> Result<Transport, UrlRefused> {
    let (authority, path) = text.split_once(':').ok_or(UrlRefused::Form)?;
    let (user, host) = authority.split_once('@').ok_or(UrlRefused::Form)?;
    check_user(user)?;
    if path.is_empty() || path.starts_with(['-', ':']) || !is_host(host) {
        return Err(UrlRefused::Form);
    }
    Ok(Transport::Ssh)
}

fn check_user(user: &str) -> Result<(), UrlRefused> {
    let fits = user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits && !user.is_empty() && !user.starts_with('-') { Ok(()) } else { Err(UrlRefused::Form) }
}

fn is_host_and_port(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let address = rest.split_once(']');
        return address.is_some_and(|(address, port)| {
            address.parse::<std::net::Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    match text.split_once(':') {
        Some((host, port)) => is_host(host) && is_port(port),
        None => is_host(text),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port != 0)
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// What RFC 3986 allows in a path, `[` and `]` for an IPv6 host, and no quote, so that the text
/// means the same to git, to curl and in a configuration file.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/%:@+,=()!*&$;[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_and_refused_with_the_reason() {
        use Transport::{File, Http, Https, Ssh};
        use UrlRefused as R;
        let long = format!("https://h/{}", "a".repeat(2048));
        let table: &[(&str, Result<Transport, UrlRefused>)] = &[
            ("https://git.example/data/etl.git", Ok(Https)),
            ("https://dev.azure.com/org/my%20project/_git/etl", Ok(Https)),
            ("https://git.example:8443/a", Ok(Https)),
            ("https://[::1]:8443/a", Ok(Https)),
            ("http://127.0.0.1:3000/a.git", Ok(Http)),
            ("file:///srv/git/a.git", Ok(File)),
            ("ssh://git@git.example/a.git", Ok(Ssh)),
            ("ssh://git@git.example:2222/a.git", Ok(Ssh)),
            ("ssh://git.example/a.git", Ok(Ssh)),
            ("git@git.example:data/etl.git", Ok(Ssh)),
            ("", Err(R::Form)),
            ("https://", Err(R::Form)),
            ("https://git.example", Err(R::Form)),
            ("https:///path", Err(R::Form)),
            ("/srv/git/a.git", Err(R::Form)),
            ("../a.git", Err(R::Form)),
            ("C:\\repo", Err(R::Form)),
            ("git.example:a.git", Err(R::Form)),
            ("ext::sh -c touch% /tmp/x", Err(R::Form)),
            ("ext://a/b", Err(R::Form)),
            ("git://git.example/a", Err(R::Form)),
            ("ftp://git.example/a", Err(R::Form)),
            ("HTTPS://git.example/a", Err(R::Form)),
            ("fd::17", Err(R::Form)),
            ("a@b::c", Err(R::Form)),
            ("--upload-pack=touch /tmp/x", Err(R::Option)),
            ("-oProxyCommand=x", Err(R::Option)),
            ("ssh://-oProxyCommand=x/a", Err(R::Form)),
            ("ssh://-u@git.example/a", Err(R::Form)),
            ("git@-oProxyCommand=x:a", Err(R::Form)),
            ("git@git.example:-x", Err(R::Form)),
            ("https://git.example:99999/a", Err(R::Form)),
            ("https://git.example:/a", Err(R::Form)),
            ("https://user:secret@git.example/a", Err(R::Credentials)),
            ("https://token@git.example/a", Err(R::Credentials)),
            ("ssh://git:secret@git.example/a", Err(R::Credentials)),
            ("https://git.example/a?private_token=x", Err(R::Query)),
            ("https://git.example/a#main", Err(R::Query)),
            ("https://git.example/a b", Err(R::Characters)),
            ("https://git.example/a\nb", Err(R::Characters)),
            ("https://git.example/a\"b", Err(R::Characters)),
            ("https://git.example/é", Err(R::Characters)),
            (&long, Err(R::Characters)),
            ("file://host/a", Err(R::File)),
            ("file://", Err(R::File)),
        ];
        for (text, expected) in table {
            let got = RepositoryUrl::parse(text, true).map(|url| url.transport());
            assert_eq!(&got, expected, "{text:?}");
        }
    }

    #[test]
    fn insecure_urls_need_to_be_allowed() {
        for text in ["http://git.example/a", "file:///srv/a"] {
            assert_eq!(RepositoryUrl::parse(text, false), Err(UrlRefused::Insecure), "{text}");
        }
        assert!(RepositoryUrl::parse("https://git.example/a", false).is_ok());
    }

    #[test]
    fn the_origin_ends_with_the_authority() {
        for (text, origin) in [
            ("https://git.example/data/etl.git", "https://git.example/"),
            ("https://[::1]:8443/a", "https://[::1]:8443/"),
        ] {
            assert_eq!(RepositoryUrl::parse(text, false).unwrap().origin(), origin);
        }
    }
}
