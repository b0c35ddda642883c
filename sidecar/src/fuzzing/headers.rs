//! Header fields other than those of entity tags.

use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, IF_MODIFIED_SINCE, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use stowage_store::{EntityTag, Preconditions};

use crate::http::accept;
use crate::http::artifacts::{dates, range};
use crate::http::coding::Coding;
use crate::http::digest::Hashing;
use crate::http::{media, prefer};

/// Reads any lines as every field that is read: a range that is selected is one of the archive, a wait
/// has its bound, and a digest that is none of the body's is never taken for it.
///
/// # Panics
/// Where that does not hold.
pub fn headers(data: &[u8]) {
    let fields = [ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, IF_MODIFIED_SINCE, IF_RANGE, RANGE];
    let others = ["prefer", "content-digest", "content-md5", "trailer"];
    let others = others.map(HeaderName::from_static);
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        for name in fields.iter().chain(&others) {
            headers.append(name, value.clone());
        }
    }
    let _ = (media::require_json(&headers), accept::list_format(&headers));
    let _ = (accept::wants_events(&headers), prefer::minimal(&headers));
    let _ = Coding::accepted(&headers);
    if let Some(wait) = prefer::wait(&headers) {
        assert!(wait <= Duration::from_secs(60), "{wait:?} is too long");
    }
    for length in [0, 1, 1000] {
        if let range::Selection::Part { first, last } = range::select(&headers, length) {
            assert!(first <= last && last < length, "{first}-{last} of {length}");
        }
    }
    let modified = dates::LastModified::of(Timestamp::UNIX_EPOCH, Timestamp::now());
    let Ok(tag) = EntityTag::new("tag") else { return };
    let _ = dates::evaluate(&headers, &Preconditions::none(), &tag, modified);
    let _ = dates::if_range_holds(&headers, &tag, modified);
    if let Ok(Some(mut hashing)) = Hashing::wanted(&headers) {
        hashing.update(data);
        let _ = hashing.verify(&headers);
    }
}
