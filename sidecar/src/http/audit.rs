//! The audit line: one for each write that its sender had the right to, whatever became of it.
//!
//! It tells who, what, and from which version to which. It holds no content, no query and no
//! token: whoever may read the log may not read the store.

use std::sync::{Arc, OnceLock};

use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use stowage_config::Contract;

/// What a write is about; known once its sender's rights are.
#[derive(Debug)]
pub(crate) struct Target {
    contract: Contract,
    name: Box<str>,
}

/// Where the request's way through the handlers leaves word for the line that is written at its end.
#[derive(Debug, Clone)]
pub(crate) struct Audit(Option<Arc<OnceLock<Target>>>);

impl Audit {
    /// Nothing where the method only reads.
    pub(crate) fn of(method: &Method) -> Self {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        Self((!reads).then(Arc::default))
    }

    /// For what is no request of its own.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// The sender may write there.
    pub(crate) fn authorized(&self, contract: Contract, name: &str) {
        if let Some(target) = &self.0 {
            // Where a handler asks twice, the first answer stands.
            let _ = target.set(Target { contract, name: name.into() });
        }
    }

    /// What the sender may write, where that was found out.
    pub(crate) fn target(&self) -> Option<&Target> {
        self.0.as_ref()?.get()
    }
}

/// The versions between which a write lies, as far as they are known without another read.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    demanded: Option<HeaderValue>,
    old: Option<HeaderValue>,
    new: Option<HeaderValue>,
}

impl Versions {
    /// What the request demands to be there.
    pub(crate) fn demanded(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(IF_MATCH).iter();
        let only = lines.next().filter(|_| lines.next().is_none());
        Self { demanded: only.cloned(), ..Self::default() }
    }

    /// A write that was applied has replaced what it demanded; the answer to one that was not
    /// tells what stands there.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        let told = headers.get(ETAG).cloned();
        if status.is_success() {
            self.old = self.demanded.take();
            self.new = told;
        } else {
            self.old = told;
        }
    }
}

/// The text within the quotes of a single tag, or a bare number.
fn opaque(value: Option<&HeaderValue>) -> Option<&str> {
    let text = value?.to_str().ok()?.trim();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_one = !inner.is_empty() && !inner.contains(['"', ',', '*']);
    is_one.then_some(inner)
}

/// Writes the line.
pub(crate) fn write(
    who: &str,
    route: &str,
    target: &Target,
    method: &Method,
    status: u16,
    versions: &Versions,
    request_id: &HeaderValue,
) {
    tracing::info!(
        target: "stowage::audit",
        token = who,
        method = %method,
        route,
        contract = target.contract.as_str(),
        name = &*target.name,
        status,
        old_etag = opaque(versions.old.as_ref()),
        new_etag = opaque(versions.new.as_ref()),
        request_id = request_id.to_str().unwrap_or_default(),
        "write"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_where_they_are_known() {
        let tag = Some("\"t2\"");
        // If-Match, status, the answer's tag: old and new.
        type Row<'a> = (&'a [&'a str], u16, Option<&'a str>, Option<&'a str>, Option<&'a str>);
        let table: &[Row<'_>] = &[
            (&["\"t1\""], 200, tag, Some("t1"), Some("t2")),
            (&["1"], 200, Some("\"2\""), Some("1"), Some("2")),
            (&["\"t1\""], 204, None, Some("t1"), None),
            (&[], 201, tag, None, Some("t2")),
            (&["*"], 200, tag, None, Some("t2")),
            (&["\"a\", \"t1\""], 200, tag, None, Some("t2")),
            (&["\"a\"", "\"t1\""], 200, tag, None, Some("t2")),
            (&["\"t1\""], 412, tag, Some("t2"), None),
            (&["\"t1\""], 412, None, None, None),
            (&["\"never stored\""], 400, None, None, None),
            (&["\"never stored\""], 507, None, None, None),
        ];
        for (if_match, status, answered, old, new) in table {
            let mut headers = HeaderMap::new();
            for line in *if_match {
                headers.append(IF_MATCH, HeaderValue::from_str(line).unwrap());
            }
            let mut versions = Versions::demanded(&headers);
            let mut answer = HeaderMap::new();
            answer.extend(answered.map(|tag| (ETAG, HeaderValue::from_str(tag).unwrap())));
            versions.answered(StatusCode::from_u16(*status).unwrap(), &answer);
            let got = (opaque(versions.old.as_ref()), opaque(versions.new.as_ref()));
            assert_eq!(got, (*old, *new), "{if_match:?} {status} {answered:?}");
        }
    }
}
