//! Whether an answer is what a case expects: pure, a function of the answer and of earlier ones.

use serde_json::Value;

use crate::case::Expect;
use crate::expect::short;
use crate::tag::Tag;
use crate::template::{Context, Missing};
use crate::wire::Answer;

/// An answer that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// Compares an answer with an expectation.
///
/// # Errors
/// [`Missing`] where the expectation speaks of what the server has not sent before.
pub(crate) fn check(
    expect: &Expect,
    answer: &Answer,
    context: &Context,
) -> Result<Result<(), Mismatch>, Missing> {
    let of =
        |name: &str| context.saved.get(name).ok_or_else(|| Missing(format!("no answer {name}")));
    let found = match expect {
        Expect::Status(statuses) => status(answer, statuses.contains(&answer.status)),
        Expect::Provided(statuses) if statuses.contains(&answer.status) => None,
        Expect::Provided(_) => {
            return Err(Missing(format!("answered {}, not {}", answer.status, expect.text())));
        }
        Expect::Success => status(answer, answer.succeeded()),
        Expect::Refusal => status(answer, answer.status >= 400),
        Expect::NoServerError => status(answer, answer.status < 500 || answer.status == 501),
        Expect::Has(name) => answer.field(name).is_none().then(|| format!("no {name}")),
        Expect::Lacks(name) => answer.field(name).map(|value| format!("{name}: {value}")),
        Expect::Field(name, pattern) => {
            let value = context.fill(pattern)?;
            field(answer, name, |found| found == value)
        }
        Expect::Begins(name, value) => field(answer, name, |found| found.starts_with(value)),
        Expect::Lists(name, member) => {
            if answer.lists(name, member) {
                None
            } else {
                Some(shown(answer, name))
            }
        }
        Expect::Same(name, saved) => {
            let same = answer.field(name) == of(saved)?.field(name);
            (!same).then(|| shown(answer, name))
        }
        Expect::SameOrAbsent(name, saved) => {
            let there = answer.field(name);
            let same = there.is_none() || there == of(saved)?.field(name);
            (!same).then(|| shown(answer, name))
        }
        Expect::OtherTag(saved) => {
            let other = answer.tag().is_some() && answer.tag() != of(saved)?.tag();
            (!other).then(|| shown(answer, "ETag"))
        }
        Expect::TagOfWrite(saved) => {
            let opaque = |answer: &Answer| Tag::parse(&answer.tag()?).map(|tag| tag.inner);
            let told = of(saved)?;
            let same = told.tag().is_none() || opaque(told) == opaque(answer);
            (!same).then(|| {
                format!("{} after {}", shown(answer, "ETag"), told.tag().unwrap_or_default())
            })
        }
        Expect::TagSyntax => {
            let wrong = answer.tag().is_some_and(|tag| Tag::parse(&tag).is_none());
            wrong.then(|| shown(answer, "ETag"))
        }
        Expect::StrongTag => {
            let tag = answer.tag().and_then(|tag| Tag::parse(&tag));
            let strong = tag.is_some_and(|tag| !tag.weak);
            (!strong).then(|| shown(answer, "ETag"))
        }
        Expect::VersionAfter(saved, by) => {
            let expected = version(of(saved)?).map(|version| version + by);
            let same = expected.is_some() && version(answer) == expected;
            (!same).then(|| shown(answer, "ETag"))
        }
        Expect::NotModifiedInFuture => future(answer),
        Expect::Holds(content) => body(answer, answer.body == content.bytes()),
        Expect::Part(content, first, last) => {
            body(answer, content.bytes().get(*first..=*last) == Some(answer.body.as_slice()))
        }
        Expect::Body(bytes) => body(answer, answer.body == *bytes),
        Expect::NoBody => body(answer, answer.body.is_empty()),
        Expect::Json(pointer, value) => member(answer, pointer, |found| found == value),
        Expect::JsonHas(pointer) => member(answer, pointer, |_| true),
        Expect::Problem => problem(answer),
        Expect::Where(statuses, inner) => {
            if statuses.contains(&answer.status) {
                for expect in inner {
                    if let Err(mismatch) = check(expect, answer, context)? {
                        return Ok(Err(mismatch));
                    }
                }
            }
            None
        }
        Expect::Outcome { of: saved, before, after } => {
            let applied = of(saved)?.succeeded();
            let content = if applied { *after } else { *before };
            if answer.body == content.bytes() {
                None
            } else {
                let expected = format!(
                    "{}, since the write was answered {}",
                    short(content),
                    of(saved)?.status
                );
                return Ok(Err(Mismatch { expected, found: answer.excerpt() }));
            }
        }
    };
    Ok(match found {
        None => Ok(()),
        Some(found) => Err(Mismatch { expected: expect.text(), found }),
    })
}

/// What was found, where it is not as expected.
type Found = Option<String>;

fn status(answer: &Answer, holds: bool) -> Found {
    (!holds).then(|| answer.status.to_string())
}

fn field(answer: &Answer, name: &str, holds: impl Fn(&str) -> bool) -> Found {
    let held = answer.field(name).is_some_and(|value| holds(&value));
    (!held).then(|| shown(answer, name))
}

fn shown(answer: &Answer, name: &str) -> String {
    match answer.field(name) {
        Some(value) => format!("{name}: {value}"),
        None => format!("no {name}"),
    }
}

fn body(answer: &Answer, holds: bool) -> Found {
    (!holds).then(|| format!("{} with {}", answer.status, answer.excerpt()))
}

fn version(answer: &Answer) -> Option<u64> {
    Tag::parse(&answer.tag()?)?.inner.parse().ok()
}

fn future(answer: &Answer) -> Found {
    let time = |name| answer.field(name).and_then(|text| httpdate::parse_http_date(&text).ok());
    let modified = time("last-modified")?;
    let date = time("date")?;
    (modified > date)
        .then(|| format!("{}, {}", shown(answer, "Last-Modified"), shown(answer, "Date")))
}

fn member(answer: &Answer, pointer: &str, holds: impl Fn(&Value) -> bool) -> Found {
    let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else {
        return Some(format!("{} with no JSON: {}", answer.status, answer.excerpt()));
    };
    match json.pointer(pointer) {
        Some(found) if holds(found) => None,
        Some(found) => Some(format!("{found} at {pointer}")),
        None => Some(format!("{} with {}", answer.status, answer.excerpt())),
    }
}

/// RFC 9457 §3.1, and `error` of Stowage's contracts.
fn problem(answer: &Answer) -> Found {
    let media = answer.field("content-type").unwrap_or_default();
    if media.split(';').next().map(str::trim) != Some("application/problem+json") {
        return Some(shown(answer, "Content-Type"));
    }
    let json = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    let text = |name| json.get(name).is_some_and(Value::is_string);
    let whole = text("type")
        && text("title")
        && text("error")
        && text("detail")
        && json.get("status").and_then(Value::as_u64) == Some(u64::from(answer.status));
    (!whole).then(|| answer.excerpt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{A, B};

    fn answer(status: u16, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let fields = fields.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
        Answer { status, fields, body: body.to_vec(), closes: false }
    }

    #[test]
    fn what_is_provided_for_or_the_case_does_not_apply() {
        let context = Context::default();
        let provided = Expect::Provided(&[304]);
        assert_eq!(check(&provided, &answer(304, &[], b""), &context), Ok(Ok(())));
        let missing = check(&provided, &answer(200, &[], b""), &context);
        assert_eq!(missing, Err(Missing("answered 200, not 304".into())));
    }

    #[test]
    fn every_expectation_can_hold_and_fail() {
        let mut context = Context::default();
        let saved = |status, tag| answer(status, &[("ETag", tag)], b"");
        context.saved.insert("a", saved(200, "\"4\""));
        context.saved.insert("refused", saved(412, "\"4\""));
        let problem =
            br#"{"type":"about:blank","title":"t","status":400,"detail":"d","error":"e"}"#;
        let holds = |body: &[u8]| answer(200, &[], body);
        let field = |name, value| answer(200, &[(name, value)], b"");
        let day = "Sun, 06 Nov 1994 08:49:37 GMT";
        let next = "Mon, 07 Nov 1994 08:49:37 GMT";
        let dated =
            |date, modified| answer(200, &[("Date", date), ("Last-Modified", modified)], b"");
        let table = [
            (Expect::Status(&[200, 204]), holds(b""), answer(412, &[], b"")),
            (Expect::Success, holds(b""), answer(304, &[], b"")),
            (Expect::Refusal, answer(412, &[], b""), holds(b"")),
            (Expect::NoServerError, answer(501, &[], b""), answer(500, &[], b"")),
            (Expect::Has("ETag"), field("etag", "x"), holds(b"")),
            (Expect::Lacks("ETag"), holds(b""), field("etag", "x")),
            (Expect::Field("ETag", "‹a›"), field("etag", "\"4\""), field("etag", "\"5\"")),
            (Expect::Begins("X", "ab"), field("X", "abc"), field("X", "ba")),
            (Expect::Lists("Allow", "GET"), field("allow", "PUT, get"), field("allow", "PUT")),
            (Expect::Same("ETag", "a"), field("etag", "\"4\""), holds(b"")),
            (Expect::SameOrAbsent("ETag", "a"), holds(b""), field("etag", "\"5\"")),
            (Expect::OtherTag("a"), field("etag", "\"5\""), field("etag", "\"4\"")),
            (Expect::TagOfWrite("a"), field("etag", "\"4\""), field("etag", "\"5\"")),
            (Expect::TagSyntax, holds(b""), field("etag", "5")),
            (Expect::StrongTag, field("etag", "\"5\""), field("etag", "W/\"5\"")),
            (Expect::VersionAfter("a", 1), field("etag", "\"5\""), field("etag", "\"6\"")),
            (Expect::NotModifiedInFuture, dated(next, day), dated(day, next)),
            (Expect::Holds(A), holds(&A.bytes()), holds(&B.bytes())),
            (Expect::Part(A, 0, 1), holds(b"{\""), holds(b"{")),
            (Expect::Body(b"1"), holds(b"1"), holds(b"2")),
            (Expect::NoBody, holds(b""), holds(b"2")),
            (Expect::Json("/a", 1.into()), holds(br#"{"a":1}"#), holds(br#"{"a":2}"#)),
            (Expect::JsonHas("/a"), holds(br#"{"a":1}"#), holds(b"{}")),
            (
                Expect::Problem,
                answer(400, &[("content-type", "application/problem+json")], problem),
                answer(400, &[("content-type", "application/json")], problem),
            ),
            (Expect::Where(&[200], vec![Expect::NoBody]), answer(400, &[], b"x"), holds(b"x")),
            (
                Expect::Outcome { of: "a", before: A, after: B },
                holds(&B.bytes()),
                holds(&A.bytes()),
            ),
            (
                Expect::Outcome { of: "refused", before: A, after: B },
                holds(&A.bytes()),
                holds(&B.bytes()),
            ),
        ];
        for (expect, good, bad) in table {
            assert_eq!(check(&expect, &good, &context), Ok(Ok(())), "{expect:?}");
            assert!(matches!(check(&expect, &bad, &context), Ok(Err(_))), "{expect:?}");
        }
    }
}
