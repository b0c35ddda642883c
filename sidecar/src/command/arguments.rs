//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::volume::Place;

/// Serves a Store over HTTP, and syncs Git branches into one.
#[derive(Debug, Parser)]
#[command(
    name = "stowage-sidecar",
    version,
    about = "Serve one Store over HTTP, and sync Git branches into one",
    after_help = EXAMPLES
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  stowage-sidecar check --config store.yaml    say what is wrong with a configuration
  stowage-sidecar serve --config store.yaml    serve it until SIGTERM
  stowage-sidecar sync --config source.yaml    publish one Git branch
  stowage-sidecar snapshot data > backup.tar   copy a directory, also while it is served
  stowage-sidecar restore data < backup.tar    make a directory from the copy
  stowage-sidecar verify data                  check a directory that is not being served

docs/configuration.md has every field of the two files. `stowage up` serves the same from
Kubernetes manifests, without these files.";

const SERVE_HELP: &str = "\
The least configuration, store.yaml (every token is a file in the directory `tokens`):
  store: demo
  listen: 127.0.0.1:8080
  managementListen: 127.0.0.1:8081
  backend: {volume: {path: data}}
  auth: {tokensDir: tokens}

Signals:
  SIGTERM, SIGINT   finish the requests under way, then end with code 0

Exit codes:
  0   ended by a signal
  1   the machine stands in the way: a port or a directory in use, no permission, a failed disk
  64  the flags, the configuration or the tokens are wrong";

const CHECK_HELP: &str = "\
Exit codes:
  0   the configuration is valid
  64  the flags, the configuration or the tokens are wrong";

const SYNC_HELP: &str = "\
The least configuration, source.yaml (a token that may write runtimes stands in the file `token`):
  repoId: etl
  branch: main
  url: https://git.example/data/etl.git
  target: {url: \"http://127.0.0.1:8080\", tokenFile: token}

The report is one line of JSON on standard output.

Exit codes:
  0   the set is published, or was served already
  1   the sync failed; `reason` and `message` of the report say why
  2   files are invalid; the report names them, and the old set stays
  64  the flags or the configuration are wrong
  75  the repository or the store is out of reach, or an answer was lost: try again";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the store of a configuration file until SIGTERM
    Serve(ServeOptions),
    /// Check a configuration file and its tokens, and say what is wrong
    Check(CheckOptions),
    /// Fetch one Git branch, check its files, and publish them as one set
    Sync(SyncOptions),
    /// Copy a directory as of one moment, also while it is served
    Snapshot(SnapshotOptions),
    /// Make a directory from a snapshot
    Restore(RestoreOptions),
    /// Check the journal and the files of a directory that is not being served
    Verify(VerifyOptions),
    /// Cut the journal of a directory where it does not check out; what stood behind is lost
    Repair(RepairOptions),
    /// Print the description of the HTTP contracts (OpenAPI 3.1, JSON)
    Openapi,
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
#[command(after_help = SERVE_HELP)]
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
#[command(after_help = CHECK_HELP)]
pub struct CheckOptions {
    /// The configuration file of `serve`
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Check as `serve --insecure-no-auth` would
    #[arg(long)]
    pub insecure_no_auth: bool,
}

/// Options of `sync`.
#[derive(Debug, Args)]
#[command(after_help = SYNC_HELP)]
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

const VERIFY_HELP: &str = "\
It changes nothing. A server that refuses to start because of its journal says so, and names the
place; this says how much checks out.

Exit codes:
  0   nothing is damaged
  1   the directory is in use, or cannot be read
  2   something is damaged; the report names it
  64  the flags are wrong, or there is no store in the directory";

const REPAIR_HELP: &str = "\
It cuts only where `verify` found that the journal does not check out, and keeps a copy of the
journal as it was below .stowage. What was acknowledged behind that place and is not in the tree is
lost: restore a backup instead, if there is one that is later.

Exit codes:
  0   the journal was cut
  1   the directory is in use, or cannot be read or written; nothing was cut
  64  the flags are wrong, or there is nothing to cut at this place";

const SNAPSHOT_HELP: &str = "\
The result is a tar stream that holds every write up to one sequence and none after. Where a server
serves the directory, it goes on meanwhile; run this as the same user. Where none does, nothing is
changed. Take the exit code for whether it succeeded, not the file: one that was cut is refused by
`restore`. Progress and the result are said on standard error.

Exit codes:
  0   the snapshot is complete
  1   the machine or the server stands in the way: no permission, a full disk, too much written
      meanwhile, a server that ended
  64  the flags are wrong, there is no store in the directory, or the file exists already";

const RESTORE_HELP: &str = "\
The directory has to be empty or not there. Until all of it is restored and checked, every start
refuses it; then a start serves what the snapshot holds, under the same entity tags and versions.

Exit codes:
  0   the snapshot is restored
  1   the machine stands in the way: no permission, a full disk, a file system that keeps no
      nanoseconds; empty the directory, then try again
  2   the snapshot is damaged or cut
  64  the flags are wrong, the directory is not empty, or the input is no snapshot";

/// Options of `snapshot`.
#[derive(Debug, Args)]
#[command(after_help = SNAPSHOT_HELP)]
pub struct SnapshotOptions {
    /// The directory of the Store: `backend.volume.path` of `serve`, DATA/STORE of `stowage up`
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Where the snapshot goes: a new file, or `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub to: PathBuf,
}

/// Options of `restore`.
#[derive(Debug, Args)]
#[command(after_help = RESTORE_HELP)]
pub struct RestoreOptions {
    /// The directory of the Store: `backend.volume.path` of `serve`, DATA/STORE of `stowage up`
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Where the snapshot comes from: a file, or `-` for standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub from: PathBuf,
}

/// Options of `verify`.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
pub struct VerifyOptions {
    /// The directory of the Store: `backend.volume.path` of `serve`, DATA/STORE of `stowage up`
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Options of `repair`.
#[derive(Debug, Args)]
#[command(after_help = REPAIR_HELP)]
pub struct RepairOptions {
    /// The place that `verify` names
    #[arg(long, value_name = "FILE:OFFSET")]
    pub truncate_at: Place,
    /// The directory of the Store: `backend.volume.path` of `serve`, DATA/STORE of `stowage up`
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
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
