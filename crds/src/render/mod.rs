//! From resources to the configuration files of the server and of the sync, and to the credentials
//! of applications.
//!
//! Pure functions, shared by the operator and `stowage up`: only the places differ, and those
//! come in.

mod binding;
mod sidecar;
mod sync;

pub use binding::{binding, namespace_path};
pub use sidecar::{StorePlaces, sidecar};
pub use sync::{RenderError, SyncPlaces, sync};
