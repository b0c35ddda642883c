//! The command line: what can be typed, and the help that explains it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use stowage_conformance::Profile;

/// Durable storage over plain HTTP with ETags, without a cluster.
#[derive(Parser)]
#[command(
    name = "stowage",
    version,
    about = "Durable storage over plain HTTP with ETags, without a cluster",
    after_help = EXAMPLES
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  stowage validate -f manifests/       check manifests without serving them
  stowage up -f manifests/             serve every Store in them
  stowage conformance --url https://dav.example/files --profile generic
                                       try any server's conditional requests
  stowage completions bash             print completions for bash";

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Serve the Stores of some manifests on this machine, and sync their Git sources
    Up(UpArgs),
    /// Say what is wrong with some manifests, by file, line and field
    Validate(ValidateArgs),
    /// Try how strictly a server keeps to the rules of conditional requests
    Conformance(ConformanceArgs),
    /// Print the version and the contracts it serves
    Version(VersionArgs),
    /// Print a shell's completion script
    #[command(after_help = "\
Examples:
  stowage completions bash > /etc/bash_completion.d/stowage
  stowage completions fish > ~/.config/fish/completions/stowage.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

const UP_HELP: &str = "\
Examples:
  stowage up -f manifests/
  stowage up -f store.yaml -f tokens.yaml --data /var/lib/stowage
  stowage up -f manifests/ --listen 127.0.0.1:9000 --listen lake=127.0.0.1:0
  stowage up -f manifests/ --listen 127.0.0.1:0 --ready-file up.json

Manifests are watched: a valid change is taken up while serving, an invalid one is reported and
changes nothing. Where a Store names no Secret with tokens, one token is made, kept in
DIR/tokens/STORE and printed. A StoreNamespace's credentials are written to DIR/bindings/NAME/.

Signals:
  SIGHUP            sync every Git source now
  SIGTERM, SIGINT   finish the requests under way, then end with code 0; a second SIGINT ends
                    at once

Exit codes:
  0   ended by a signal
  1   the machine stands in the way: a port or a directory in use, no permission, a failed disk
  64  the flags or the manifests are wrong
  130 ended at once by a second SIGINT";

/// What `stowage up` takes.
#[derive(Debug, Args)]
#[command(after_help = UP_HELP)]
pub struct UpArgs {
    /// The manifests: a directory with .yaml, .yml and .json files, or one file; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "DIR|FILE", required = true,
          value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Where the data stands; a Store's is in DIR/STORE
    #[arg(long, value_name = "DIR", default_value = ".stowage", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,
    /// Where a Store is served: the first one, or the named one; may be repeated
    ///
    /// Without it, the first Store is at 127.0.0.1:8080 and each next one ten ports on. Health
    /// and metrics are on the next port up. Port 0 takes free ports.
    #[arg(long, value_name = "[STORE=]ADDR")]
    pub listen: Vec<Listen>,
    /// Write the URLs as JSON to this file once every Store is ready; removed at the end
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ready_file: Option<PathBuf>,
    /// How logs on standard error are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Serve Stores that name no tokens to everyone, for reading and writing, instead of making
    /// a token
    #[arg(long)]
    pub insecure_no_auth: bool,
}

/// What `stowage validate` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stowage validate -f manifests/
  stowage validate -f manifests/ --output json

Exit codes:
  0   everything is valid
  1   there are problems
  64  the flags are wrong")]
pub struct ValidateArgs {
    /// The manifests: a directory with .yaml, .yml and .json files, or one file; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "DIR|FILE", required = true,
          value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// How the result is written
    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// What `stowage conformance` takes.
///
/// No `Debug`: it may hold a token.
#[derive(Args)]
#[command(after_help = "\
Examples:
  stowage conformance --url http://127.0.0.1:8080 --profile kv --token-file token
  stowage conformance --url https://dav.example/files --profile generic --path try
  stowage conformance --url https://dav.example/files --profile generic --only if-match
  stowage conformance --profile run-store --list

It writes resources of its own, with random names, and removes them; where the profile has no way to
remove something (the version of a KV namespace, the log of a build), that stays. docs/conformance.md
says how to read what it prints.

Exit codes:
  0   every case of level MUST, and of the contract, is as expected, or does not apply
  1   one is not, or was not answered, or the server cannot be tried at all
  64  the flags are wrong")]
pub struct ConformanceArgs {
    /// The server: http:// or https://, host and port, and a path below which everything happens
    #[arg(long, value_name = "URL", required_unless_present = "list", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// What kind of server it is
    #[arg(long, value_name = "PROFILE", value_parser = profile())]
    pub profile: Profile,
    /// A path below the URL where the suite may write; the server must have it already
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub path: String,
    /// A bearer token; every user of this machine can see it: prefer --token-file
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    pub token: Option<String>,
    /// A file with a bearer token
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// A header line for every request; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Write the result as JUnit XML to this file, too
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub junit: Option<PathBuf>,
    /// Only the cases of this section, or this one; may be repeated
    #[arg(long, value_name = "SECTION[/ID]")]
    pub only: Vec<String>,
    /// Show the cases of the profile instead of trying them
    #[arg(long)]
    pub list: bool,
    /// How long a connection or an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
}

/// The profiles, named in the help and in what is said of a wrong one.
fn profile() -> impl TypedValueParser<Value = Profile> {
    let names: Vec<&str> = Profile::ALL.iter().map(|profile| profile.name()).collect();
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Profile>())
}

/// What `stowage version` takes.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// How the version is written
    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// How a result is written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

/// How logs are written to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line an event.
    Text,
    /// One JSON object an event.
    Json,
}

/// One `--listen`: `ADDR` for the first Store, `STORE=ADDR` for a named one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The Store, `None`: the first one.
    pub store: Option<String>,
    /// Its main address; port 0 takes a free one.
    pub address: SocketAddr,
}

/// The text is not a `--listen`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidListen {
    /// Nothing before the `=`.
    #[error("there is no Store name before the =; write STORE=127.0.0.1:8080 or 127.0.0.1:8080")]
    NoStore,
    /// No address and port.
    #[error("write an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or 127.0.0.1:0")]
    Address,
    /// No port for health and metrics is left.
    #[error("port 65535 has no next one for health and metrics; choose a lower port")]
    LastPort,
}

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (store, address) = match text.split_once('=') {
            Some(("", _)) => return Err(InvalidListen::NoStore),
            Some((store, address)) => (Some(store.to_owned()), address),
            None => (None, text),
        };
        let address: SocketAddr = address.parse().map_err(|_| InvalidListen::Address)?;
        if address.port() == u16::MAX {
            return Err(InvalidListen::LastPort);
        }
        Ok(Self { store, address })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(argument.get_help().is_some(), "{} {id}: no help", command.get_name());
            }
        }
    }

    #[test]
    fn listen_takes_an_address_for_the_first_or_a_named_store() {
        let on = |store: Option<&str>, address: &str| {
            Ok(Listen { store: store.map(str::to_owned), address: address.parse().unwrap() })
        };
        let table = [
            ("127.0.0.1:8080", on(None, "127.0.0.1:8080")),
            ("[::1]:0", on(None, "[::1]:0")),
            ("lake=0.0.0.0:9000", on(Some("lake"), "0.0.0.0:9000")),
            ("=127.0.0.1:1", Err(InvalidListen::NoStore)),
            ("lake=", Err(InvalidListen::Address)),
            ("8080", Err(InvalidListen::Address)),
            (":8080", Err(InvalidListen::Address)),
            ("127.0.0.1:65536", Err(InvalidListen::Address)),
            ("127.0.0.1:65535", Err(InvalidListen::LastPort)),
            ("", Err(InvalidListen::Address)),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Listen>(), expected, "{text:?}");
        }
    }
}
