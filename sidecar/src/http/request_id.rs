//! `X-Request-Id`: taken where it can be logged as it is, made otherwise.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header's name.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken, in bytes.
const BYTES_MAX: usize = 128;

/// The id of a request: visible ASCII only, so that it cannot forge a line of a log.
pub(crate) fn of(headers: &HeaderMap) -> HeaderValue {
    let mut lines = headers.get_all(X_REQUEST_ID).iter();
    match (lines.next(), lines.next()) {
        (Some(id), None) if is_sane(id.as_bytes()) => id.clone(),
        _ => make(),
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A random half that is this process's own, and a count; each eight bytes in hexadecimal.
fn make() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| getrandom::u64().unwrap_or_default());
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let number = u128::from(*PROCESS) << 64 | u128::from(count);
    let mut id = Vec::with_capacity(32);
    // Formatting costs ten times as much.
    id.extend((0..32).rev().map(|place| {
        let digit = (number >> (4 * place)) as u8 & 0xf;
        if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
    }));
    HeaderValue::from_maybe_shared(Bytes::from(id))
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_taken_and_any_other_replaced() {
        let long = "x".repeat(128);
        let too_long = "x".repeat(129);
        let table = [
            ("abc-1", true),
            (long.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("a b", false),
            ("a\tb", false),
            ("é", false),
        ];
        for (id, taken) in table {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
            let got = of(&headers);
            assert_eq!(got.as_bytes() == id.as_bytes(), taken, "{id:?}");
            assert!(is_sane(got.as_bytes()), "{id:?} became {got:?}");
        }
        let (first, second) = (of(&HeaderMap::new()), of(&HeaderMap::new()));
        let number = |id: &HeaderValue| u128::from_str_radix(id.to_str().unwrap(), 16).unwrap();
        assert_eq!(number(&second) >> 64, number(&first) >> 64, "the process's own half");
        assert!(number(&second) > number(&first), "{second:?} follows {first:?}");
    }
}
