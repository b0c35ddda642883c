//! The storage engine of Stowage: documents, namespaces and archives under conditional writes.
//!
//! This crate knows neither HTTP nor Kubernetes. It answers three questions: is a name valid
//! ([`name`], [`key`]), does a precondition hold ([`precondition`]), and what is durable
//! ([`Store`] and its implementations [`MemoryStore`] and [`VolumeStore`]).
//!
//! A result that says "written" means: applied as a whole, visible to every later read, and on
//! stable storage.

pub mod archive;
pub mod disk;
pub mod entity_tag;
pub mod error;
mod expiry;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod history;
mod journal;
pub mod key;
pub mod memory;
pub mod name;
pub mod namespace;
pub mod precondition;
mod revision;
pub mod stats;
pub mod subject;
mod traits;
pub mod volume;
pub mod watch;

pub use archive::{Archive, ArchiveContent, ArchiveInfo, Upload};
pub use entity_tag::{EntityTag, InvalidEntityTag, Opaque};
pub use error::{Quota, Result, StoreError};
pub use expiry::{Expiry, WallClock};
pub use history::{HISTORY_MAX, Kept, Version};
pub use key::jobs::{EVENT_NUMBER_MAX, EventId, Folder, InvalidEventId, JobDocument, Segment};
pub use key::{ArchiveKey, Key, NamespaceKey, Prefix};
pub use memory::MemoryStore;
pub use name::{InvalidName, NAME_BYTES_MAX, Name, NameKind};
pub use namespace::{InvalidMemberKey, MEMBER_KEY_BYTES_MAX, MemberKey, Namespace, Operation};
pub use precondition::{Preconditions, TagCondition, Verdict, WireTag};
pub use stats::{Capacity, Stats};
pub use subject::Subject;
pub use traits::{
    BackendKind, Change, Edit, Object, Patch, Patched, Put, RemovedJob, Store, Updated,
};
pub use volume::{DOCUMENT_BYTES_MAX, OpenError, VolumeOptions, VolumeStore};
pub use watch::{Changed, Changes, Ended, What};
