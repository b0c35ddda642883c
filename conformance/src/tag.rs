//! Entity tags as they stand in an answer (RFC 9110 §8.8.3).

/// An entity tag, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    /// `W/` stands before it.
    pub(crate) weak: bool,
    /// What stands between the quotes.
    pub(crate) inner: String,
}

impl Tag {
    /// `[ "W/" ] DQUOTE *etagc DQUOTE`; `None` where the text is anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (weak, quoted) = match text.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
        let allowed = |c: char| matches!(u32::from(c), 0x21 | 0x23..=0x7e | 0x80..=0xff);
        inner.chars().all(allowed).then(|| Self { weak, inner: inner.to_owned() })
    }

    /// The tag without `W/`.
    pub(crate) fn opaque(&self) -> String {
        format!("\"{}\"", self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_what_looks_like_one() {
        let tag = |weak, inner: &str| Some(Tag { weak, inner: inner.to_owned() });
        let table = [
            (r#""a""#, tag(false, "a")),
            (r#""""#, tag(false, "")),
            (r#"W/"a,b""#, tag(true, "a,b")),
            ("\"\u{e9}\"", tag(false, "\u{e9}")),
            (r#"w/"a""#, None),
            (r#"W/a"#, None),
            ("a", None),
            (r#"""#, None),
            (r#""a b""#, None),
            (r#""a"b""#, None),
            ("\"\u{7f}\"", None),
        ];
        for (text, expected) in table {
            assert_eq!(Tag::parse(text), expected, "{text}");
        }
    }
}
