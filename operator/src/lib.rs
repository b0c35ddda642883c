//! The operator: turns `Store`, `StoreNamespace` and `RuntimeConfigSource` into what a cluster
//! runs.
//!
//! [`store`], [`namespace`] and [`source`] hold one controller each, in the same five steps
//! (dereference, validate, build, apply, update status). What they share with each other and with
//! nothing else stands in [`kubernetes`]; how a process of it lives (leader election, probes,
//! metrics) in [`process`].

pub mod context;
pub mod kubernetes;
pub mod options;

pub use context::Context;
pub use options::{Options, Scope};
