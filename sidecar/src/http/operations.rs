//! The body of a KV PATCH: from JSON text to operations.
//!
//! Values are cut out of the compact text as they stand there, never parsed into numbers or
//! strings and written again.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use stowage_store::{Expiry, MemberKey, Operation};

use super::ttl;

/// The most operations of one PATCH.
pub(crate) const OPERATIONS_MAX: usize = 1_000;

/// Why a body is not a list of operations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidOperations {
    /// Not an array.
    #[error("the body must be a JSON array of operations")]
    NotAnArray,
    /// Too many at once.
    #[error("there are {0} operations, and one PATCH takes at most {OPERATIONS_MAX}; send several")]
    TooMany(usize),
    /// One of them is wrong.
    #[error("operation {index}: {reason}")]
    Operation {
        /// Its place in the array, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads a compact JSON text as operations; a `ttl` counts from `now` on.
///
/// # Errors
/// [`InvalidOperations`] names the index of the first one that is wrong.
pub(crate) fn parse(compact: &[u8], now: Expiry) -> Result<Vec<Operation>, InvalidOperations> {
    let items: Vec<&RawValue> =
        serde_json::from_slice(compact).map_err(|_| InvalidOperations::NotAnArray)?;
    if items.len() > OPERATIONS_MAX {
        return Err(InvalidOperations::TooMany(items.len()));
    }
    let read = |(index, item): (usize, &RawValue)| {
        operation(item, now).map_err(|reason| InvalidOperations::Operation { index, reason })
    };
    items.into_iter().enumerate().map(read).collect()
}

fn operation(item: &RawValue, now: Expiry) -> Result<Operation, String> {
    if !item.get().starts_with('{') {
        return Err("it must be an object".into());
    }
    let members: Members<'_> = serde_json::from_str(item.get()).map_err(|e| reason(&e))?;
    let key = || {
        let key = members.key.as_deref().ok_or("it needs a key")?;
        MemberKey::new(key).map_err(|e| e.to_string())
    };
    match members.op.as_deref() {
        Some("set") => {
            let key = key()?;
            let value = members.value.ok_or("set needs a value; null is one, del removes a key")?;
            let value = Bytes::copy_from_slice(value.get().as_bytes());
            let Some(ttl) = members.ttl else { return Ok(Operation::Set { key, value }) };
            let expiry = now.after(ttl::parse(ttl.get()).ok_or(ttl::WRONG)?);
            Ok(Operation::SetUntil { key, value, expiry })
        }
        Some("del") => Ok(Operation::Delete { key: key()? }),
        Some("clear") => Ok(Operation::Clear),
        Some(_) => Err("op must be set, del or clear".into()),
        None => Err("it needs an op: set, del or clear".into()),
    }
}

/// The parser's sentence without its position, which counts within the operation only.
fn reason(error: &serde_json::Error) -> String {
    // The text was checked already, so this is the one thing that JSON has and Unicode has not.
    if error.is_syntax() {
        return "op and key must be Unicode; a lone surrogate is not".into();
    }
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(sentence, _)| sentence.to_owned())
}

/// The members that count; others are ignored (clients send `scope`).
#[derive(Default)]
struct Members<'a> {
    op: Option<String>,
    key: Option<String>,
    value: Option<&'a RawValue>,
    ttl: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an operation")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<MemberName>()? {
            let repeated = match name {
                MemberName::Op => members.op.replace(map.next_value()?).is_some(),
                MemberName::Key => members.key.replace(map.next_value()?).is_some(),
                MemberName::Value => members.value.replace(map.next_value()?).is_some(),
                MemberName::Ttl => members.ttl.replace(map.next_value()?).is_some(),
                MemberName::Other => map.next_value::<IgnoredAny>().map(|_| false)?,
            };
            if repeated {
                return Err(A::Error::custom("op, key, value and ttl may each stand there once"));
            }
        }
        Ok(members)
    }
}

/// A member's name; any other is ignored, even one that is no Unicode (a lone surrogate).
enum MemberName {
    Op,
    Key,
    Value,
    Ttl,
    Other,
}

impl<'de> Deserialize<'de> for MemberName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = MemberName;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<MemberName, E> {
                Ok(match name {
                    b"op" => MemberName::Op,
                    b"key" => MemberName::Key,
                    b"value" => MemberName::Value,
                    b"ttl" => MemberName::Ttl,
                    _ => MemberName::Other,
                })
            }
        }
        deserializer.deserialize_bytes(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Expiry {
        Expiry::at_milliseconds(1_000)
    }

    fn set(key: &str, value: &'static str) -> Operation {
        let key = MemberKey::new(key).unwrap();
        Operation::Set { key, value: Bytes::from_static(value.as_bytes()) }
    }

    fn until(key: &str, value: &'static str, milliseconds: u64) -> Operation {
        let key = MemberKey::new(key).unwrap();
        let expiry = Expiry::at_milliseconds(milliseconds);
        Operation::SetUntil { key, value: Bytes::from_static(value.as_bytes()), expiry }
    }

    #[test]
    fn operations_are_read_and_values_keep_their_bytes() {
        let table = [
            ("[]", vec![]),
            (r#"[{"op":"set","key":"a","value":null}]"#, vec![set("a", "null")]),
            (r#"[{"op":"set","key":"a","value":1.50e+3}]"#, vec![set("a", "1.50e+3")]),
            (r#"[{"op":"set","key":"a","value":"\ud83d"}]"#, vec![set("a", r#""\ud83d""#)]),
            (
                r#"[{"value":{"z":1,"a":2},"key":"é","op":"set"}]"#,
                vec![set("é", r#"{"z":1,"a":2}"#)],
            ),
            (r#"[{"op":"set","key":"\u0061","value":1}]"#, vec![set("a", "1")]),
            (
                r#"[{"op":"set","key":"a","value":1,"scope":"shared","\ud83d":"\ud83d"}]"#,
                vec![set("a", "1")],
            ),
            (
                r#"[{"op":"set","key":"a","value":1,"ttl":30},{"op":"set","key":"b","ttl":"15m","value":2}]"#,
                vec![until("a", "1", 31_000), until("b", "2", 901_000)],
            ),
            (r#"[{"op":"clear","ttl":null}]"#, vec![Operation::Clear]),
            (
                r#"[{"op":"clear"},{"op":"del","key":"a","value":1}]"#,
                vec![Operation::Clear, Operation::Delete { key: MemberKey::new("a").unwrap() }],
            ),
        ];
        for (body, expected) in table {
            assert_eq!(parse(body.as_bytes(), now()), Ok(expected), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_by_index() {
        let long = format!(r#"[{{"op":"del","key":"{}"}}]"#, "k".repeat(257));
        let table = [
            (r#"[{"op":"clear"},{"op":"push","key":"a"}]"#, "operation 1", "set, del or clear"),
            (r#"[{"key":"a"}]"#, "operation 0", "needs an op"),
            (r#"[{"op":"set","value":1}]"#, "operation 0", "needs a key"),
            (r#"[{"op":"set","key":"a"}]"#, "operation 0", "needs a value"),
            (r#"[{"op":"set","key":"","value":1}]"#, "operation 0", "1 to 256 bytes"),
            (long.as_str(), "operation 0", "1 to 256 bytes"),
            (r#"[{"op":"set","key":"\ud83d","value":1}]"#, "operation 0", "surrogate"),
            (r#"[{"op":"set","key":1,"value":1}]"#, "operation 0", "string"),
            (r#"[{"op":"set","key":"a","key":"b","value":1}]"#, "operation 0", "once"),
            (r#"[{"op":"clear","op":"clear"}]"#, "operation 0", "once"),
            (r#"[{"op":"set","key":"a","value":1,"ttl":0}]"#, "operation 0", "ttl"),
            (
                r#"[{"op":"clear"},{"op":"set","key":"a","value":1,"ttl":"7d"}]"#,
                "operation 1",
                "ttl",
            ),
            (r#"[{"op":"set","key":"a","value":1,"ttl":null}]"#, "operation 0", "ttl"),
            (r#"[{"op":"set","key":"a","value":1,"ttl":1,"ttl":1}]"#, "operation 0", "once"),
            ("[1]", "operation 0", "an object"),
            ("[null]", "operation 0", "an object"),
            (r#"[["set","a",1]]"#, "operation 0", "an object"),
            ("{}", "array", ""),
            ("null", "array", ""),
        ];
        for (body, place, what) in table {
            let error = parse(body.as_bytes(), now()).expect_err(body).to_string();
            assert!(error.contains(place) && error.contains(what), "{body}: {error}");
            assert!(!error.contains("line"), "{body}: {error}");
        }
    }

    #[test]
    fn a_patch_takes_a_thousand_operations() {
        let body = |count: usize| format!("[{}]", vec![r#"{"op":"clear"}"#; count].join(","));
        assert_eq!(parse(body(1_000).as_bytes(), now()).map(|o| o.len()), Ok(1_000));
        assert_eq!(parse(body(1_001).as_bytes(), now()), Err(InvalidOperations::TooMany(1_001)));
    }
}
