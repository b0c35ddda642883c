//! A set as it stands in the store, and the document that it is made of.
//!
//! ```json
//! {"revision":"<commit>","etag":"<tag>","updated_at":"<time>","files":[
//!   {"repo_id":…,"branch":…,"filepath":…,"config":…,"created_at":…,"updated_at":…}]}
//! ```
//! `files` is, byte for byte, what the list of the set answers, so serving it copies nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use stowage_store::{EntityTag, Key, Name, Object, StoreError};

use super::file_path::FilePath;
use super::new_set::NewSet;

/// A parsed set; its texts are parts of the stored document.
#[derive(Debug)]
pub(crate) struct StoredSet {
    revision: String,
    tag: EntityTag,
    updated_at: String,
    files_json: Bytes,
    files: BTreeMap<Box<str>, StoredFile>,
}

/// One config of a set.
#[derive(Debug)]
pub(crate) struct StoredFile {
    /// Compact JSON.
    pub(crate) config: Bytes,
    /// A digest of [`Self::config`].
    pub(crate) tag: EntityTag,
    created_at: String,
    updated_at: String,
}

/// What a set is called.
#[derive(Debug)]
pub(crate) struct Head {
    /// The Git commit.
    pub(crate) revision: String,
    /// The set's own tag.
    pub(crate) tag: EntityTag,
}

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    revision: Cow<'a, str>,
    #[serde(borrow)]
    etag: Cow<'a, str>,
    #[serde(borrow)]
    updated_at: Cow<'a, str>,
    #[serde(borrow)]
    files: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    repo_id: Cow<'a, str>,
    #[serde(borrow)]
    branch: Cow<'a, str>,
    #[serde(borrow)]
    filepath: Cow<'a, str>,
    #[serde(borrow)]
    config: &'a RawValue,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    updated_at: Cow<'a, str>,
}

impl StoredSet {
    /// The Git commit.
    pub(crate) fn revision(&self) -> &str {
        &self.revision
    }

    /// The set's own tag: it changes if and only if [`Self::files_json`] does.
    pub(crate) fn tag(&self) -> &EntityTag {
        &self.tag
    }

    /// When the content last changed, RFC 3339 in UTC.
    pub(crate) fn updated_at(&self) -> &str {
        &self.updated_at
    }

    /// The list of all files, by path, as JSON.
    pub(crate) fn files_json(&self) -> Bytes {
        self.files_json.clone()
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file; such a set is not served.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The file at a path.
    pub(crate) fn file(&self, path: &FilePath) -> Option<&StoredFile> {
        self.files.get(path.as_str())
    }

    /// About how many bytes of memory the set takes.
    pub(super) fn weight(&self) -> u64 {
        const PER_FILE: usize = 256;
        (self.files_json.len() + self.files.len() * PER_FILE) as u64
    }

    /// Parses a stored document.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it is not one that [`encode`] wrote.
    pub(crate) fn parse(key: &Key, object: &Object) -> Result<Self, StoreError> {
        let corrupt = |reason: String| StoreError::Corrupt { key: key.to_string(), reason };
        let document: Document<'_> =
            serde_json::from_slice(&object.body).map_err(|e| corrupt(e.to_string()))?;
        let entries: Vec<Entry<'_>> =
            serde_json::from_str(document.files.get()).map_err(|e| corrupt(e.to_string()))?;
        let tag = EntityTag::new(&document.etag).map_err(|e| corrupt(e.to_string()))?;
        let part = |text: &str| object.body.slice_ref(text.as_bytes());
        let file = |entry: Entry<'_>| {
            let config = part(entry.config.get());
            let file = StoredFile {
                tag: digest_tag(&config),
                config,
                created_at: entry.created_at.into_owned(),
                updated_at: entry.updated_at.into_owned(),
            };
            (entry.filepath.into(), file)
        };
        Ok(Self {
            revision: document.revision.into_owned(),
            tag,
            updated_at: document.updated_at.into_owned(),
            files_json: part(document.files.get()),
            files: entries.into_iter().map(file).collect(),
        })
    }

    /// What a stored document says before its files.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it is not one that [`encode`] wrote.
    pub(crate) fn head(key: &Key, object: &Object) -> Result<Head, StoreError> {
        let corrupt = |reason: String| StoreError::Corrupt { key: key.to_string(), reason };
        let document: Document<'_> =
            serde_json::from_slice(&object.body).map_err(|e| corrupt(e.to_string()))?;
        let tag = EntityTag::new(&document.etag).map_err(|e| corrupt(e.to_string()))?;
        Ok(Head { revision: document.revision.into_owned(), tag })
    }

    /// Whether a new set has the same files with the same content.
    pub(super) fn has_content_of(&self, new: &NewSet) -> bool {
        self.files.len() == new.files.len()
            && self.files.iter().zip(&new.files).all(|((path, file), (new_path, config))| {
                **path == *new_path.as_str() && file.config == config.get().as_bytes()
            })
    }

    /// The document with another revision and everything else as it is.
    ///
    /// # Errors
    /// Where the stored list is not JSON, which parsing it has ruled out.
    pub(super) fn with_revision(&self, revision: &str) -> serde_json::Result<Bytes> {
        let document = Document {
            revision: revision.into(),
            etag: Cow::Owned(self.tag.opaque().to_owned()),
            updated_at: self.updated_at.as_str().into(),
            files: serde_json::from_slice(&self.files_json)?,
        };
        serde_json::to_vec(&document).map(Bytes::from)
    }
}

/// The document of a new set. A file that stood there with the same content keeps its times; one
/// with other content keeps the time of its creation.
///
/// # Errors
/// As `serde_json`; a set that was checked has none.
pub(super) fn encode(
    (repository, branch): (&Name, &Name),
    new: &NewSet,
    old: Option<&StoredSet>,
    now: &str,
) -> serde_json::Result<Bytes> {
    let entry = |path: &FilePath, config: &RawValue| {
        let before = old.and_then(|old| old.file(path));
        let same = before.filter(|before| before.config == config.get().as_bytes());
        let created_at = before.map_or(now, |before| &before.created_at);
        let updated_at = same.map_or(now, |same| &same.updated_at);
        serde_json::value::to_raw_value(&Entry {
            repo_id: repository.as_str().into(),
            branch: branch.as_str().into(),
            filepath: path.as_str().into(),
            config,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        })
    };
    let entries: Vec<Box<RawValue>> = new
        .files
        .iter()
        .map(|(path, config)| entry(path, config))
        .collect::<serde_json::Result<_>>()?;
    let files = serde_json::value::to_raw_value(&entries)?;
    let document = Document {
        revision: new.revision.as_str().into(),
        etag: Cow::Owned(digest_tag(files.get().as_bytes()).opaque().to_owned()),
        updated_at: now.into(),
        files: &files,
    };
    serde_json::to_vec(&document).map(Bytes::from)
}

/// A tag that is a digest: equal texts have equal tags, and no others do.
pub(crate) fn digest_tag(text: &[u8]) -> EntityTag {
    let mut hex = HEXLOWER.encode(&Sha256::digest(text));
    hex.truncate(32);
    // Hexadecimal digits are always allowed in a tag.
    EntityTag::new(&hex).unwrap_or_else(|_| EntityTag::from_version(0))
}
