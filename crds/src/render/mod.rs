//! From resources to the configuration files of the server and of the sync, and to the credentials
//! of applications.
//!
//! Pure functions, shared by the operator and `stowage up`: only the places differ, and those
//! come in.

mod binding;
mod namespace_token;
mod sidecar;
mod signing_key;
mod sync;

pub use binding::{binding, namespace_path};
pub use namespace_token::{IssuedToken, WantedToken, namespace_grant};
pub use sidecar::{StorePlaces, sidecar};
pub use signing_key::{NoRandomness, SigningKey};
pub use sync::{RenderError, SyncPlaces, sync};
