//! The context of a trace: what a request brings along of it (W3C Trace Context), and what is traced.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use stowage_config::SampleRatio;

/// The longest `tracestate` that is passed on, in bytes (W3C Trace Context §3.3.1.5).
const STATE_BYTES_MAX: usize = 512;

/// The id of a trace; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(u128);

impl TraceId {
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The id of a span; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanId(u64);

impl SpanId {
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

/// Where a request stands in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace: TraceId,
    /// The span that the request comes from.
    pub(super) parent: Option<SpanId>,
    pub(super) state: String,
    pub(super) is_sampled: bool,
}

/// Decides what is traced: what the client says, and of the rest a part.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Trace ids whose last 63 bits are less are traced, so that others who go by the id decide alike.
    below: u64,
    ids: Ids,
}

impl Sampler {
    pub(super) fn new(ratio: SampleRatio) -> Self {
        // 2^63 itself is exact, and more than any 63 bits.
        let below = (ratio.as_f64() * (1_u64 << 63) as f64) as u64;
        Self { below, ids: Ids::new() }
    }

    /// The context of a request with these fields.
    pub(super) fn context(&self, headers: &HeaderMap) -> Context {
        if let Some(context) = brought(headers) {
            return context;
        }
        let trace = self.ids.trace();
        let is_sampled = (trace.0 as u64) & (u64::MAX >> 1) < self.below;
        Context { trace, parent: None, state: String::new(), is_sampled }
    }

    /// The id of a new span.
    pub(super) fn span_id(&self) -> SpanId {
        SpanId(self.ids.next(2).max(1))
    }
}

/// The context that a request brings along, where that is a valid one.
fn brought(headers: &HeaderMap) -> Option<Context> {
    let mut lines = headers.get_all("traceparent").iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (trace, parent, is_sampled) = parse(line.to_str().ok()?)?;
    Some(Context { trace, parent: Some(parent), state: state(headers), is_sampled })
}

/// `version-trace-parent-flags` (W3C Trace Context §3.2). Of later versions what is known of this one.
fn parse(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let hex = |part: &str, length: usize| {
        let is_hex = part.len() == length
            && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| u128::from_str_radix(part, 16).ok()).flatten()
    };
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let parent = u64::try_from(hex(parts.next()?, 16)?).ok()?;
    let flags = hex(parts.next()?, 2)?;
    let is_known = version != 0xff && (version != 0 || parts.next().is_none());
    let is_valid = is_known && trace != 0 && parent != 0;
    is_valid.then_some((TraceId(trace), SpanId(parent), flags & 1 == 1))
}

/// `tracestate`, as it came: nothing in it is ours. Nothing where it is too long or no text.
fn state(headers: &HeaderMap) -> String {
    let lines = headers.get_all("tracestate").iter().map(|line| line.to_str());
    let state = lines.collect::<Result<Vec<_>, _>>().unwrap_or_default().join(",");
    if state.len() > STATE_BYTES_MAX { String::new() } else { state }
}

/// Numbers that nobody can guess or meet again: a count under a keyed hash. The system's random numbers
/// would cost each request a call.
#[derive(Debug)]
struct Ids {
    keys: RandomState,
    count: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        Self { keys: RandomState::new(), count: AtomicU64::new(0) }
    }

    fn next(&self, purpose: u8) -> u64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        self.keys.hash_one((count, purpose))
    }

    fn trace(&self) -> TraceId {
        let number = u128::from(self.next(0)) << 64 | u128::from(self.next(1));
        TraceId(number.max(1))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[test]
    fn a_trace_parent_is_taken_where_it_is_valid() {
        let table = [
            (format!("00-{TRACE}-{PARENT}-01"), Some(true)),
            (format!("00-{TRACE}-{PARENT}-00"), Some(false)),
            (format!("00-{TRACE}-{PARENT}-03"), Some(true)),
            (format!("01-{TRACE}-{PARENT}-01-more"), Some(true)),
            (format!("00-{TRACE}-{PARENT}-01-more"), None),
            (format!("ff-{TRACE}-{PARENT}-01"), None),
            (format!("00-{}-{PARENT}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{}-{PARENT}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{PARENT}"), None),
            (format!("00-+{}-{PARENT}-01", &TRACE[1..]), None),
            (format!("0-{TRACE}-{PARENT}-01"), None),
            (String::new(), None),
        ];
        for (text, sampled) in table {
            let parsed = parse(&text);
            assert_eq!(parsed.map(|parsed| parsed.2), sampled, "{text}");
            if let Some((trace, parent, _)) = parsed {
                assert_eq!(trace.to_string(), TRACE);
                assert_eq!(format!("{:016x}", parent.0), PARENT);
            }
        }
    }

    #[test]
    fn the_client_decides_and_else_the_ratio() {
        let mut headers = HeaderMap::new();
        let (all, none) = (SampleRatio::default(), SampleRatio::new(0.0).unwrap());
        assert!(Sampler::new(all).context(&headers).is_sampled);
        assert!(!Sampler::new(none).context(&headers).is_sampled);
        let quarter = Sampler::new(SampleRatio::new(0.25).unwrap());
        let sampled = (0..10_000).filter(|_| quarter.context(&headers).is_sampled).count();
        assert!((2_200..2_800).contains(&sampled), "{sampled} of 10,000 are a quarter");

        let parent = HeaderValue::from_str(&format!("00-{TRACE}-{PARENT}-01")).unwrap();
        headers.append("traceparent", parent.clone());
        headers.append("tracestate", HeaderValue::from_static("a=1"));
        headers.append("tracestate", HeaderValue::from_static("b=2"));
        let context = Sampler::new(none).context(&headers);
        assert!(context.is_sampled && context.parent.is_some());
        assert_eq!(
            (context.trace.to_string().as_str(), context.state.as_str()),
            (TRACE, "a=1,b=2")
        );
        headers.append("traceparent", parent);
        assert_eq!(Sampler::new(none).context(&headers).parent, None, "two are none");
    }

    #[test]
    fn ids_do_not_come_again() {
        let ids = Ids::new();
        let made: std::collections::HashSet<_> = (0..1_000).map(|_| ids.trace().0).collect();
        assert_eq!(made.len(), 1_000);
    }
}
