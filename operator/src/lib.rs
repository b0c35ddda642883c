//! The operator: turns `Store`, `StoreNamespace` and `RuntimeConfigSource` into what a cluster
//! runs.
//!
//! What the controllers share stands in [`kubernetes`]; how a process of it lives (leader
//! election, probes, metrics) in [`process`].

pub mod context;
mod controllers;
pub mod kubernetes;
pub mod namespace;
pub mod options;
pub mod process;
pub mod source;
pub mod store;

pub use context::Context;
pub use controllers::run_controllers;
pub use options::{Options, Scope};
