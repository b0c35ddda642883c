//! An answer, as it came.

/// An answer: nothing is joined, decoded or left out, except that a chunked body is put together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines in their order, one character a byte.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The server takes no further request on this connection.
    pub(crate) closes: bool,
}

impl Answer {
    /// The value of a field; several lines are joined by commas (RFC 9110 §5.3).
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    /// Whether a field that is a list holds a member, upper and lower case being the same.
    pub(crate) fn lists(&self, name: &str, member: &str) -> bool {
        let value = self.field(name).unwrap_or_default();
        value.split(',').any(|m| m.trim().eq_ignore_ascii_case(member))
    }

    /// Whether it is a 2xx.
    pub(crate) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The `ETag` as it came.
    pub(crate) fn tag(&self) -> Option<String> {
        self.field("etag")
    }

    /// The beginning of the body, for a message.
    pub(crate) fn excerpt(&self) -> String {
        excerpt(&self.body)
    }
}

/// The beginning of some bytes, for a message.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(bytes.get(..SHOWN).unwrap_or(bytes)).into_owned();
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match bytes.len() {
        0 => "nothing".into(),
        length if length > SHOWN => format!("{text}… ({length} bytes)"),
        _ => text,
    }
}
