//! The command line.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::options::{Options, Scope};

const RUN_HELP: &str = "\
The cluster is the one that the pod runs in, or the one that KUBECONFIG names.

Exit codes:
  0   ended by SIGTERM or SIGINT; the Lease is released
  1   no cluster, no port, or the Lease was lost: start it again
  64  the flags are wrong";

const VERIFY_HELP: &str = "\
Prints a line for each check. Exit codes:
  0   everything holds
  1   something does not; its line says what to do
  64  the flags are wrong";

/// Runs Stowage's resources on a cluster.
#[derive(Debug, Parser)]
#[command(name = "stowage-operator", version, about = "Run Stowage's resources on a cluster")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reconcile Stores, StoreNamespaces and RuntimeConfigSources until SIGTERM
    Run(RunOptions),
    /// Check that an installed operator answers and that the cluster knows its resources
    Verify(VerifyOptions),
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Options of `run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub struct RunOptions {
    /// Reconcile only in these namespaces (separated by commas); all where it is left out
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// The image of the storage pods
    #[arg(long, value_name = "IMAGE")]
    pub sidecar_image: String,
    /// The image of the Git sync Jobs
    #[arg(long, value_name = "IMAGE")]
    pub sync_image: String,
    /// When nodes pull the two images
    #[arg(
        long, value_name = "POLICY", default_value = "IfNotPresent",
        value_parser = ["Always", "IfNotPresent", "Never"]
    )]
    pub image_pull_policy: String,
    /// Secrets that pods pull images with, each in the pod's own namespace (separated by commas)
    #[arg(long, value_name = "SECRETS", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,
    /// Where /livez, /readyz and /metrics answer
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Whether of several operators one acts; without it there must never be two
    #[arg(
        long, value_name = "BOOL", default_value_t = true,
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true"
    )]
    pub leader_elect: bool,
    /// The namespace of the Lease
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "default")]
    pub lease_namespace: String,
    /// The name of the Lease
    #[arg(long, value_name = "NAME", default_value = "stowage-operator")]
    pub lease_name: String,
    /// The most objects of one kind that are reconciled at a time
    #[arg(
        long, value_name = "NUMBER", default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    pub concurrency: u16,
    /// Let Git sources use http:// and file:// URLs
    #[arg(long)]
    pub allow_insecure_git_urls: bool,
    /// How logs are written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

impl RunOptions {
    /// What reconciles look at.
    #[must_use]
    pub fn reconcile_options(&self) -> Options {
        let named = |names: &[String]| {
            names
                .iter()
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect()
        };
        let namespaces: Vec<String> = named(&self.watch_namespaces);
        Options {
            scope: if namespaces.is_empty() {
                Scope::Cluster
            } else {
                Scope::Namespaces(namespaces)
            },
            sidecar_image: self.sidecar_image.clone(),
            sync_image: self.sync_image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            image_pull_secrets: named(&self.image_pull_secrets),
            allow_insecure_git_urls: self.allow_insecure_git_urls,
            concurrency: self.concurrency,
        }
    }
}

/// Options of `verify`.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
pub struct VerifyOptions {
    /// Where the operator answers probes, such as http://stowage-operator.stowage-system.svc:8080
    #[arg(long, value_name = "URL")]
    pub url: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn namespaces_are_those_that_are_named() {
        let least = ["stowage-operator", "run", "--sidecar-image", "a", "--sync-image", "b"];
        let scope = |more: &[&str]| {
            let arguments = Arguments::try_parse_from(least.iter().chain(more)).unwrap();
            let Command::Run(options) = arguments.command else { panic!("run was asked for") };
            options.reconcile_options().scope
        };
        assert_eq!(scope(&[]), Scope::Cluster);
        assert_eq!(scope(&["--watch-namespaces", ""]), Scope::Cluster, "an empty chart value");
        let two = Scope::Namespaces(vec!["a".into(), "b".into()]);
        assert_eq!(scope(&["--watch-namespaces", "a, b"]), two);
    }
}
