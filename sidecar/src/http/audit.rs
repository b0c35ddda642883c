//! The audit line: one for each write that its sender had the right to, whatever became of it.
//!
//! It tells who, what, and from which version to which. It holds no content, no query and no
//! token: whoever may read the log may not read the store.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::ETAG;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use stowage_config::Contract;
use stowage_store::EntityTag;

/// What is known of a write, from when its sender's rights are.
#[derive(Debug)]
pub(crate) struct Known {
    contract: Contract,
    /// What rights are given to.
    name: Box<str>,
    /// What below the name, where that is not all of it.
    item: Option<Box<str>>,
    /// The text of the tag that the write replaced, or that stood in its way.
    old: Option<Box<str>>,
    /// The text of the tag that stands there after it.
    new: Option<Box<str>>,
}

/// Where the request's way through the handlers leaves word for the line that is written at its end.
#[derive(Debug, Clone)]
pub(crate) struct Audit(Option<Arc<Mutex<Option<Known>>>>);

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
        let Some(known) = &self.0 else { return };
        // Where a handler asks twice, the first answer stands.
        known.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| Known {
            contract,
            name: name.into(),
            item: None,
            old: None,
            new: None,
        });
    }

    /// What below the name is written. Where a handler learns more, the last word stands. It must be
    /// of names that were checked.
    pub(crate) fn item(&self, item: impl Display) {
        self.note(|known| known.item = Some(item.to_string().into()));
    }

    /// The tag that the store says this very write replaced.
    pub(crate) fn replaced(&self, tag: Option<&EntityTag>) {
        self.note(|known| known.old = tag.map(|tag| Box::from(&*tag.opaque())));
    }

    /// The tag of an answer is the new one where the write was applied, else the one that stood in its
    /// way.
    pub(crate) fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        self.note(|known| {
            let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok());
            let tag = tag.map(|tag| Box::from(tag.trim_matches('"')));
            if status.is_success() {
                known.new = tag;
            } else {
                known.old = known.old.take().or(tag);
            }
        });
    }

    /// What is known, where the sender may write; nothing can be added any more.
    pub(crate) fn taken(&self) -> Option<Known> {
        self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, note: impl FnOnce(&mut Known)) {
        let Some(known) = &self.0 else { return };
        known.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(note);
    }
}

/// Writes the line.
pub(crate) fn write(
    who: &str,
    route: &str,
    known: &Known,
    method: &Method,
    status: u16,
    request_id: &HeaderValue,
) {
    tracing::info!(
        target: "stowage::audit",
        token = who,
        method = %method,
        route,
        contract = known.contract.as_str(),
        name = &*known.name,
        item = known.item.as_deref(),
        status,
        old_etag = known.old.as_deref(),
        new_etag = known.new.as_deref(),
        request_id = request_id.to_str().unwrap_or_default(),
        "write"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> EntityTag {
        EntityTag::new(text).unwrap()
    }

    #[test]
    fn versions_are_told_where_they_are_known() {
        // What the store says was replaced, status, the answer's tag: old and new.
        type Row<'a> = (Option<&'a str>, u16, Option<&'a str>, Option<&'a str>, Option<&'a str>);
        let answered = Some("\"t2\"");
        let table: &[Row<'_>] = &[
            (Some("t1"), 200, answered, Some("t1"), Some("t2")),
            (Some("t2"), 200, answered, Some("t2"), Some("t2")),
            (Some("0"), 201, Some("\"1\""), Some("0"), Some("1")),
            (Some("t1"), 204, None, Some("t1"), None),
            (None, 201, answered, None, Some("t2")),
            (None, 412, answered, Some("t2"), None),
            (None, 412, None, None, None),
            (None, 507, None, None, None),
            // It was applied, and could not be answered.
            (Some("t1"), 500, None, Some("t1"), None),
        ];
        for (replaced, status, answered, old, new) in table {
            let audit = Audit::of(&Method::PUT);
            audit.authorized(Contract::RunStore, "doc");
            audit.replaced(replaced.map(tag).as_ref());
            let mut headers = HeaderMap::new();
            headers.extend(answered.map(|tag| (ETAG, HeaderValue::from_str(tag).unwrap())));
            audit.answered(StatusCode::from_u16(*status).unwrap(), &headers);
            let known = audit.taken().expect("a write");
            let got = (known.old.as_deref(), known.new.as_deref());
            assert_eq!(got, (*old, *new), "{replaced:?} {status} {answered:?}");
        }
    }

    #[test]
    fn nothing_is_known_of_a_read_or_of_a_write_without_the_right_to_it() {
        let read = Audit::of(&Method::GET);
        read.authorized(Contract::Jobs, "j");
        read.item("runs/r");
        assert!(read.taken().is_none(), "a read has no line");

        let refused = Audit::of(&Method::PUT);
        refused.item("runs/r");
        refused.replaced(Some(&tag("t1")));
        assert!(refused.taken().is_none(), "its sender may not write there");
    }

    #[test]
    fn of_the_names_the_first_stands_and_of_the_items_the_last() {
        let audit = Audit::of(&Method::POST);
        for name in ["j", "other"] {
            audit.authorized(Contract::Jobs, name);
        }
        for item in ["runs/r/events", "runs/r/events/1-2-t"] {
            audit.item(item);
        }
        let known = audit.taken().expect("a write");
        assert_eq!((&*known.name, known.item.as_deref()), ("j", Some("runs/r/events/1-2-t")));
    }
}
