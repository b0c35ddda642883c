//! The few members of a document that count, cut out of its text.
//!
//! The rest is walked over and never built, so a number that no float holds, a lone surrogate or a
//! million members harm nothing. Of a member that stands there twice the last one counts, as for
//! the runtime's own parser; what a request sends must not be ambiguous.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use stowage_store::{EVENT_NUMBER_MAX, EventId, Name, NameKind};

/// Why a body cannot stand at a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {reason}")]
pub(crate) struct InvalidDocument {
    /// Which member, as a JSON pointer (RFC 6901); the whole document where it is empty.
    pub(crate) pointer: &'static str,
    reason: String,
}

/// A member of the top level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Member<'a> {
    /// Its text; the last one's, where there are several.
    pub(super) text: Option<&'a str>,
    is_repeated: bool,
}

impl Member<'_> {
    /// The number that it is, if it is one.
    pub(super) fn number(self) -> Option<f64> {
        let is_number = |text: &&str| text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        self.text.filter(is_number)?.parse().ok()
    }
}

/// Whether a text is a JSON object in UTF-8.
pub(crate) fn is_document(text: &[u8]) -> bool {
    read(text, []).is_some()
}

/// The members of these names; `None` where the text is no JSON object.
pub(super) fn read<'a, const N: usize>(
    text: &'a [u8],
    names: [&'static str; N],
) -> Option<[Member<'a>; N]> {
    let text = std::str::from_utf8(text).ok()?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = Members(names, PhantomData).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(members)
}

struct Members<'a, const N: usize>([&'static str; N], PhantomData<&'a ()>);

impl<'de: 'a, 'a, const N: usize> DeserializeSeed<'de> for Members<'a, N> {
    type Value = [Member<'a>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de: 'a, 'a, const N: usize> Visitor<'de> for Members<'a, N> {
    type Value = [Member<'a>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = [Member::default(); N];
        while let Some(place) = map.next_key_seed(MemberName(&self.0))? {
            let value: &'de RawValue = map.next_value()?;
            if let Some(member) = place.and_then(|place| members.get_mut(place)) {
                member.is_repeated = member.text.replace(value.get()).is_some();
            }
        }
        Ok(members)
    }
}

/// The place of a member's name in a list of names. It is read as bytes: a name with a lone
/// surrogate is JSON, and no text.
struct MemberName<'n>(&'n [&'static str]);

impl<'de> DeserializeSeed<'de> for MemberName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for MemberName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| known.as_bytes() == name))
    }
}

/// Checks the body of `PUT /jobs/{job}`.
///
/// # Errors
/// [`InvalidDocument`].
pub(crate) fn check_job(text: &[u8], job: &Name) -> Result<(), InvalidDocument> {
    let [id, job_id] = request(text, ["id", "jobId"])?;
    same_id(id, "/id", job)?;
    same_id(job_id, "/jobId", job)
}

/// Checks the body of `PUT /jobs/{job}/checkpoints/{checkpoint}`.
///
/// # Errors
/// [`InvalidDocument`].
pub(crate) fn check_checkpoint(
    text: &[u8],
    job: &Name,
    checkpoint: &Name,
) -> Result<(), InvalidDocument> {
    let [id, job_id] = request(text, ["id", "jobId"])?;
    same_id(id, "/id", checkpoint)?;
    same_id(job_id, "/jobId", job)
}

/// Checks the body of `PUT /jobs/{job}/runs/{run}`.
///
/// # Errors
/// [`InvalidDocument`].
pub(crate) fn check_run_setting(
    text: &[u8],
    job: &Name,
    run: &Name,
) -> Result<(), InvalidDocument> {
    let [job_id, run_id] = request(text, ["jobId", "runId"])?;
    same_id(job_id, "/jobId", job)?;
    same_id(run_id, "/runId", run)
}

/// Checks the body of `POST /jobs/{job}/runs/{run}/events`, and gives the event's id.
///
/// # Errors
/// [`InvalidDocument`].
pub(crate) fn check_event(text: &[u8], job: &Name, run: &Name) -> Result<EventId, InvalidDocument> {
    let [job_id, run_id, timestamp, step, kind] =
        request(text, ["jobId", "runId", "timestamp", "stepNumber", "type"])?;
    same_id(job_id, "/jobId", job)?;
    same_id(run_id, "/runId", run)?;
    let timestamp = whole_number(timestamp, "/timestamp")?;
    let step = whole_number(step, "/stepNumber")?;
    let kind = string(kind, "/type")?.ok_or_else(|| missing("/type"))?;
    let kind = Name::parse(NameKind::EventType, &kind)
        .map_err(|error| invalid("/type", format!("is no event type: {error}")))?;
    EventId::new(timestamp, step, kind).map_err(|error| invalid("", error.to_string()))
}

fn invalid(pointer: &'static str, reason: impl Into<String>) -> InvalidDocument {
    InvalidDocument { pointer, reason: reason.into() }
}

fn missing(pointer: &'static str) -> InvalidDocument {
    invalid(pointer, "is missing")
}

/// The members of a body that was checked to be JSON.
fn request<'a, const N: usize>(
    text: &'a [u8],
    names: [&'static str; N],
) -> Result<[Member<'a>; N], InvalidDocument> {
    read(text, names).ok_or_else(|| invalid("", "the body must be a JSON object"))
}

fn once<'a>(member: Member<'a>, pointer: &'static str) -> Result<Option<&'a str>, InvalidDocument> {
    if member.is_repeated {
        return Err(invalid(pointer, "stands there more than once"));
    }
    Ok(member.text)
}

fn string(member: Member<'_>, pointer: &'static str) -> Result<Option<String>, InvalidDocument> {
    let text = once(member, pointer)?.map(serde_json::from_str);
    text.transpose().map_err(|_| invalid(pointer, "must be a string"))
}

/// An id that the body says must be that of the path; one that it does not say is the path's.
fn same_id(member: Member<'_>, pointer: &'static str, name: &Name) -> Result<(), InvalidDocument> {
    match string(member, pointer)? {
        Some(id) if id != name.as_str() => Err(invalid(pointer, "is not the id in the path")),
        _ => Ok(()),
    }
}

/// A whole number in any spelling of JSON, such as `1.7e12`.
fn whole_number(member: Member<'_>, pointer: &'static str) -> Result<u64, InvalidDocument> {
    let text = once(member, pointer)?.ok_or_else(|| missing(pointer))?;
    let wrong = || invalid(pointer, format!("must be a whole number from 0 to {EVENT_NUMBER_MAX}"));
    match text.parse::<u64>() {
        Ok(number) => Some(number),
        Err(_) => member.number().and_then(whole),
    }
    .filter(|number| *number <= stowage_store::EVENT_NUMBER_MAX)
    .ok_or_else(wrong)
}

fn whole(number: f64) -> Option<u64> {
    let is_whole =
        number.fract() == 0.0 && (0.0..=stowage_store::EVENT_NUMBER_MAX as f64).contains(&number);
    is_whole.then_some(number as u64)
}

/// The setting of a run with another `updatedAt`, in milliseconds since 1970; everything else
/// stays as it is spelled. `None` where it is no JSON object.
pub(crate) fn with_updated_at(text: &Bytes, milliseconds: i64) -> Option<Bytes> {
    let [updated_at] = read(text, ["updatedAt"])?;
    let number = milliseconds.to_string();
    let (before, value, after) = match updated_at.text {
        Some(value) => {
            let start = value.as_ptr().addr() - text.as_ptr().addr();
            (text.get(..start)?, number, text.get(start + value.len()..)?)
        }
        None => {
            let end = text.iter().rposition(|b| *b == b'}')?;
            let (before, after) = text.split_at_checked(end)?;
            let is_empty = before.trim_ascii_end().ends_with(b"{");
            let comma = if is_empty { "" } else { "," };
            (before, format!("{comma}\"updatedAt\":{number}"), after)
        }
    };
    Some([before, value.as_bytes(), after].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(kind: NameKind, text: &str) -> Name {
        Name::parse(kind, text).unwrap()
    }

    #[test]
    fn members_are_cut_out_of_whatever_json_surrounds_them() {
        let deep = format!(r#"{{"x":{}1{},"id":"a"}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let table = [
            (r#"{"id":"a"}"#, Some(Some(r#""a""#))),
            (r#" { "x" : 1e999, "id" : -1.50e+3 } "#, Some(Some("-1.50e+3"))),
            (r#"{"id":1,"id":2}"#, Some(Some("2"))),
            (r#"{"\u0069d":[1, 2]}"#, Some(Some("[1, 2]"))),
            (r#"{"\ud83d":"\ud83d","id":null}"#, Some(Some("null"))),
            (r#"{"x":{"id":1}}"#, Some(None)),
            (&deep, Some(Some(r#""a""#))),
            ("{}", Some(None)),
            ("[]", None),
            ("1", None),
            ("", None),
            ("{", None),
            ("{} {}", None),
            ("\u{feff}{}", None),
            (r#"{"id":1,}"#, None),
            (r#"{"x":01,"id":1}"#, None),
            ("{\"x\":\"a\nb\"}", None),
        ];
        for (text, expected) in table {
            let got = read(text.as_bytes(), ["id"]).map(|[id]| id.text);
            assert_eq!(got, expected, "{}", text.get(..80).unwrap_or(text));
        }
        assert!(!is_document(b"{\"a\":\"\xff\"}"), "it is not UTF-8");
        assert!(!is_document(b"{\"\xff\":1}"), "it is not UTF-8");
    }

    #[test]
    fn ids_in_a_body_are_those_of_the_path_or_not_there() {
        let (job, run) = (name(NameKind::Job, "j"), name(NameKind::Run, "r"));
        let checkpoint = name(NameKind::Checkpoint, "c");
        let pointer = |result: Result<(), InvalidDocument>| result.err().map(|error| error.pointer);
        let table = [
            ("{}", None, None, None),
            (r#"{"id":"j","jobId":"j"}"#, None, Some("/id"), None),
            (r#"{"id":"c","jobId":"j","runId":"s"}"#, Some("/id"), None, Some("/runId")),
            (r#"{"id":"c","jobId":"k"}"#, Some("/id"), Some("/jobId"), Some("/jobId")),
            (r#"{"id":"j","jobId":"k"}"#, Some("/jobId"), Some("/id"), Some("/jobId")),
            (r#"{"id":null}"#, Some("/id"), Some("/id"), None),
            (r#"{"id":"\ud83d"}"#, Some("/id"), Some("/id"), None),
            (r#"{"id":"x","id":"j"}"#, Some("/id"), Some("/id"), None),
            (r#"{"\u0069d":"x"}"#, Some("/id"), Some("/id"), None),
            ("[]", Some(""), Some(""), Some("")),
        ];
        for (text, of_job, of_checkpoint, of_run) in table {
            let text = text.as_bytes();
            assert_eq!(pointer(check_job(text, &job)), of_job, "{text:?}");
            let found = pointer(check_checkpoint(text, &job, &checkpoint));
            assert_eq!(found, of_checkpoint, "{text:?}");
            assert_eq!(pointer(check_run_setting(text, &job, &run)), of_run, "{text:?}");
        }
    }

    #[test]
    fn an_event_says_its_own_key() {
        let (job, run) = (name(NameKind::Job, "j"), name(NameKind::Run, "r"));
        let id = |text: &str| {
            let id = check_event(text.as_bytes(), &job, &run);
            id.map(|id| id.to_string()).map_err(|error| error.pointer)
        };
        let event = |timestamp: &str, step: &str, kind: &str| {
            id(&format!(r#"{{"timestamp":{timestamp},"stepNumber":{step},"type":{kind}}}"#))
        };
        let table = [
            ("1700000000000", "0", r#""startRun""#, Ok("1700000000000-0-startRun")),
            ("1.7e12", "3.0", r#""a-b""#, Ok("1700000000000-3-a-b")),
            ("9007199254740991", "1", r#""a""#, Ok("9007199254740991-1-a")),
            ("9007199254740992", "1", r#""a""#, Err("/timestamp")),
            ("9007199254740993", "1", r#""a""#, Err("/timestamp")),
            ("1e400", "1", r#""a""#, Err("/timestamp")),
            ("-1", "1", r#""a""#, Err("/timestamp")),
            ("1.5", "1", r#""a""#, Err("/timestamp")),
            (r#""1""#, "1", r#""a""#, Err("/timestamp")),
            ("1", "null", r#""a""#, Err("/stepNumber")),
            ("1", "[1]", r#""a""#, Err("/stepNumber")),
            ("1", "1", "1", Err("/type")),
            ("1", "1", r#""""#, Err("/type")),
            ("1", "1", r#""../a""#, Err("/type")),
            ("1", "1", r#""a/b""#, Err("/type")),
        ];
        for (timestamp, step, kind, expected) in table {
            let expected = expected.map(str::to_owned);
            assert_eq!(event(timestamp, step, kind), expected, "{timestamp} {step} {kind}");
        }
        assert_eq!(id(r#"{"stepNumber":1,"type":"a"}"#), Err("/timestamp"));
        assert_eq!(id(r#"{"timestamp":1,"type":"a"}"#), Err("/stepNumber"));
        assert_eq!(id(r#"{"timestamp":1,"stepNumber":1}"#), Err("/type"));
        let twice = r#"{"timestamp":1,"timestamp":2,"stepNumber":1,"type":"a"}"#;
        assert_eq!(id(twice), Err("/timestamp"));
        let other = r#"{"jobId":"k","timestamp":1,"stepNumber":1,"type":"a"}"#;
        assert_eq!(id(other), Err("/jobId"));
    }

    #[test]
    fn a_setting_gets_another_time_and_keeps_the_rest() {
        let table = [
            (r#"{"updatedAt":1}"#, Some(r#"{"updatedAt":42}"#)),
            (
                "{\n \"a\": 1.50,\n \"updatedAt\": 17,\n \"b\": \"\\ud83d\"\n}\n",
                Some("{\n \"a\": 1.50,\n \"updatedAt\": 42,\n \"b\": \"\\ud83d\"\n}\n"),
            ),
            (r#"{"updatedAt":1,"updatedAt":"x"}"#, Some(r#"{"updatedAt":1,"updatedAt":42}"#)),
            (r#"{"x":{"updatedAt":1}}"#, Some(r#"{"x":{"updatedAt":1},"updatedAt":42}"#)),
            ("{ }", Some(r#"{ "updatedAt":42}"#)),
            ("[]", None),
            ("{", None),
        ];
        for (text, expected) in table {
            let got = with_updated_at(&Bytes::from_static(text.as_bytes()), 42);
            assert_eq!(got, expected.map(|text| Bytes::from_static(text.as_bytes())), "{text}");
        }
    }
}
