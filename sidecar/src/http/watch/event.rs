//! Server-sent events on the wire (WHATWG HTML §9.2).

use bytes::Bytes;
use serde_json::value::RawValue;
use stowage_store::Operation;

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The whole state.
    Snapshot,
    /// What has become of it.
    Change,
}

/// Says that the connection lives; clients pass over it.
pub(super) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// The end of an event.
pub(super) const END: Bytes = Bytes::from_static(b"\n\n");

/// Data up to this many bytes is copied into one piece with the rest of its event.
const COPIED_MAX: usize = 16 << 10;

/// The start of an event, up to its data. An id that is empty says that nothing stands there:
/// clients send none when they come back.
pub(super) fn head(kind: Kind, id: &str) -> Vec<u8> {
    let name = match kind {
        Kind::Snapshot => "snapshot",
        Kind::Change => "change",
    };
    format!("event: {name}\nid: {id}\ndata: ").into_bytes()
}

/// A whole event, in one piece or in three.
pub(super) fn event(kind: Kind, id: &str, data: Bytes) -> Vec<Bytes> {
    event_of_lines(kind, id, lines(data))
}

/// The same, where the data is what [`lines`] made.
pub(super) fn event_of_lines(kind: Kind, id: &str, data: Bytes) -> Vec<Bytes> {
    let mut head = head(kind, id);
    if data.len() <= COPIED_MAX {
        head.extend_from_slice(&data);
        head.extend_from_slice(&END);
        return vec![head.into()];
    }
    vec![head.into(), data, END]
}

/// The data as it stands in an event: each line is a field of its own. What a server writes has one; a
/// person may have put more into a file.
pub(super) fn lines(data: Bytes) -> Bytes {
    if !data.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return data;
    }
    let mut out = Vec::with_capacity(data.len() + data.len() / 4);
    let mut rest = &*data;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let (line, after) = rest.split_at(end);
        out.extend_from_slice(line);
        out.extend_from_slice(b"\ndata: ");
        rest = after.strip_prefix(b"\r\n").or(after.get(1..)).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.into()
}

/// The data of a change of a namespace: `{"version":"<n>","ops":[…]}`, the operations as a PATCH
/// takes them.
pub(super) fn patch(version: u64, operations: &[Operation]) -> Bytes {
    let mut out = format!(r#"{{"version":"{version}","ops":["#).into_bytes();
    for (i, operation) in operations.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        append_operation(&mut out, operation);
    }
    out.extend_from_slice(b"]}");
    out.into()
}

fn append_operation(out: &mut Vec<u8>, operation: &Operation) {
    // A text can always be written as JSON.
    let json = |key: &str| {
        serde_json::value::to_raw_value(key).unwrap_or_else(|_| RawValue::NULL.to_owned())
    };
    match operation {
        Operation::Set { key, value } => {
            out.extend_from_slice(br#"{"op":"set","key":"#);
            out.extend_from_slice(json(key.as_str()).get().as_bytes());
            out.extend_from_slice(br#","value":"#);
            out.extend_from_slice(value);
            out.push(b'}');
        }
        Operation::SetUntil { key, value, expiry } => {
            out.extend_from_slice(br#"{"op":"set","key":"#);
            out.extend_from_slice(json(key.as_str()).get().as_bytes());
            out.extend_from_slice(br#","value":"#);
            out.extend_from_slice(value);
            out.extend_from_slice(format!(r#","expires":{}}}"#, expiry.milliseconds()).as_bytes());
        }
        Operation::Delete { key } => {
            out.extend_from_slice(br#"{"op":"del","key":"#);
            out.extend_from_slice(json(key.as_str()).get().as_bytes());
            out.push(b'}');
        }
        Operation::Clear => out.extend_from_slice(br#"{"op":"clear"}"#),
    }
}

#[cfg(test)]
mod tests {
    use stowage_store::{Expiry, MemberKey};

    use super::*;

    #[test]
    fn an_event_is_written_as_the_standard_reads_it() {
        let table = [
            ("{}", "event: change\nid: 7\ndata: {}\n\n"),
            ("{\n \"a\": 1\r\n}", "event: change\nid: 7\ndata: {\ndata:  \"a\": 1\ndata: }\n\n"),
            ("1\n", "event: change\nid: 7\ndata: 1\ndata: \n\n"),
            ("1\r2", "event: change\nid: 7\ndata: 1\ndata: 2\n\n"),
        ];
        for (data, expected) in table {
            let event = event(Kind::Change, "7", Bytes::from_static(data.as_bytes())).concat();
            assert_eq!(String::from_utf8(event).unwrap(), expected, "{data:?}");
        }
    }

    #[test]
    fn large_data_is_not_copied() {
        let data = Bytes::from(vec![b'1'; COPIED_MAX + 1]);
        let event = event(Kind::Snapshot, "", data.clone());
        assert_eq!(event.len(), 3);
        assert_eq!(event[0], "event: snapshot\nid: \ndata: ");
        assert_eq!(event[1].as_ptr(), data.as_ptr());
    }

    #[test]
    fn operations_are_told_as_a_patch_takes_them() {
        let key = |key| MemberKey::new(key).unwrap();
        let operations = [
            Operation::Set { key: key("a\"\n"), value: Bytes::from_static(br#""\ud83d""#) },
            Operation::SetUntil {
                key: key("b"),
                value: Bytes::from_static(b"1"),
                expiry: Expiry::at_milliseconds(70),
            },
            Operation::Delete { key: key("é") },
            Operation::Clear,
        ];
        let expected = concat!(
            r#"{"version":"3","ops":[{"op":"set","key":"a\"\n","value":"\ud83d"},"#,
            r#"{"op":"set","key":"b","value":1,"expires":70},"#,
            r#"{"op":"del","key":"é"},{"op":"clear"}]}"#
        );
        assert_eq!(patch(3, &operations), expected);
        assert_eq!(patch(1, &[]), r#"{"version":"1","ops":[]}"#);
    }
}
