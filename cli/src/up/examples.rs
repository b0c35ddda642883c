//! Plans for tests: as small as they can be.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use stowage_config::{Access, SidecarConfig};
use stowage_crds::NamespaceContract;

use super::plan::{Credentials, NamespacePlan, OnRemoval, Plan, StorePlan};

/// How long the tokens of a [`namespace`] are good for, in seconds.
pub(crate) const LIFE: u64 = 3600;

pub(crate) fn config(store: &str) -> SidecarConfig {
    let config = json!({"store": store, "backend": {"volume": {"path": store}}});
    serde_json::from_value(config).unwrap()
}

/// A StoreNamespace of the contract `kv`.
pub(crate) fn namespace(name: &str) -> NamespacePlan {
    NamespacePlan {
        name: name.to_owned(),
        contract: NamespaceContract::Kv,
        subject: name.to_owned(),
        access: Access::ReadWrite,
        token_life: Duration::from_secs(LIFE),
        token_generation: 0,
    }
}

/// A Store with a token that is made, and its StoreNamespaces.
pub(crate) fn store(name: &str, namespaces: &[&str]) -> StorePlan {
    StorePlan {
        name: name.to_owned(),
        config: config(name),
        credentials: Credentials::Made,
        jwt_keys: None,
        tracing_files: BTreeMap::new(),
        volume_size: None,
        namespaces: namespaces.iter().map(|name| namespace(name)).collect(),
        on_removal: OnRemoval::Retain,
        suspended: false,
    }
}

/// Stores that are not served, so that no port is taken.
pub(crate) fn suspended(stores: &[(&str, &[&str])]) -> Plan {
    let stores = stores
        .iter()
        .map(|(name, namespaces)| StorePlan { suspended: true, ..store(name, namespaces) });
    Plan { stores: stores.collect(), ..Plan::default() }
}
