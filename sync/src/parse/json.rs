//! JSON files: strict RFC 8259, every key once, nesting bounded, spelling kept.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{DEPTH_MAX, ParseError};

/// Checks a document and takes out its insignificant white space.
///
/// A string with half of a surrogate pair (`"\ud83d"`) is refused: it is no text that a schema
/// could be held against.
pub(super) fn compact(text: &str) -> Result<String, ParseError> {
    if text.trim().is_empty() {
        return Err(ParseError::nowhere("the file is empty: write a JSON value into it"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Check { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|e| to_parse_error(&e))?;
    Ok(without_white_space(text))
}

fn to_parse_error(error: &serde_json::Error) -> ParseError {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = error.to_string();
    let message = message.strip_suffix(&place).unwrap_or(&message);
    ParseError::new(error.line() as u64, error.column() as u64, message)
}

/// Takes a valid document; only what stands between tokens goes.
fn without_white_space(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            in_string = c == '"';
        }
        compact.push(c);
    }
    compact
}

/// Walks a value and keeps nothing of it.
struct Check {
    depth: usize,
}

impl Check {
    fn deeper<E: de::Error>(&self) -> Result<usize, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("the nesting is deeper than {DEPTH_MAX} levels")));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        while items.next_element_seed(Self { depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(Key(key)) = members.next_key()? {
            if seen.contains(&key) {
                return Err(de::Error::custom(format_args!("the key {key:?} stands here twice")));
            }
            seen.insert(key);
            members.next_value_seed(Self { depth })?;
        }
        Ok(())
    }
}

/// A key that borrows from the document where no escape is in it.
#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_spelling_is_kept_and_white_space_goes() {
        let table = [
            ("{ \"b\" : 1.50 ,\n\t\"a\":1e2 }", "{\"b\":1.50,\"a\":1e2}"),
            (r#"[ "a \" b" , "c\\" , " d " ]"#, r#"["a \" b","c\\"," d "]"#),
            (r#"{"e":"\u00e9","e2":"é"}"#, r#"{"e":"\u00e9","e2":"é"}"#),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            (" null ", "null"),
        ];
        for (text, expected) in table {
            assert_eq!(compact(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_strict_json_is_refused_with_its_place() {
        let deep = "[".repeat(65) + &"]".repeat(65);
        let table = [
            ("", "", "empty"),
            (" \n", "", "empty"),
            ("{\"a\":1,\n \"a\":2}", "2:4", "\"a\" stands here twice"),
            (r#"{"a":1,"\u0061":2}"#, "1:15", "\"a\" stands here twice"),
            ("{\"a\":1,}", "1:8", "trailing comma"),
            ("{a:1}", "1:2", "key must be a string"),
            ("{\"a\":NaN}", "1:6", "expected value"),
            ("[1] [2]", "1:5", "trailing characters"),
            ("[1e999]", "1:6", "number out of range"),
            ("[01]", "1:3", "invalid number"),
            ("{\"a\":1 // no\n}", "1:8", "expected"),
            (r#"["\ud83d"]"#, "1:9", "hex escape"),
            ("[\"a", "1:3", "EOF"),
            (&deep, "1:66", "64 levels"),
        ];
        for (text, at, message) in table {
            let error = compact(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {error:?}");
            assert_eq!(error.at, at, "{text}: {error:?}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[ -~\\\\\"\n\u{e9}]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("[ a-c\\\\\"]{0,3}", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn pretty_text_becomes_what_the_compact_writer_makes(value in any_json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(compact(&pretty).unwrap(), value.to_string());
        }
    }
}
