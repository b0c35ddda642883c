//! One entry of a build's log, as it is stored and as it is shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stowage_store::{Key, Object, Result, StoreError};

/// An entry as a document holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When it was written.
    pub(crate) timestamp: Timestamp,
    /// The build that it is about.
    pub(crate) build_id: String,
    /// The site of the build; the folder says it too.
    #[serde(default)]
    pub(crate) site_id: String,
    /// What was done.
    pub(crate) action: String,
    /// What came of it.
    pub(crate) status: String,
    /// An object; whatever its writer wants to keep.
    #[serde(default = "nothing")]
    pub(crate) metadata: Box<RawValue>,
}

/// An entry as the list of versions shows it: below its build.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LoggedEntry {
    pub(crate) action: String,
    pub(crate) status: String,
    pub(crate) timestamp: Timestamp,
    pub(crate) metadata: Box<RawValue>,
}

impl From<Entry> for LoggedEntry {
    fn from(entry: Entry) -> Self {
        let Entry { timestamp, action, status, metadata, .. } = entry;
        Self { action, status, timestamp, metadata }
    }
}

/// `{}`.
pub(super) fn nothing() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_default()
}

/// The entries of a document: those of an array, or the one that it is.
///
/// # Errors
/// [`StoreError::Corrupt`] where it is neither.
pub(super) fn parse(key: &Key, object: &Object) -> Result<Vec<Entry>> {
    let text = object.body.trim_ascii();
    let parsed = match text.first() {
        Some(b'[') => serde_json::from_slice(text),
        _ => serde_json::from_slice(text).map(|entry| vec![entry]),
    };
    parsed.map_err(|e| StoreError::Corrupt {
        key: key.to_string(),
        reason: format!("it is no log of a build: {e}"),
    })
}
