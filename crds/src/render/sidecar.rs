//! A Store and its namespaces as a server's configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use kube::ResourceExt;
use stowage_config::jwt::KeysKind;
use stowage_config::{
    Auth, Backend, ByteSize, Cors, Interval, Jwt, JwtKeys, Limits, NamespaceQuota, Otlp, RunStore,
    SidecarConfig, Tracing, VolumeBackend,
};

use crate::{NamespaceContract, Store, StoreJwt, StoreLimits, StoreNamespace, StoreOtlp};

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
    /// The file with the keys of JWTs, where a Secret has them: its key, as it stands there.
    pub jwt_keys_file: PathBuf,
    /// The directory of the files that go with a collector of traces.
    pub tracing_dir: PathBuf,
    /// The memory that the process may use, where that is limited.
    pub memory_limit: Option<ByteSize>,
    /// How long requests in flight may take to finish.
    pub shutdown_grace: Interval,
}

/// The configuration of the server of one Store.
///
/// What tokens of StoreNamespaces are known by is left out: that is for whoever signs them.
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
            crate::Backend::Volume(spec) => Backend::Volume(volume(spec, places)),
        },
        contracts: spec.served_contracts(),
        auth: Auth {
            tokens_dir: places.tokens_dir.clone(),
            jwt: spec.auth.jwt.as_ref().and_then(|jwt| self::jwt(jwt, places)),
            namespace_tokens: None,
            anonymous: spec.auth.anonymous,
        },
        limits: limits(&spec.limits),
        cors: Cors { allowed_origins: spec.cors.allowed_origins.clone() },
        run_store: RunStore { require_precondition: spec.run_store.require_precondition },
        namespaces: quotas(store, namespaces),
        history: spec.history,
        debug: false,
        shutdown_grace: places.shutdown_grace.clone(),
        tracing: spec.tracing.as_ref().and_then(|tracing| otlp(&tracing.otlp, places)),
    }
}

/// Where the spec leaves the memory out, it is a quarter of what the process may use: requests
/// and the process itself need the rest at their worst.
fn volume(spec: &crate::VolumeBackend, places: &StorePlaces) -> VolumeBackend {
    let defaults = VolumeBackend::new(places.data.clone());
    let quarter = |limit: &ByteSize| {
        ByteSize::from_bytes((limit.bytes() / 4).max(VolumeBackend::MEMORY_BYTES_MIN))
    };
    let by_limit = || places.memory_limit.as_ref().map(quarter);
    VolumeBackend {
        memory: spec.memory.clone().or_else(by_limit).unwrap_or(defaults.memory),
        journal_size: spec.journal_size.clone().unwrap_or(defaults.journal_size),
        path: defaults.path,
    }
}

/// `None` where no keys are named, which the definition's rules refuse.
fn jwt(spec: &StoreJwt, places: &StorePlaces) -> Option<Jwt> {
    let file = || places.jwt_keys_file.clone();
    let in_secret = spec.secret().map(|secret| match secret.kind {
        KeysKind::JwkSet => JwtKeys::JwksFile(file()),
        KeysKind::HmacSecret => JwtKeys::HmacSecretFile(file()),
    });
    Some(Jwt {
        issuer: spec.issuer.clone(),
        audiences: spec.audiences.clone(),
        keys: spec.jwks_uri.clone().map(JwtKeys::JwksUrl).or(in_secret)?,
        clock_skew: spec.clock_skew.clone(),
        grant: (&spec.grant).into(),
    })
}

/// `None` where the endpoint is none, which the definition's rules refuse.
fn otlp(spec: &StoreOtlp, places: &StorePlaces) -> Option<Tracing> {
    let defaults = Otlp::new(spec.endpoint.parse().ok()?);
    let file = |name| places.tracing_dir.join(name);
    Some(Tracing {
        otlp: Otlp {
            protocol: spec.protocol,
            headers_file: spec.headers_secret_ref.as_ref().map(|_| file(StoreOtlp::HEADERS_FILE)),
            ca_file: spec.ca_secret_ref.as_ref().map(|_| file(StoreOtlp::CA_FILE)),
            sample_ratio: spec.sample_ratio.unwrap_or(defaults.sample_ratio),
            service_name: spec.service_name.clone().unwrap_or(defaults.service_name),
            endpoint: defaults.endpoint,
        },
    })
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
        header_timeout: spec.header_timeout.clone().or(defaults.header_timeout),
        idle_timeout: spec.idle_timeout.clone().or(defaults.idle_timeout),
        stall_timeout: spec.stall_timeout.clone().or(defaults.stall_timeout),
        max_connections: spec.max_connections.and_then(NonZeroU32::new),
        requests_per_second: spec.requests_per_second.and_then(NonZeroU32::new),
        max_watches_per_identity: spec.max_watches_per_identity.and_then(NonZeroU32::new),
        refusals_per_second: spec.refusals_per_second.and_then(NonZeroU32::new),
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
