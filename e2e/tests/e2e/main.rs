//! What a person with a cluster does, on a node that really runs pods: Helm, `kubectl`, storage
//! pods on volumes, Git sync Jobs, killed processes. Runs inside of the cluster (`make e2e`).
//!
//! Tests share one release of the chart and run side by side, each in a namespace of its own; those
//! that kill, upgrade or remove the operator, or count what it does, have the cluster for themselves
//! ([`support::release`]).
#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

mod artifacts;
mod children;
mod client;
mod conditions;
mod figures;
mod idle;
mod install;
mod kills;
mod operations;
mod operator_kills;
mod private_source;
mod readme;
mod source;
mod store;
mod support;
mod tokens;
mod upgrade;
mod volume;
mod writers;
