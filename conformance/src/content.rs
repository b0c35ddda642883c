//! What cases write, and expect to read again.

/// A representation that can be told from every other one: JSON, compact, its members in byte
/// order, so that a document store, a key-value store and a file server all answer these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    /// What tells it from others.
    pub(crate) number: u32,
    /// How many bytes fill it up.
    pub(crate) fill: usize,
}

/// Three of the same length: a tag made of a length and a coarse time does not tell them apart.
pub(crate) const A: Content = Content::numbered(1);
/// See [`A`].
pub(crate) const B: Content = Content::numbered(2);
/// See [`A`].
pub(crate) const C: Content = Content::numbered(3);
/// One of another length.
pub(crate) const LONGER: Content = Content { number: 4, fill: 97 };

impl Content {
    /// One of the common length.
    pub(crate) const fn numbered(number: u32) -> Self {
        Self { number, fill: 64 }
    }

    /// The value of the member `content`.
    pub(crate) fn label(self) -> String {
        format!("{:08}", self.number)
    }

    /// The value of the member `fill`: one digit, so that a mixture of two is seen.
    pub(crate) fn filler(self) -> String {
        (self.number % 10).to_string().repeat(self.fill)
    }

    /// The representation.
    pub(crate) fn bytes(self) -> Vec<u8> {
        format!(r#"{{"content":"{}","fill":"{}"}}"#, self.label(), self.filler()).into_bytes()
    }

    /// Reads a representation back; `None` where these are not the bytes of one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let number = value.get("content")?.as_str()?.parse().ok()?;
        let fill = value.get("fill")?.as_str()?.len();
        let content = Self { number, fill };
        (content.bytes() == bytes).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_read_back_and_a_mixture_is_not() {
        for content in [A, B, C, LONGER, Content { number: 17, fill: 96 << 10 }] {
            assert_eq!(Content::parse(&content.bytes()), Some(content));
        }
        assert_eq!(A.bytes().len(), B.bytes().len());
        let mut mixed = A.bytes();
        let half = mixed.len() / 2;
        mixed.truncate(half);
        mixed.extend_from_slice(&B.bytes()[half..]);
        assert_eq!(Content::parse(&mixed), None);
        assert_eq!(Content::parse(b"{}"), None);
    }
}
