//! How a process of the operator lives: what it measures, and whom it tells.

mod metrics;

pub use metrics::{Metrics, Outcome};
