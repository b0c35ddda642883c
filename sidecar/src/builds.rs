//! Builds of a site: what their logs say, together with their archives.
//!
//! The log of a build is one document, an array of entries in the order in which they came, so a
//! reader sees an entry or does not. The entries have the members of the source system, whose files
//! hold one entry each and stand under other names in the same folder: those are read too.

mod entry;
mod log;
mod versions;

pub(crate) use entry::Entry;
pub(crate) use log::{LogError, append};
pub(crate) use versions::{Listed, Listing, VersionError};
