//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Serves a Store over HTTP, and syncs Git branches into one.
#[derive(Debug, Parser)]
#[command(name = "stowage-sidecar", version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the store of a configuration file until SIGTERM
    Serve(ServeOptions),
    /// Check a configuration file and its tokens, and say what is wrong
    Check(CheckOptions),
    /// Fetch one Git branch, check its files, and publish them as one set
    Sync(SyncOptions),
    /// Print the version
    Version,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// The configuration file (YAML or JSON)
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where there is no token at all, let everyone read and write everything
    #[arg(long)]
    pub insecure_no_auth: bool,
    /// How logs are written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Write the two URLs as JSON to this file once both ports are open
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The configuration file of `serve`
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Check as `serve --insecure-no-auth` would
    #[arg(long)]
    pub insecure_no_auth: bool,
}

/// Options of `sync`.
///
/// Exit codes: 0 published or unchanged, 1 failed, 2 files are invalid, 64 wrong configuration.
#[derive(Debug, Args)]
pub struct SyncOptions {
    /// The configuration file of the sync
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Also write the report to this file, shortened to the 4096 bytes of a termination message
    #[arg(long, value_name = "FILE")]
    pub report_file: Option<PathBuf>,
    /// How logs are written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
