//! YAML files: one document, written out as JSON while it is read.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    DuplicateKeyPolicy, Error, MessageFormatter, NonFiniteFloatPolicy, Options,
    UserMessageFormatter, budget::BudgetBreach,
};

use super::{DEPTH_MAX, ParseError};

/// The most values of a file.
const NODES_MAX: usize = 500_000;
/// The most aliases of a file, and the most values that they may repeat.
const ALIASES_MAX: usize = 10_000;
const REPEATED_MAX: usize = 100_000;

/// Reads one document and writes it as compact JSON of at most `bytes_max` bytes.
pub(super) fn to_json(text: &str, bytes_max: usize) -> Result<String, ParseError> {
    if text.lines().all(says_nothing) {
        return Err(ParseError::nowhere("the file is empty: write a YAML document into it"));
    }
    let mut output = Output { json: String::new(), bytes_max };
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), |document| {
        Node { output: &mut output, depth: 0 }.deserialize(document)
    })
    .map_err(|e| to_parse_error(&e))?;
    Ok(output.json)
}

fn says_nothing(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
}

/// The budgets bound time; [`Output`] bounds memory, whatever aliases repeat.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX + 1,
            max_nodes: NODES_MAX,
            max_events: 3 * NODES_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_merge_keys: ALIASES_MAX,
            max_recorded_anchor_events: REPEATED_MAX,
            max_documents: 2,
            // One anchor that many places share is ordinary; the output's bound covers abuse.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPEATED_MAX,
            max_replay_stack_depth: DEPTH_MAX,
        },
        emit_comments: false,
        duplicate_keys: DuplicateKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn to_parse_error(error: &Error) -> ParseError {
    let (line, column) = error.location().map_or((0, 0), |l| (l.line(), l.column()));
    ParseError::new(line, column, &explain(error))
}

/// The parser's words, except where they speak to a programmer.
fn explain(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => explain(error),
        Error::MultipleDocuments { .. } => {
            "a second document begins here: one file holds one config".to_owned()
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key {key:?} stands here twice")
        }
        Error::NonFiniteFloat { .. } => {
            "this number is infinite, not a number, or too large: JSON has no such number"
                .to_owned()
        }
        // Only keys are read as something in particular.
        Error::Unexpected { expected: "string scalar", .. } => {
            "a key is a list or a map, which JSON does not have: use text".to_owned()
        }
        Error::UnknownAnchor { .. } => "no anchor of this name stands before it".to_owned(),
        Error::NullIntoString { .. } => "a key is null: quote it to use it as text".to_owned(),
        Error::UnsupportedTag { tag, .. } => {
            format!("the tag {tag} is not supported: write the value itself")
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => format!(
            "the document is too large: it may hold {NODES_MAX} values and {ALIASES_MAX} aliases, \
             which may repeat {REPEATED_MAX} values in all; split it"
        ),
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}

fn too_deep() -> String {
    format!("the nesting is deeper than {DEPTH_MAX} levels")
}

/// JSON text with a bound.
struct Output {
    json: String,
    bytes_max: usize,
}

impl Output {
    fn write<E: de::Error>(&mut self, text: &str) -> Result<(), E> {
        if self.json.len() + text.len() > self.bytes_max {
            return Err(E::custom(format_args!(
                "with its aliases written out the document is larger than {} bytes: split it",
                self.bytes_max
            )));
        }
        self.json.push_str(text);
        Ok(())
    }

    fn write_number<E: de::Error>(&mut self, number: impl fmt::Display) -> Result<(), E> {
        let mut text = String::new();
        write!(text, "{number}").map_err(E::custom)?;
        self.write(&text)
    }

    /// A string at most doubles or, with control characters, grows sixfold; a check before
    /// keeps one that is repeated from being escaped again and again for nothing.
    fn write_string<E: de::Error>(&mut self, text: &str) -> Result<(), E> {
        if text.len() > self.bytes_max {
            return self.write(text);
        }
        self.write(&serde_json::to_string(text).map_err(E::custom)?)
    }
}

/// Writes one value.
struct Node<'a> {
    output: &'a mut Output,
    depth: usize,
}

impl Node<'_> {
    /// Aliases nest values deeper than the text does.
    fn deeper<E: de::Error>(&self) -> Result<usize, E> {
        if self.depth == DEPTH_MAX { Err(E::custom(too_deep())) } else { Ok(self.depth + 1) }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.output.write(if value { "true" } else { "false" })
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.output.write_number(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.output.write_number(value)
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<(), E> {
        self.output.write_number(value)
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<(), E> {
        self.output.write_number(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        let number = serde_json::Number::from_f64(value)
            .ok_or_else(|| E::custom("JSON has no such number"))?;
        self.output.write_number(number)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.output.write_string(value)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.output.write("null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        self.output.write("[")?;
        let start = self.output.json.len();
        loop {
            let before = self.output.json.len();
            if before > start {
                self.output.write(",")?;
            }
            if items.next_element_seed(Node { output: &mut *self.output, depth })?.is_none() {
                self.output.json.truncate(before);
                return self.output.write("]");
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        self.output.write("{")?;
        let mut seen = HashSet::new();
        // The parser compares keys as YAML does; as JSON, `1` and `"1"` are the same too.
        while let Some(key) = members.next_key_seed(NewKey { seen: &seen })? {
            if !seen.is_empty() {
                self.output.write(",")?;
            }
            self.output.write_string(&key)?;
            self.output.write(":")?;
            seen.insert(key);
            members.next_value_seed(Node { output: &mut *self.output, depth })?;
        }
        self.output.write("}")
    }
}

/// Reads a key as text; a fault in it is then reported at its place.
struct NewKey<'a> {
    seen: &'a HashSet<String>,
}

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is text, a number or a boolean")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
        if self.seen.contains(key) {
            return Err(E::custom(format_args!("the key {key:?} stands here twice")));
        }
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests;
