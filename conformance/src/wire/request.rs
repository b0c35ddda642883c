//! A request, as it goes over the wire.

use super::origin::Field;

/// A request; nothing of it is checked or normalised.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The bytes. `Host`, and `Content-Length` where there may be a body, are added where the fields
    /// have none.
    pub(crate) fn bytes(&self, authority: &str) -> Vec<u8> {
        let mut head = latin1(&format!("{} {} HTTP/1.1\r\n", self.method, self.target));
        let mut line = |name: &str, value: &str| {
            head.extend(latin1(name));
            head.extend_from_slice(b": ");
            head.extend(latin1(value));
            head.extend_from_slice(b"\r\n");
        };
        if !self.has("host") {
            line("Host", authority);
        }
        for (name, value) in &self.fields {
            line(name, value);
        }
        let bodiless = matches!(self.method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS");
        let framed = self.has("content-length") || self.has("transfer-encoding");
        let empty = bodiless && self.body.is_empty();
        if !framed && !empty {
            line("Content-Length", &self.body.len().to_string());
        }
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(&self.body);
        head
    }

    /// Whether a field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }
}

/// One character, one byte. What has none is a question mark: no case holds such a character.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_that_were_said() {
        let request = Request {
            method: "PUT".into(),
            target: "/a".into(),
            fields: vec![("If-Match".into(), "\"\u{e9}\u{1}\"".into())],
            body: b"x".to_vec(),
        };
        let expected =
            b"PUT /a HTTP/1.1\r\nHost: h\r\nIf-Match: \"\xe9\x01\"\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(request.bytes("h"), expected);
        let mut get = Request { method: "GET".into(), body: Vec::new(), ..request };
        get.fields = vec![("Host".into(), "other".into())];
        assert_eq!(get.bytes("h"), b"GET /a HTTP/1.1\r\nHost: other\r\n\r\n");
    }
}
