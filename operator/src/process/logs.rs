//! Logs, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::LogFormat;

/// Everything from `info` up; but what the client's watcher says of watches that fail, which the
/// controllers say in a sentence.
const DEFAULT: &str = "info,kube_runtime::watcher=error";

/// Starts logging. `RUST_LOG` chooses what is logged.
pub(super) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (two runs in one process, as tests do) keeps the first.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
