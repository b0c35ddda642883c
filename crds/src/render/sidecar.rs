//! A Store and its namespaces as a server's configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use kube::ResourceExt;
use stowage_config::{
    Auth, Backend, ByteSize, Cors, Interval, Limits, NamespaceQuota, RunStore, SidecarConfig,
    VolumeBackend,
};

use crate::{NamespaceContract, Store, StoreLimits, StoreNamespace};

/// Where things stand for one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlaces {
    /// Where the contracts are served.
    pub listen: SocketAddr,
    /// Where health, readiness and metrics are served.
    pub management_listen: SocketAddr,
    /// The directory of the volume.
    pub data: PathBuf,
    /// The directory with one file per token; `None`: there are no static tokens.
    pub tokens_dir: Option<PathBuf>,
    /// How long requests in flight may take to finish.
    pub shutdown_grace: Interval,
}

/// The configuration of the server of one Store.
///
/// `namespaces` may be those of any Store: only the ones that refer to this one count. Where two
/// of them give quotas to the same name, the smaller number holds.
#[must_use]
pub fn sidecar(
    store: &Store,
    namespaces: &[&StoreNamespace],
    places: &StorePlaces,
) -> SidecarConfig {
    let spec = &store.spec;
    SidecarConfig {
        store: store.name_any(),
        listen: places.listen,
        management_listen: places.management_listen,
        backend: match &spec.backend {
            crate::Backend::Volume(_) => {
                Backend::Volume(VolumeBackend { path: places.data.clone() })
            }
        },
        contracts: spec.served_contracts(),
        auth: Auth { tokens_dir: places.tokens_dir.clone(), anonymous: spec.auth.anonymous },
        limits: limits(&spec.limits),
        cors: Cors { allowed_origins: spec.cors.allowed_origins.clone() },
        run_store: RunStore { require_precondition: spec.run_store.require_precondition },
        namespaces: quotas(store, namespaces),
        debug: false,
        shutdown_grace: places.shutdown_grace.clone(),
    }
}

fn limits(spec: &StoreLimits) -> Limits {
    let defaults = Limits::default();
    Limits {
        max_json_bytes: spec.max_json_bytes.clone().unwrap_or(defaults.max_json_bytes),
        max_namespace_bytes: spec.max_namespace_bytes.clone().or(defaults.max_namespace_bytes),
        max_runtime_set_bytes: spec
            .max_runtime_set_bytes
            .clone()
            .unwrap_or(defaults.max_runtime_set_bytes),
        max_artifact_bytes: spec.max_artifact_bytes.clone().unwrap_or(defaults.max_artifact_bytes),
    }
}

/// By name, so that the order of the resources changes nothing in the configuration.
fn quotas(store: &Store, namespaces: &[&StoreNamespace]) -> Vec<NamespaceQuota> {
    let mut by_name: BTreeMap<String, NamespaceQuota> = BTreeMap::new();
    for namespace in namespaces {
        let spec = &namespace.spec;
        let of_this_store = spec.store_ref.name == store.name_any()
            && namespace.namespace() == store.namespace()
            && spec.contract == NamespaceContract::Kv;
        let Some(quota) = spec.quota.as_ref().filter(|_| of_this_store) else { continue };
        let entry = by_name.entry(namespace.served_name()).or_insert_with_key(|name| {
            NamespaceQuota { name: name.clone(), max_bytes: None, max_keys: None }
        });
        entry.max_bytes = smaller(entry.max_bytes.take(), quota.max_bytes.clone(), ByteSize::bytes);
        entry.max_keys = smaller(entry.max_keys, quota.max_keys.map(u64::from), |keys| *keys);
    }
    by_name.into_values().collect()
}

fn smaller<T>(a: Option<T>, b: Option<T>, weight: impl Fn(&T) -> u64) -> Option<T> {
    a.into_iter().chain(b).min_by_key(weight)
}
