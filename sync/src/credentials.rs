//! Credentials for the fetch, from the files of a mounted Secret.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stowage_config::{GitAuth, RepositoryUrl, Transport};

use crate::secret::Secret;

/// No key of a Secret that git needs is larger.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// What git presents to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing: a public repository.
    None,
    /// The value of an `Authorization` header.
    Authorization(Secret),
    /// A private key, and the host keys that are trusted.
    Ssh { private_key: Secret, known_hosts: String },
}

/// Why credentials cannot be used; says which keys the Secret needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CredentialsUnusable {
    #[error("the Secret has no {0}: {advice}", advice = advice(*.1))]
    Missing(&'static str, Transport),
    #[error(
        "the Secret has both a bearerToken and a password: keep bearerToken, or username and \
         password"
    )]
    Ambiguous,
    #[error("the Secret's {0} cannot be used: {1}")]
    Malformed(&'static str, &'static str),
    #[error("the Secret's {0} cannot be read: {1}")]
    Unreadable(&'static str, ErrorKind),
    #[error("an SSH URL needs credentials: name a Secret with ssh-privatekey and known_hosts")]
    SshNeedsKey,
    #[error("a file:// URL takes no credentials: take the Secret out, or use another URL")]
    FileTakesNone,
}

fn advice(transport: Transport) -> &'static str {
    match transport {
        Transport::Ssh => "put ssh-privatekey and known_hosts into it",
        _ => "put username and password, or bearerToken, into it",
    }
}

impl Credentials {
    /// Reads the credentials that fit the URL.
    ///
    /// # Errors
    /// [`CredentialsUnusable`], never with a value in it.
    pub(crate) fn load(
        auth: Option<&GitAuth>,
        url: &RepositoryUrl,
    ) -> Result<Self, CredentialsUnusable> {
        match (auth, url.transport()) {
            (None, Transport::Ssh) => Err(CredentialsUnusable::SshNeedsKey),
            (None, _) => Ok(Self::None),
            (Some(_), Transport::File) => Err(CredentialsUnusable::FileTakesNone),
            (Some(GitAuth::SecretDir(dir)), Transport::Ssh) => load_ssh(dir),
            (Some(GitAuth::SecretDir(dir)), transport) => load_http(dir, transport),
        }
    }

    /// Everything that no output may hold.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::None => Vec::new(),
            Self::Ssh { private_key, .. } => vec![private_key.clone()],
            Self::Authorization(header) => {
                let encoded = header.expose().split_once(' ').map_or("", |(_, value)| value);
                let decoded = BASE64.decode(encoded).ok().and_then(|b| String::from_utf8(b).ok());
                let password = decoded.as_deref().and_then(|d| d.split_once(':')).map(|(_, p)| p);
                [Some(header.expose()), Some(encoded), decoded.as_deref(), password]
                    .into_iter()
                    .flatten()
                    .map(Secret::new)
                    .collect()
            }
        }
    }
}

fn load_ssh(dir: &Path) -> Result<Credentials, CredentialsUnusable> {
    let need = |key| read_key(dir, key)?.ok_or(CredentialsUnusable::Missing(key, Transport::Ssh));
    let private_key = need("ssh-privatekey")?;
    let known_hosts = need("known_hosts")?;
    if !private_key.contains("PRIVATE KEY-----") {
        return Err(CredentialsUnusable::Malformed(
            "ssh-privatekey",
            "it is no private key in PEM form: put in what ssh-keygen wrote, not the .pub file",
        ));
    }
    if known_hosts.lines().all(|line| line.trim().is_empty() || line.starts_with('#')) {
        return Err(CredentialsUnusable::Malformed(
            "known_hosts",
            "it names no host: put in the output of ssh-keyscan, after checking it",
        ));
    }
    let private_key = Secret::new(private_key);
    Ok(Credentials::Ssh { private_key, known_hosts })
}

fn load_http(dir: &Path, transport: Transport) -> Result<Credentials, CredentialsUnusable> {
    let bearer = read_key(dir, "bearerToken")?;
    let password = read_key(dir, "password")?;
    let header = match (bearer, password) {
        (Some(_), Some(_)) => return Err(CredentialsUnusable::Ambiguous),
        (Some(token), None) => format!("Bearer {}", visible("bearerToken", &token)?),
        (None, Some(password)) => {
            let username = read_key(dir, "username")?
                .ok_or(CredentialsUnusable::Missing("username", transport))?;
            if username.contains(':') {
                let reason = "basic authentication allows no colon in it";
                return Err(CredentialsUnusable::Malformed("username", reason));
            }
            let pair = format!("{username}:{password}");
            if pair.chars().any(char::is_control) {
                let reason = "it, or the username, holds a line break or control character";
                return Err(CredentialsUnusable::Malformed("password", reason));
            }
            format!("Basic {}", BASE64.encode(pair))
        }
        (None, None) => {
            return Err(CredentialsUnusable::Missing("bearerToken and no password", transport));
        }
    };
    Ok(Credentials::Authorization(Secret::new(header)))
}

/// A bearer token goes into a header and a configuration file as it is (RFC 6750 §2.1).
fn visible<'a>(key: &'static str, token: &'a str) -> Result<&'a str, CredentialsUnusable> {
    let fits = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=:".contains(&b));
    if fits && !token.is_empty() {
        return Ok(token);
    }
    let reason = "a token is letters, digits and - . _ ~ + / = : on one line";
    Err(CredentialsUnusable::Malformed(key, reason))
}

/// Reads one key of the Secret, without the line end that editors add.
fn read_key(dir: &Path, key: &'static str) -> Result<Option<String>, CredentialsUnusable> {
    let file = match File::open(dir.join(key)) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(CredentialsUnusable::Unreadable(key, e.kind())),
    };
    let mut text = String::new();
    file.take(KEY_BYTES_MAX + 1).read_to_string(&mut text).map_err(|e| match e.kind() {
        ErrorKind::InvalidData => CredentialsUnusable::Malformed(key, "it is not UTF-8 text"),
        kind => CredentialsUnusable::Unreadable(key, kind),
    })?;
    if text.len() as u64 > KEY_BYTES_MAX {
        return Err(CredentialsUnusable::Malformed(key, "it is larger than 64 KiB"));
    }
    let text = text.trim_end_matches(['\r', '\n']);
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(url: &str, keys: &[(&str, &str)]) -> Result<Credentials, CredentialsUnusable> {
        let dir = tempfile::tempdir().unwrap();
        for (key, value) in keys {
            std::fs::write(dir.path().join(key), value).unwrap();
        }
        let url = RepositoryUrl::parse(url, true).unwrap();
        Credentials::load(Some(&GitAuth::SecretDir(dir.path().to_owned())), &url)
    }

    const HTTPS: &str = "https://git.example/a";
    const SSH: &str = "git@git.example:a";
    const PEM: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n";

    #[test]
    fn headers_are_made_of_the_keys() {
        let basic = load(HTTPS, &[("username", "me\n"), ("password", "pässword\n")]).unwrap();
        let Credentials::Authorization(header) = &basic else { panic!("{basic:?}") };
        assert_eq!(header.expose(), format!("Basic {}", BASE64.encode("me:pässword")));
        let bearer = load(HTTPS, &[("bearerToken", "abc.def\n")]).unwrap();
        assert_eq!(bearer, Credentials::Authorization(Secret::new("Bearer abc.def")));
        assert!(basic.secrets().contains(&Secret::new("pässword")));
        assert!(bearer.secrets().contains(&Secret::new("abc.def")));
        assert!(!format!("{basic:?}{bearer:?}").contains("abc"));
    }

    #[test]
    fn what_is_missing_or_malformed_is_named_without_its_value() {
        type Keys<'a> = &'a [(&'a str, &'a str)];
        let table: &[(&str, Keys<'_>, &str)] = &[
            (HTTPS, &[], "put username and password, or bearerToken"),
            (HTTPS, &[("password", "s3cret")], "no username"),
            (HTTPS, &[("username", "me")], "no password"),
            (HTTPS, &[("username", "me"), ("password", "\n")], "no password"),
            (HTTPS, &[("username", "a:b"), ("password", "s3cret")], "colon"),
            (HTTPS, &[("username", "me"), ("password", "s3cret\nX: y")], "line break"),
            (HTTPS, &[("bearerToken", "s3cret\r\nX: y")], "on one line"),
            (HTTPS, &[("bearerToken", "s3cret"), ("password", "s3cret")], "both"),
            (SSH, &[("known_hosts", "h ssh-ed25519 AAAA")], "no ssh-privatekey"),
            (SSH, &[("ssh-privatekey", PEM)], "no known_hosts"),
            (SSH, &[("ssh-privatekey", PEM), ("known_hosts", "# none")], "ssh-keyscan"),
            (SSH, &[("ssh-privatekey", "ssh-rsa s3cret"), ("known_hosts", "h x")], ".pub"),
            ("file:///srv/a", &[("password", "s3cret")], "takes no credentials"),
        ];
        for (url, keys, expected) in table {
            let error = load(url, keys).expect_err(expected).to_string();
            assert!(error.contains(expected), "{keys:?}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn ssh_needs_a_key_and_others_do_not() {
        let ssh = RepositoryUrl::parse(SSH, false).unwrap();
        assert_eq!(Credentials::load(None, &ssh), Err(CredentialsUnusable::SshNeedsKey));
        let https = RepositoryUrl::parse(HTTPS, false).unwrap();
        assert_eq!(Credentials::load(None, &https), Ok(Credentials::None));
    }
}
