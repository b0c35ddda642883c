//! `stowage version`.

use serde::Serialize;
use stowage_config::Contract;

use crate::args::{Output, VersionArgs};

/// What `stowage version --output json` prints.
#[derive(Debug, Serialize)]
struct Version {
    version: &'static str,
    /// Version of each contract that a store can serve, by its name in resources.
    contracts: std::collections::BTreeMap<&'static str, u32>,
    /// The API version of the resources.
    resources: &'static str,
}

/// Every contract stands at its first version: a later one would get its own paths.
const CONTRACT_VERSION: u32 = 1;

/// The text to print.
pub(crate) fn render(args: &VersionArgs) -> String {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        contracts: Contract::all().iter().map(|c| (c.as_str(), CONTRACT_VERSION)).collect(),
        resources: "stowage.dev/v1alpha1",
    };
    match args.output {
        Output::Text => {
            let contracts: Vec<_> =
                version.contracts.iter().map(|(name, n)| format!("{name} v{n}")).collect();
            format!(
                "stowage {}\ncontracts: {}\nresources: {}\n",
                version.version,
                contracts.join(", "),
                version.resources
            )
        }
        Output::Json => serde_json::to_string_pretty(&version).unwrap_or_default() + "\n",
    }
}
