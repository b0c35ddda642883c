//! Values that must not be shown, and text from which they are taken out.

use std::fmt;

use crate::text::shorten;

/// A value that never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that must have it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

const QUOTED_CHARS_MAX: usize = 300;

/// Makes what another program wrote fit for a report: without the given secrets, without what
/// stands before the `@` of a URL, without paths of this machine, on one line, cut to a length.
pub(crate) fn redact(text: &str, secrets: &[Secret]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().filter(|s| !s.expose().is_empty()) {
        clean = clean.replace(secret.expose(), "***");
    }
    let words: Vec<_> = clean.split_whitespace().map(redact_word).collect();
    shorten(&words.join(" "), QUOTED_CHARS_MAX)
}

fn redact_word(word: &str) -> String {
    if let Some((scheme, rest)) = word.split_once("://") {
        if scheme.ends_with("file") {
            return "file://…".to_owned();
        }
        let authority_end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        return format!("{scheme}://{host}{path}");
    }
    let bare = word.trim_start_matches(['\'', '"', '(', '[', '=']);
    if bare.starts_with('/') && bare.len() > 1 { "…".to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_user_names_and_paths_are_taken_out() {
        let secrets = [Secret::new("hunter2"), Secret::new("")];
        let table = [
            ("fatal: hunter2 is wrong", "fatal: *** is wrong"),
            ("at 'https://me:pw@git.example/a'", "at 'https://git.example/a'"),
            ("'/tmp/x/repository.git' is not one", "… is not one"),
            ("open file:///srv/a failed", "open file://… failed"),
            ("a\nb\tc", "a b c"),
        ];
        for (text, expected) in table {
            assert_eq!(redact(text, &secrets), expected);
        }
        assert_eq!(format!("{:?}", secrets[0]), "Secret(…)");
    }
}
