//! How a process of the operator lives: its command line, leader election, probes and metrics.

mod arguments;
mod lease;
mod logs;
mod metrics;
mod probes;
mod run;
mod verify;

pub use arguments::{Arguments, Command, LogFormat, RunOptions, VerifyOptions};
pub use lease::{Candidate, Lost, Spans};
pub use metrics::{Metrics, Outcome};
pub use run::{RunError, run};
pub use verify::{VerifyError, verify};
