//! Patterns in the tables: `‹a›` is the `ETag` of the answer that was saved as `a`.
//!
//! The brackets are no Latin-1 characters, so nothing that goes over the wire can be taken for one.
//!
//! | pattern | what |
//! |---|---|
//! | `‹a›` | the tag as it came |
//! | `‹a.weak›` | with `W/`, whatever it was |
//! | `‹a.opaque›` | without `W/` |
//! | `‹a.inner›` | without the quotes too |
//! | `‹a.flipped›` | its letters' case the other way round |
//! | `‹a.modified›`, `‹a.rfc850›`, `‹a.asctime›` | `Last-Modified`, in each form of a date |
//! | `‹a.before›`, `‹a.after›` | a day before and after it |
//! | `‹here›` | the target of the case's resource |
//! | `‹base›` | the path below which everything happens |
//! | `‹name›` | the case's random name |

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::tag::Tag;
use crate::wire::Answer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What patterns speak of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    /// The path below which everything happens.
    pub(crate) base: String,
    /// The case's random name.
    pub(crate) name: String,
    /// The target of its resource.
    pub(crate) here: String,
    /// Answers of earlier steps.
    pub(crate) saved: BTreeMap<&'static str, Answer>,
}

/// A pattern speaks of something that the server has not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) String);

impl Context {
    /// Puts in what the pattern speaks of.
    pub(crate) fn fill(&self, pattern: &str) -> Result<String, Missing> {
        let mut text = String::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('‹') {
            let (name, behind) = after.split_once('›').unwrap_or((after, ""));
            text.push_str(before);
            text.push_str(&self.value(name)?);
            rest = behind;
        }
        text.push_str(rest);
        Ok(text)
    }

    fn value(&self, name: &str) -> Result<String, Missing> {
        match name {
            "base" => return Ok(self.base.clone()),
            "here" => return Ok(self.here.clone()),
            "name" => return Ok(self.name.clone()),
            _ => {}
        }
        let (saved, form) = name.split_once('.').unwrap_or((name, ""));
        let answer = self.saved.get(saved).ok_or_else(|| Missing(format!("no answer {saved}")))?;
        match form {
            "modified" | "before" | "after" | "rfc850" | "asctime" => date(answer, form),
            _ => tag(answer, form),
        }
    }
}

fn tag(answer: &Answer, form: &str) -> Result<String, Missing> {
    let text = answer.tag().ok_or_else(|| Missing("the answer has no ETag".into()))?;
    if form.is_empty() {
        return Ok(text);
    }
    let tag = Tag::parse(&text).ok_or_else(|| Missing(format!("{text} is no entity tag")))?;
    Ok(match form {
        "weak" => format!("W/{}", tag.opaque()),
        "opaque" => tag.opaque(),
        "inner" => tag.inner,
        _ => {
            let flipped: String = tag.inner.chars().map(flip).collect();
            if flipped == tag.inner {
                return Err(Missing("the tags of this server hold no letters".into()));
            }
            format!("\"{flipped}\"")
        }
    })
}

fn flip(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}

fn date(answer: &Answer, form: &str) -> Result<String, Missing> {
    let text = answer
        .field("last-modified")
        .ok_or_else(|| Missing("the answer has no Last-Modified".into()))?;
    let time =
        httpdate::parse_http_date(&text).map_err(|_| Missing(format!("{text} is no date")))?;
    Ok(match form {
        "before" => httpdate::fmt_http_date(time - DAY),
        "after" => httpdate::fmt_http_date(time + DAY),
        "rfc850" => rfc850(time),
        "asctime" => asctime(time),
        _ => text,
    })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`, from `Sun, 06 Nov 1994 08:49:37 GMT`.
fn rfc850(time: SystemTime) -> String {
    let fixed = httpdate::fmt_http_date(time);
    let words: Vec<&str> = fixed.split([' ', ',']).filter(|w| !w.is_empty()).collect();
    let [day, date, month, year, clock, zone] = words.as_slice() else { return fixed };
    let long = match *day {
        "Tue" => "Tuesday".to_owned(),
        "Wed" => "Wednesday".to_owned(),
        "Thu" => "Thursday".to_owned(),
        "Sat" => "Saturday".to_owned(),
        short => format!("{short}day"),
    };
    format!("{long}, {date}-{month}-{} {clock} {zone}", year.get(2..).unwrap_or(year))
}

/// `Sun Nov  6 08:49:37 1994`.
fn asctime(time: SystemTime) -> String {
    let fixed = httpdate::fmt_http_date(time);
    let words: Vec<&str> = fixed.split([' ', ',']).filter(|w| !w.is_empty()).collect();
    let [day, date, month, year, clock, _] = words.as_slice() else { return fixed };
    format!("{day} {month} {:>2} {clock} {year}", date.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(tag: &str, modified: Option<&str>) -> Context {
        let mut fields = vec![("ETag".to_owned(), tag.to_owned())];
        fields.extend(modified.map(|m| ("last-modified".to_owned(), m.to_owned())));
        let answer = Answer { status: 200, fields, ..Answer::default() };
        Context {
            base: "/b".into(),
            name: "n".into(),
            here: "/b/n".into(),
            saved: BTreeMap::from([("a", answer)]),
        }
    }

    #[test]
    fn patterns_are_filled() {
        let context = context("W/\"aB1\"", Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        let table = [
            ("‹a›", "W/\"aB1\""),
            ("‹a.opaque›, ‹a.weak›", "\"aB1\", W/\"aB1\""),
            ("\"x,‹a.inner›\"", "\"x,aB1\""),
            ("‹a.flipped›", "\"Ab1\""),
            ("‹a.modified›", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("‹a.before›", "Sat, 05 Nov 1994 08:49:37 GMT"),
            ("‹a.after›", "Mon, 07 Nov 1994 08:49:37 GMT"),
            ("‹a.rfc850›", "Sunday, 06-Nov-94 08:49:37 GMT"),
            ("‹a.asctime›", "Sun Nov  6 08:49:37 1994"),
            ("‹base›|‹here›|‹name›", "/b|/b/n|n"),
            ("{plain}", "{plain}"),
        ];
        for (pattern, expected) in table {
            assert_eq!(context.fill(pattern).as_deref(), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn what_the_server_has_not_sent_is_said() {
        let context = context("\"123\"", None);
        for pattern in ["‹b›", "‹a.modified›", "‹a.flipped›"] {
            assert!(context.fill(pattern).is_err(), "{pattern}");
        }
    }
}
