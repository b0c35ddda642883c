//! Snapshots: a tar stream of a store's directory as of one sequence, made while it is served, and
//! a directory made from it.
//!
//! The server does no more than to keep its journal and to say how far it is ([`Socket`]), so a
//! snapshot costs it nothing but the disk. The copy is made by the command, in another process
//! ([`Session`], [`write()`]). `docs/journal.md` has the format; [`restore()`] reads it.

mod content;
mod read;
mod session;
mod socket;
mod wire;
mod write;

pub use content::Contents;
pub use read::{RestoreFailed, restore};
pub use session::{Session, SessionError};
pub use socket::Socket;
pub use write::{Observer, SnapshotFailed, write};
