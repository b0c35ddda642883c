//! The file of a namespace: `{"version":"<n>","snapshot":{…}}`, and behind that, where there are keys
//! that will be over, `"expires":{…}`: in milliseconds since 1970.

use std::fmt;

use bytes::Bytes;
use imbl::OrdMap;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::tree::{FILE_BYTES_MAX, MOVE_IT_AWAY};
use crate::expiry::Expiries;
use crate::namespace::{SNAPSHOT_BYTES_MAX, VERSION_MAX};
use crate::{Expiry, InvalidMemberKey, MemberKey, Namespace};

// A member's time is told in no more than three times the bytes that the member takes.
const _: () = assert!(4 * SNAPSHOT_BYTES_MAX <= FILE_BYTES_MAX);

/// Why a file is not a namespace. It says where, and never what stands there: the values are
/// the clients'.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error(
        "line {line}, column {column} does not go on as {{\"version\":\"<n>\",\"snapshot\":{{…}}}}; {MOVE_IT_AWAY}"
    )]
    Shape { line: usize, column: usize },
    #[error("its version is not a decimal number from 1 to {VERSION_MAX}; {MOVE_IT_AWAY}")]
    Version,
    #[error(
        "in its expires, a key is none of its snapshot or stands there twice, or a time is no number of milliseconds; {MOVE_IT_AWAY}"
    )]
    Expiry,
    #[error("in its snapshot, {0}; {MOVE_IT_AWAY}")]
    Key(#[from] InvalidMemberKey),
    #[error("a key stands in its snapshot twice; {MOVE_IT_AWAY}")]
    Duplicate,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NamespaceFile<'a> {
    version: String,
    #[serde(borrow)]
    snapshot: Members<'a>,
    #[serde(borrow, default)]
    expires: Members<'a>,
}

/// The members in the order of the file, their values as they are spelled there.
#[derive(Default)]
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Writes a namespace as its file's bytes.
pub(super) fn encode(namespace: &Namespace) -> Vec<u8> {
    let version = namespace.version();
    let mut out = format!("{{\"version\":\"{version}\",\"snapshot\":").into_bytes();
    out.extend_from_slice(&namespace.snapshot());
    if let Some(expires) = namespace.expires_json() {
        out.extend_from_slice(b",\"expires\":");
        out.extend_from_slice(&expires);
    }
    out.push(b'}');
    out
}

/// Reads a namespace from its file's bytes.
///
/// # Errors
/// [`Damage`] says what does not check out.
pub(super) fn decode(bytes: &[u8]) -> Result<Namespace, Damage> {
    let file: NamespaceFile<'_> = serde_json::from_slice(bytes)
        .map_err(|error| Damage::Shape { line: error.line(), column: error.column() })?;
    let version = file.version.parse().map_err(|_| Damage::Version)?;
    if !(1..=VERSION_MAX).contains(&version) || file.version != version.to_string() {
        return Err(Damage::Version);
    }
    let mut members = OrdMap::new();
    for (key, value) in file.snapshot.0 {
        let value = Bytes::from(compact(value.get()));
        if members.insert(MemberKey::new(&key)?, value).is_some() {
            return Err(Damage::Duplicate);
        }
    }
    let mut expiries = Expiries::default();
    for (key, time) in &file.expires.0 {
        let (key, _) = members.get_key_value(key.as_str()).ok_or(Damage::Expiry)?;
        let time = time.get().parse().map_err(|_| Damage::Expiry)?;
        expiries.set(key, Expiry::at_milliseconds(time));
    }
    if expiries.len() != file.expires.0.len() {
        return Err(Damage::Expiry);
    }
    Ok(Namespace::from_parts(version, members, expiries))
}

/// Removes the white space between the tokens of a JSON text, which a person who edited the
/// file may have put there; the tokens keep their spelling.
fn compact(json: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for byte in json.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_string = byte == b'"';
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_bytes_through_the_file() {
        let text =
            r#"{"version":"7","snapshot":{"a\"\\\u0001é":{"z":1.50e+2,"a":"\ud83d"},"n":null}}"#;
        let namespace = decode(text.as_bytes()).unwrap();
        assert_eq!(namespace.version(), 7);
        assert_eq!(namespace.get("a\"\\\u{1}é").unwrap(), r#"{"z":1.50e+2,"a":"\ud83d"}"#);
        assert_eq!(std::str::from_utf8(&encode(&namespace)).unwrap(), text);
    }

    #[test]
    fn times_stand_behind_the_snapshot_where_there_are_any() {
        let text =
            r#"{"version":"7","snapshot":{"a\"":1,"b":2,"c":3},"expires":{"a\"":20,"c":10}}"#;
        let namespace = decode(text.as_bytes()).unwrap();
        assert_eq!(namespace.earliest_expiry(), Some(Expiry::at_milliseconds(10)));
        assert_eq!(std::str::from_utf8(&encode(&namespace)).unwrap(), text);
        let none = decode(br#"{"version":"7","snapshot":{"a":1},"expires":{}}"#).unwrap();
        assert_eq!(encode(&none), br#"{"version":"7","snapshot":{"a":1}}"#);
    }

    #[test]
    fn a_file_that_a_person_indented_is_read_as_its_compact_form() {
        let text = "{\n \"version\": \"2\",\n \"snapshot\": { \"k\" : [ 1 , \"a \\\" b\\\\\" , {\"x\" : 2} ] }\n}\n";
        let namespace = decode(text.as_bytes()).unwrap();
        assert_eq!(namespace.get("k").unwrap(), r#"[1,"a \" b\\",{"x":2}]"#);
    }

    #[test]
    fn what_is_not_a_namespace_is_refused_with_its_place() {
        let long = format!(r#"{{"version":"1","snapshot":{{"{}":1}}}}"#, "k".repeat(257));
        let table: &[(&str, Damage)] = &[
            ("", Damage::Shape { line: 1, column: 0 }),
            (r#"{"version":"1","snapshot":{"a":1}"#, Damage::Shape { line: 1, column: 33 }),
            (r#"{"version":"1","snapshot":{"a":1}}x"#, Damage::Shape { line: 1, column: 35 }),
            (r#"{"version":1,"snapshot":{}}"#, Damage::Shape { line: 1, column: 12 }),
            (r#"{"version":"1"}"#, Damage::Shape { line: 1, column: 15 }),
            (r#"{"version":"1","snapshot":[]}"#, Damage::Shape { line: 1, column: 26 }),
            (r#"{"version":"1","snapshot":{},"x":1}"#, Damage::Shape { line: 1, column: 32 }),
            (r#"{"version":"0","snapshot":{}}"#, Damage::Version),
            (r#"{"version":"01","snapshot":{}}"#, Damage::Version),
            (r#"{"version":"-1","snapshot":{}}"#, Damage::Version),
            (r#"{"version":"18446744073709551615","snapshot":{}}"#, Damage::Version),
            (r#"{"version":"1","snapshot":{"":1}}"#, Damage::Key(InvalidMemberKey)),
            (&long, Damage::Key(InvalidMemberKey)),
            (r#"{"version":"1","snapshot":{"a":1,"\u0061":2}}"#, Damage::Duplicate),
            (r#"{"version":"1","snapshot":{"a":1},"expires":{"b":1}}"#, Damage::Expiry),
            (r#"{"version":"1","snapshot":{"a":1},"expires":{"a":1,"\u0061":1}}"#, Damage::Expiry),
            (r#"{"version":"1","snapshot":{"a":1},"expires":{"a":-1}}"#, Damage::Expiry),
            (r#"{"version":"1","snapshot":{"a":1},"expires":{"a":"1"}}"#, Damage::Expiry),
            (r#"{"version":"1","snapshot":{"a":1},"expires":{"a":1.5}}"#, Damage::Expiry),
        ];
        for (text, expected) in table {
            assert_eq!(decode(text.as_bytes()).as_ref(), Err(expected), "{text}");
        }
        assert!(decode(b"{\"version\":\"1\",\"snapshot\":{\"a\":\"\xff\"}}").is_err(), "bad UTF-8");
    }

    #[test]
    fn a_damage_names_its_place_and_the_way_out_and_no_value() {
        let damage = decode(br#"{"version":"1","snapshot":"hunter2"}"#).unwrap_err().to_string();
        assert_eq!(
            damage,
            "line 1, column 35 does not go on as {\"version\":\"<n>\",\"snapshot\":{…}}; \
             stop the store, then restore the file from a backup or move it away"
        );
    }
}
