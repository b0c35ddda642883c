//! Lists of entity tags.

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use stowage_store::{Preconditions, TagCondition, WireTag};

use crate::http::conditional::{BareNumbers, preconditions};

/// Reads any lines as `If-Match` and `If-None-Match`: both are read alike, and what is taken,
/// written as RFC 9110 has it, reads as the same.
///
/// # Panics
/// Where that does not hold.
pub fn entity_tags(data: &[u8]) {
    for numbers in [BareNumbers::Accepted, BareNumbers::Refused] {
        let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
        let Some(found) = read(&lines, numbers) else { return };
        let again = condition(&found).map(|text| read(&[text.as_bytes()], BareNumbers::Refused));
        if let Some(again) = again {
            assert_eq!(again.as_ref(), Some(&found), "written and read again");
        }
    }
}

/// `None` where a line is no header's, or the field is refused.
fn read(lines: &[&[u8]], numbers: BareNumbers) -> Option<Preconditions> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_bytes(line).ok()?;
        headers.append(IF_MATCH, value.clone());
        headers.append(IF_NONE_MATCH, value);
    }
    let found = preconditions(&headers, numbers).ok()?;
    assert_eq!(found.if_match, found.if_none_match, "both fields have one grammar");
    assert!(found.if_match.is_some(), "a field that is there is never left out");
    Some(found)
}

/// The field's value, as RFC 9110 writes it.
fn condition(preconditions: &Preconditions) -> Option<String> {
    let tag = |tag: &WireTag| format!("{}\"{}\"", if tag.weak { "W/" } else { "" }, tag.opaque);
    match preconditions.if_match.as_ref()? {
        TagCondition::Any => Some("*".into()),
        TagCondition::Tags(tags) => {
            assert!(!tags.is_empty(), "a list that is taken has a tag");
            Some(tags.iter().map(tag).collect::<Vec<_>>().join(", "))
        }
    }
}
