//! JSON as it is stored, and what the contracts read out of it.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use stowage_store::{Name, NameKind, WallClock};

use crate::http::operations;
use crate::jobs;
use crate::json::{InvalidJson, compact};

/// Makes any bytes compact: what is taken is JSON of the same value, shorter or as long, and does not
/// change any more; what a parser of values takes is not refused. Then it is read as operations and
/// as documents of jobs.
///
/// # Panics
/// Where that does not hold.
pub fn json(data: &[u8]) {
    let text = Bytes::copy_from_slice(data);
    let value = serde_json::from_slice::<Value>(data);
    let found = match compact(&text) {
        Ok(found) => found,
        Err(error) => {
            let is_deep = error == InvalidJson::Depth;
            assert!(is_deep || value.is_err(), "JSON was refused: {error}");
            return;
        }
    };
    assert!(found.len() <= data.len(), "white space is left out, and nothing added");
    assert_eq!(compact(&found).as_ref(), Ok(&found), "it is compact now");
    assert!(serde_json::from_slice::<IgnoredAny>(&found).is_ok(), "it is JSON");
    if let Ok(value) = value {
        assert_eq!(serde_json::from_slice::<Value>(&found).ok(), Some(value), "the same value");
    }
    if let Ok(operations) = operations::parse(&found, WallClock::System.now()) {
        assert!(operations.len() <= operations::OPERATIONS_MAX, "so many and no more");
    }
    let (Ok(job), Ok(run)) = (Name::parse(NameKind::Job, "j"), Name::parse(NameKind::Run, "r"))
    else {
        return;
    };
    let _ = jobs::check_job(&text, &job);
    if let Ok(event) = jobs::check_event(&text, &job, &run) {
        let id = event.to_string();
        let again = stowage_store::EventId::parse(&id).map(|event| event.to_string());
        assert_eq!(again.ok(), Some(id), "an event's id reads as the same");
    }
    if let Some(touched) = jobs::with_updated_at(&text, 1_700_000_000_000) {
        assert!(serde_json::from_slice::<IgnoredAny>(&touched).is_ok(), "it stays JSON");
    }
}
