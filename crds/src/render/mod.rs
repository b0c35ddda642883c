//! From resources to the configuration files of the server and of the sync.
//!
//! Pure functions, shared by the operator and `stowage up`: only the places differ, and those
//! come in.

mod sidecar;
mod sync;

pub use sidecar::{StorePlaces, sidecar};
pub use sync::{RenderError, SyncPlaces, sync};
