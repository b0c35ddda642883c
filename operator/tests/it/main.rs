//! The controllers on a real API server, with the rights that the chart gives them.
//!
//! There is no controller manager and no kubelet: a test plays them where it needs what they would
//! write.
#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

mod ensure;
mod events;
mod metrics;
mod namespace;
mod namespace_tokens;
mod source;
mod source_reasons;
mod status;
mod store;
mod store_conditions;
mod store_deletion;
mod store_tokens;
mod store_volume;
mod support;
