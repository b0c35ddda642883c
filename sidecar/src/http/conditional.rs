//! `If-Match` and `If-None-Match` (RFC 9110 §13.1), from header lines to conditions.

use std::borrow::Cow;

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName};
use stowage_store::{Preconditions, TagCondition, WireTag};

use super::problem::Problem;

/// Whether a bare number stands for a tag, as clients of the KV contract send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BareNumbers {
    /// `If-Match: 3` is `If-Match: "3"`.
    Accepted,
    /// Tags stand in quotes.
    Refused,
}

/// Reads both fields of a request.
///
/// # Errors
/// 400 where a field is there and is not `*` or a list of tags.
pub(crate) fn preconditions(
    headers: &HeaderMap,
    numbers: BareNumbers,
) -> Result<Preconditions, Problem> {
    Ok(Preconditions {
        if_match: condition(headers, &IF_MATCH, numbers)?,
        if_none_match: condition(headers, &IF_NONE_MATCH, numbers)?,
    })
}

fn condition(
    headers: &HeaderMap,
    name: &HeaderName,
    numbers: BareNumbers,
) -> Result<Option<TagCondition>, Problem> {
    let mut lines = headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
    let Some(first) = lines.next() else { return Ok(None) };
    let mut value = Cow::Borrowed(first);
    for line in lines {
        let value = value.to_mut();
        value.push(b',');
        value.extend_from_slice(line);
    }
    parse(&value, numbers).map(Some).ok_or_else(|| {
        let field = if name == IF_MATCH { "If-Match" } else { "If-None-Match" };
        Problem::bad_request(
            "invalid_header",
            format!("{field} must be * or a list of entity tags in double quotes"),
        )
    })
}

/// `"*" / #entity-tag`; empty elements of the list are left out (RFC 9110 §5.6.1.2).
fn parse(value: &[u8], numbers: BareNumbers) -> Option<TagCondition> {
    if value.trim_ascii() == b"*" {
        return Some(TagCondition::Any);
    }
    let mut tags = Vec::new();
    let mut rest = value;
    loop {
        rest = skip(rest, |b| matches!(b, b' ' | b'\t' | b','));
        if rest.is_empty() {
            break;
        }
        let (tag, after) = entity_tag(rest, numbers)?;
        tags.push(tag);
        rest = skip(after, |b| matches!(b, b' ' | b'\t'));
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
    (!tags.is_empty()).then_some(TagCondition::Tags(tags))
}

/// `[ "W/" ] DQUOTE *etagc DQUOTE`, and what follows it. A comma may stand between the quotes.
fn entity_tag(text: &[u8], numbers: BareNumbers) -> Option<(WireTag, &[u8])> {
    let bare = skip(text, |b| b.is_ascii_digit());
    let digits = text.get(..text.len() - bare.len())?;
    if numbers == BareNumbers::Accepted && !digits.is_empty() {
        return Some((tag(false, digits), bare));
    }
    let (weak, quoted) = match text.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, text),
    };
    let inner = quoted.strip_prefix(b"\"")?;
    let length = inner.iter().position(|b| *b == b'"')?;
    let (opaque, after) = inner.split_at_checked(length)?;
    let allowed = |b: &u8| matches!(b, 0x21 | 0x23..=0x7e | 0x80..);
    if !opaque.iter().all(allowed) {
        return None;
    }
    Some((tag(weak, opaque), after.get(1..)?))
}

/// The store's own tags are ASCII, so replacing what is not UTF-8 makes none of them match.
fn tag(weak: bool, opaque: &[u8]) -> WireTag {
    WireTag { weak, opaque: String::from_utf8_lossy(opaque).into_owned() }
}

fn skip(text: &[u8], what: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|b| !what(*b)).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(lines: &[&[u8]], numbers: BareNumbers) -> Result<Option<TagCondition>, Problem> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, HeaderValue::from_bytes(line).unwrap());
        }
        preconditions(&headers, numbers).map(|p| p.if_match)
    }

    #[test]
    fn fields_are_read_as_rfc_9110_writes_them() {
        let strong = |opaque: &str| WireTag { weak: false, opaque: opaque.into() };
        let weak = |opaque: &str| WireTag { weak: true, opaque: opaque.into() };
        let list = |tags: &[WireTag]| Some(TagCondition::Tags(tags.to_vec()));
        let table: &[(&[&[u8]], Option<TagCondition>)] = &[
            (&[], None),
            (&[b"*"], Some(TagCondition::Any)),
            (&[b" * "], Some(TagCondition::Any)),
            (&[b"\"a\""], list(&[strong("a")])),
            (&[b"\"\""], list(&[strong("")])),
            (&[b"W/\"a\""], list(&[weak("a")])),
            (&[b"\"a\", W/\"b\",\"c\""], list(&[strong("a"), weak("b"), strong("c")])),
            (&[b"\"a,b\""], list(&[strong("a,b")])),
            (&[b"\"a\"", b"\"b\""], list(&[strong("a"), strong("b")])),
            (&[b",, \"a\" ,"], list(&[strong("a")])),
            (&[b"\"\xff\""], list(&[strong("\u{fffd}")])),
        ];
        for (lines, expected) in table {
            let got = read(lines, BareNumbers::Refused).expect("well formed");
            assert_eq!(&got, expected, "{lines:?}");
        }
    }

    #[test]
    fn malformed_fields_are_refused_with_400() {
        let table: &[&[&[u8]]] = &[
            &[b""],
            &[b","],
            &[b"a"],
            &[b"\"a"],
            &[b"a\""],
            &[b"\"a\" \"b\""],
            &[b"\"a\"b"],
            &[b"w/\"a\""],
            &[b"W/a"],
            &[b"*, \"a\""],
            &[b"*", b"*"],
            &[b"\"a b\""],
            &[b"3"],
        ];
        for lines in table {
            let problem = read(lines, BareNumbers::Refused).expect_err("malformed");
            assert_eq!(problem.status(), 400, "{lines:?}");
            assert!(problem.detail().contains("If-Match"), "{lines:?}: {}", problem.detail());
        }
    }

    #[test]
    fn a_bare_number_is_a_tag_where_that_is_accepted() {
        let expected = TagCondition::Tags(vec![
            WireTag { weak: false, opaque: "0".into() },
            WireTag { weak: false, opaque: "12".into() },
        ]);
        let got = read(&[b"0, \"12\""], BareNumbers::Accepted).expect("well formed");
        assert_eq!(got, Some(expected));
        assert!(read(&[b"12a"], BareNumbers::Accepted).is_err());
        assert!(read(&[b"-1"], BareNumbers::Accepted).is_err());
    }
}
