//! Conditions on the modification date (RFC 9110 §13.1.3–13.1.5), which only archives have.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use stowage_store::{EntityTag, Preconditions, Verdict};

/// The latest second that an HTTP-date can say: the end of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;

/// When an archive was modified, to the second, as `Last-Modified` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LastModified(SystemTime);

impl LastModified {
    /// `None` where no such field may be sent: an HTTP-date has four digits for the year, and it
    /// must not be later than the answer's own (RFC 9110 §8.8.2.1), as that of a file is that
    /// somebody dated into the future.
    pub(crate) fn of(modified: Timestamp, now: Timestamp) -> Option<Self> {
        let second = modified.as_second();
        if modified > now || second > SECONDS_MAX {
            return None;
        }
        Some(Self(UNIX_EPOCH + Duration::from_secs(u64::try_from(second).ok()?)))
    }

    /// The field's value.
    pub(crate) fn to_header(self) -> Option<HeaderValue> {
        HeaderValue::try_from(httpdate::fmt_http_date(self.0)).ok()
    }
}

/// Whether `If-Unmodified-Since` lets a request through. `None` where it does not count: beside
/// `If-Match`, and where it is no date or the archive has none (§13.1.4).
pub(crate) fn unmodified_since(
    headers: &HeaderMap,
    modified: Option<LastModified>,
) -> Option<bool> {
    if headers.contains_key(IF_MATCH) {
        return None;
    }
    Some(modified? <= date(headers, &IF_UNMODIFIED_SINCE)?)
}

/// Evaluates the conditions of a GET or HEAD on an archive that is there, in the order of §13.2.2.
pub(crate) fn evaluate(
    headers: &HeaderMap,
    preconditions: &Preconditions,
    tag: &EntityTag,
    modified: Option<LastModified>,
) -> Verdict {
    if unmodified_since(headers, modified) == Some(false) {
        return Verdict::MatchFailed;
    }
    let verdict = preconditions.evaluate(Some(tag));
    if verdict != Verdict::Holds || headers.contains_key(IF_NONE_MATCH) {
        return verdict;
    }
    match (date(headers, &IF_MODIFIED_SINCE), modified) {
        (Some(since), Some(modified)) if modified <= since => Verdict::NoneMatchFailed,
        _ => Verdict::Holds,
    }
}

/// Whether `If-Range` lets a `Range` count (§13.1.5): it is absent, or it is the current tag and
/// strong, or exactly the current date. Anything else is answered whole, which is never wrong.
///
/// `own_second` is the archive's date where it is known that nothing else was published within that
/// second, and `None` else: only then is a date a strong validator (§8.8.2.2). Two archives of one
/// second have one date, and the client would join the start of one to the rest of the other.
pub(crate) fn if_range_holds(
    headers: &HeaderMap,
    tag: &EntityTag,
    own_second: Option<LastModified>,
) -> bool {
    let mut lines = headers.get_all(IF_RANGE).iter();
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(line), None) if line.as_bytes().starts_with(b"\"") => {
            line.as_bytes() == tag.to_string().as_bytes()
        }
        (Some(_), None) => own_second.is_some() && date(headers, &IF_RANGE) == own_second,
        (Some(_), Some(_)) => false,
    }
}

/// `None` where the field is absent, not single or no HTTP-date, as if it were not there.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<LastModified> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    httpdate::parse_http_date(line.to_str().ok()?).ok().map(LastModified)
}

#[cfg(test)]
mod tests {
    use super::super::super::conditional::{BareNumbers, preconditions};
    use super::*;

    const BEFORE: &str = "Tue, 15 Nov 1994 12:45:25 GMT";
    const AT: &str = "Tue, 15 Nov 1994 12:45:26 GMT";
    const AFTER: &str = "Tue, 15 Nov 1994 12:45:27 GMT";

    /// An archive of 1994-11-15 12:45:26.7: what is below a second counts nowhere.
    fn modified() -> Option<LastModified> {
        let modified: Timestamp = "1994-11-15T12:45:26.7Z".parse().unwrap();
        LastModified::of(modified, Timestamp::now())
    }

    fn tag() -> EntityTag {
        EntityTag::new("a").unwrap()
    }

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn conditions_are_evaluated_in_the_order_of_the_rfc() {
        use Verdict::{Holds, MatchFailed, NoneMatchFailed};
        let table: &[(&[(HeaderName, &str)], Verdict)] = &[
            (&[], Holds),
            (&[(IF_MODIFIED_SINCE, BEFORE)], Holds),
            (&[(IF_MODIFIED_SINCE, AT)], NoneMatchFailed),
            (&[(IF_MODIFIED_SINCE, AFTER)], NoneMatchFailed),
            (&[(IF_MODIFIED_SINCE, "Tuesday, 15-Nov-94 12:45:26 GMT")], NoneMatchFailed),
            (&[(IF_MODIFIED_SINCE, "Tue Nov 15 12:45:26 1994")], NoneMatchFailed),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Holds),
            (&[(IF_MODIFIED_SINCE, AT), (IF_MODIFIED_SINCE, AT)], Holds),
            (&[(IF_MODIFIED_SINCE, AT), (IF_NONE_MATCH, "\"b\"")], Holds),
            (&[(IF_MODIFIED_SINCE, BEFORE), (IF_NONE_MATCH, "\"a\"")], NoneMatchFailed),
            (&[(IF_UNMODIFIED_SINCE, BEFORE)], MatchFailed),
            (&[(IF_UNMODIFIED_SINCE, AT)], Holds),
            (&[(IF_UNMODIFIED_SINCE, AFTER)], Holds),
            (&[(IF_UNMODIFIED_SINCE, "yesterday")], Holds),
            (&[(IF_UNMODIFIED_SINCE, BEFORE), (IF_MATCH, "\"a\"")], Holds),
            (&[(IF_UNMODIFIED_SINCE, AT), (IF_MATCH, "\"b\"")], MatchFailed),
            (&[(IF_UNMODIFIED_SINCE, BEFORE), (IF_NONE_MATCH, "\"a\"")], MatchFailed),
            (&[(IF_UNMODIFIED_SINCE, AT), (IF_MODIFIED_SINCE, AT)], NoneMatchFailed),
        ];
        for (fields, expected) in table {
            let headers = headers(fields);
            let preconditions = preconditions(&headers, BareNumbers::Refused).unwrap();
            let got = evaluate(&headers, &preconditions, &tag(), modified());
            assert_eq!(got, *expected, "{fields:?}");
            if fields.iter().all(|(name, _)| *name != IF_MATCH && *name != IF_NONE_MATCH) {
                let got = evaluate(&headers, &preconditions, &tag(), None);
                assert_eq!(got, Holds, "{fields:?} of an archive without a date");
            }
        }
    }

    #[test]
    fn a_range_counts_under_the_current_strong_validator_alone() {
        let table: &[(&[&str], bool)] = &[
            (&[], true),
            (&["\"a\""], true),
            (&["W/\"a\""], false),
            (&["\"b\""], false),
            (&["a"], false),
            (&["\"a\", \"b\""], false),
            (&["*"], false),
            (&[AT], true),
            (&[BEFORE], false),
            (&[AFTER], false),
            (&["\"a\"", "\"a\""], false),
        ];
        for (lines, expected) in table {
            let fields: Vec<_> = lines.iter().map(|line| (IF_RANGE, *line)).collect();
            let got = if_range_holds(&headers(&fields), &tag(), modified());
            assert_eq!(got, *expected, "{lines:?}");
        }
        for line in [AT, "nonsense"] {
            let got = if_range_holds(&headers(&[(IF_RANGE, line)]), &tag(), None);
            assert!(!got, "{line}: its second is not its own");
        }
    }

    #[test]
    fn a_date_that_cannot_be_said_is_left_out() {
        let now: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let table = [
            ("2023-12-31T23:59:59.999999999Z", Some("Sun, 31 Dec 2023 23:59:59 GMT")),
            ("2024-01-01T00:00:00Z", Some("Mon, 01 Jan 2024 00:00:00 GMT")),
            ("2024-01-01T00:00:00.000000001Z", None),
            ("2024-01-02T00:00:00Z", None),
            ("1970-01-01T00:00:00Z", Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            ("1969-12-31T23:59:58Z", None),
        ];
        for (modified, expected) in table {
            let got = LastModified::of(modified.parse().unwrap(), now)
                .map(|date| date.to_header().expect("a value"));
            assert_eq!(got.as_ref().map(|v| v.to_str().unwrap()), expected, "{modified}");
        }
    }
}
