//! The journal: every accepted write, in the order in which it was decided, on stable storage
//! before it is acknowledged.
//!
//! It is a row of segments, files of a fixed size that are numbered and filled one after the
//! other. `docs/journal.md` describes them byte by byte. The parts:
//! - [`format`]: the bytes of headers and records, pure;
//! - [`entry`]: what a record says, pure;
//! - [`scan`]: what a row of segments holds, and whether it checks out, pure;
//! - [`segments`]: the files.
//!
//! # What a crash leaves
//! A batch is what one write and one sync put on the disk. Its records carry the sequence of its
//! first one. A batch is written only after the one before it is durable, so a crash can tear the
//! last batch alone, and nothing of it was acknowledged: it is cut. Whatever else does not check
//! out was durable once, so it is damage, and the journal is refused.
//!
//! Nothing follows the last batch that would prove it durable. So, where nothing waits after a
//! batch was acknowledged, a confirmation is written behind it, without a sync: it outlives the
//! process, though perhaps not the power. The next batch overwrites it.

pub(crate) mod entry;
pub(crate) mod format;
pub(crate) mod scan;
pub(crate) mod segments;
