//! From what was read to what is to be: pure.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{
    Affinity, PersistentVolumeClaim, ResourceRequirements, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use stowage_config::{Access, ByteSize, Contract, Interval, SidecarConfig, TokenGrant};
use stowage_crds::render::{self, StorePlaces};
use stowage_crds::{
    AccessMode, Backend, PodResources, ResourceAmounts, Store, StoreJwt, StoreNamespace, StoreSpec,
    TaintEffect, TolerationOperator, TracingSecret, VolumeBackend,
};

use super::dereference::{Class, Dereferenced};
use super::tenants::Tenants;
use super::tokens::WantedToken;
use super::{jwt_keys, names};
use crate::kubernetes::{Finding, canonical_bytes};
use crate::options::Options;

mod claim;

pub(super) use claim::taken as claim_taken;

/// Where the volume is in the pod.
pub(super) const DATA_DIR: &str = "/data";
/// Where the tokens are in the pod.
pub(super) const TOKENS_DIR: &str = "/etc/stowage/tokens";
/// Where the keys of JWTs are in the pod, and under which name.
pub(super) const JWT_DIR: &str = "/etc/stowage/jwt";
pub(super) const JWT_FILE: &str = "keys";
/// Where the files that go with a collector of traces are in the pod.
pub(super) const TRACING_DIR: &str = "/etc/stowage/tracing";
/// How long requests in flight may take to finish after SIGTERM.
pub(super) const SHUTDOWN_GRACE_SECONDS: u64 = 20;

/// A Store that can be built: builders read nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValidatedStore {
    /// The Store's name.
    pub(crate) name: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// What its children say of it.
    pub(crate) owner: OwnerReference,
    /// What the server reads.
    pub(crate) config: SidecarConfig,
    /// Where the data is.
    pub(crate) volume: Volume,
    /// The Secret with the user's tokens.
    pub(crate) tokens_secret: Option<String>,
    /// The key of a Secret of the user's that JWTs are checked with.
    pub(crate) jwt_secret: Option<MountedKey>,
    /// The keys of Secrets of the user's that go with a collector of traces.
    pub(crate) tracing_secrets: Vec<MountedKey>,
    /// The tokens that the operator makes.
    pub(crate) tokens: Vec<WantedToken>,
    /// Tokens that stay as they are, where they are.
    pub(crate) kept_tokens: Vec<String>,
    /// Whether there is to be no pod.
    pub(crate) suspended: bool,
    /// What the pod is to be.
    pub(crate) pod: PodSettings,
    /// Why the pod is left as it is: a new one could not start.
    pub(crate) pod_waits: Option<Finding>,
    /// What cannot be as the spec wants, though everything else can.
    pub(crate) shortfall: Option<Finding>,
}

/// One key of a Secret, as a file in the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountedKey {
    /// The Secret's name.
    pub(crate) secret: String,
    /// The key.
    pub(crate) key: String,
    /// The file's name.
    pub(crate) file: &'static str,
}

/// Where the data is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Volume {
    /// In a claim that the operator makes.
    Own {
        /// How much it asks for.
        size: Quantity,
        /// Its class; `None`: the cluster's default.
        storage_class: Option<String>,
        /// How it may be mounted.
        access_mode: AccessMode,
    },
    /// In a claim of this name that is there.
    Existing(String),
}

/// What the pod is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PodSettings {
    /// The server's image.
    pub(crate) image: String,
    /// When it is pulled.
    pub(crate) image_pull_policy: String,
    /// What it is pulled with.
    pub(crate) image_pull_secrets: Vec<String>,
    /// What the container may use.
    pub(crate) resources: ResourceRequirements,
    /// Labels of nodes.
    pub(crate) node_selector: BTreeMap<String, String>,
    /// Taints of nodes.
    pub(crate) tolerations: Vec<Toleration>,
    /// Near to what, and far from what.
    pub(crate) affinity: Option<Affinity>,
    /// Its PriorityClass.
    pub(crate) priority_class: Option<String>,
    /// More annotations.
    pub(crate) annotations: BTreeMap<String, String>,
    /// More labels.
    pub(crate) labels: BTreeMap<String, String>,
}

impl ValidatedStore {
    /// The same, with what its server is to know of its StoreNamespaces.
    pub(super) fn with(mut self, tenants: Tenants) -> Self {
        self.config.auth.namespace_tokens = tenants.known;
        self.tokens.extend(tenants.static_tokens);
        self
    }

    /// The name of the claim with the data.
    #[must_use]
    pub(crate) fn claim_name(&self) -> String {
        match &self.volume {
            Volume::Own { .. } => names::claim(&self.name),
            Volume::Existing(claim) => claim.clone(),
        }
    }
}

/// # Errors
/// The finding that says why nothing can be built. Until then nothing is changed; what runs goes on.
pub(super) fn validate(
    store: &Store,
    found: &Dereferenced,
    options: &Options,
) -> Result<ValidatedStore, Finding> {
    let name = store.name_any();
    let spec = &store.spec;
    let owner = store.controller_owner_ref(&()).unwrap_or_default();
    let Backend::Volume(backend) = &spec.backend;
    let tokens_unusable = unusable_tokens(store, found).filter(|_| !spec.suspend);
    let keys_unusable = jwt_keys::unusable(store, found).filter(|_| !spec.suspend);
    claim::is_free(store, found)?;
    let (volume, shortfall) = volume(backend, found)?;
    Ok(ValidatedStore {
        namespace: store.namespace().unwrap_or_default(),
        owner,
        config: config(store, &found.namespaces),
        volume,
        tokens_secret: spec.auth.tokens_secret_ref.as_ref().map(|secret| secret.name.clone()),
        jwt_secret: spec.auth.jwt.as_ref().and_then(StoreJwt::secret).map(|secret| MountedKey {
            secret: secret.name.to_owned(),
            key: secret.key.to_owned(),
            file: JWT_FILE,
        }),
        tokens: wanted_tokens(store),
        tracing_secrets: spec
            .tracing
            .iter()
            .flat_map(|it| it.otlp.secrets())
            .map(mounted)
            .collect(),
        kept_tokens: kept_tokens(found, tokens_unusable.is_some()),
        suspended: spec.suspend,
        pod: pod(store, options),
        pod_waits: tokens_unusable.or(keys_unusable),
        shortfall,
        name,
    })
}

fn mounted(secret: TracingSecret<'_>) -> MountedKey {
    MountedKey { secret: secret.name.to_owned(), key: secret.key.to_owned(), file: secret.file }
}

fn unusable_tokens(store: &Store, found: &Dereferenced) -> Option<Finding> {
    let secret = &store.spec.auth.tokens_secret_ref.as_ref()?.name;
    if found.tokens_secret.is_none() {
        return Some(Finding::stalled(
            "SecretMissing",
            format!(
                "There is no Secret {secret} with the tokens: make it, with a key for each token \
                 and the token as its value, such as `kubectl create secret generic {secret} \
                 --from-literal=admin=$(openssl rand -hex 32)`."
            ),
        ));
    }
    let fault = found.tokens_fault.as_ref()?;
    Some(Finding::stalled(
        "TokensInvalid",
        format!(
            "The Secret {secret} cannot be used: {fault}. Until that is corrected, a server that \
             runs refuses that token and takes the others as they stand there, and none starts."
        ),
    ))
}

/// Those of an earlier version whose StoreNamespace does not parse now; and, where the user's own cannot be used yet, the
/// one that the pod that runs has instead of them.
fn kept_tokens(found: &Dereferenced, users_are_unusable: bool) -> Vec<String> {
    let unreadable = found.unreadable_namespaces.iter();
    let unreadable = unreadable.map(|namespace| names::namespace_token(namespace));
    unreadable.chain(users_are_unusable.then(names::admin_token)).collect()
}

fn volume(
    backend: &VolumeBackend,
    found: &Dereferenced,
) -> Result<(Volume, Option<Finding>), Finding> {
    if let Some(claim) = &backend.existing_claim {
        return match &found.claim {
            Some(_) => Ok((Volume::Existing(claim.clone()), None)),
            None => Err(Finding::stalled(
                "ClaimMissing",
                format!(
                    "There is no PersistentVolumeClaim {claim}: make it, or write \
                     spec.backend.volume.size instead of existingClaim."
                ),
            )),
        };
    }
    let Some(size) = &backend.size else {
        return Err(Finding::stalled(
            "InvalidSpec",
            "spec.backend.volume has neither size nor existingClaim: write one of them.",
        ));
    };
    if let (None, Some(class), Class::Missing) =
        (&found.claim, &backend.storage_class_name, &found.class)
    {
        return Err(Finding::stalled(
            "StorageClassMissing",
            format!(
                "There is no StorageClass {class}: make it, or make the Store anew with one that \
                 `kubectl get storageclass` lists."
            ),
        ));
    }
    let (size, shortfall) = claim_size(size, found);
    let claim::Kept { storage_class, access_mode, shortfall: differs } =
        claim::kept(backend, found.claim.as_ref());
    let shortfall = differs.or(shortfall);
    Ok((Volume::Own { size, storage_class, access_mode }, shortfall))
}

/// How much the claim is to ask for: never less than it does, for the API server refuses that, and
/// more only where a volume is there and can grow.
fn claim_size(wanted: &ByteSize, found: &Dereferenced) -> (Quantity, Option<Finding>) {
    let new = canonical_bytes(wanted);
    let Some(live) = found.claim.as_ref() else { return (new, None) };
    let Some((asked, quantity)) = requested(live) else { return (new, None) };
    if wanted.bytes() <= asked || !is_bound(live) {
        return (quantity, None);
    }
    let Class::Found { name, expands: false } = &found.class else { return (new, None) };
    let finding = Finding::stalled(
        "VolumeGrowthRefused",
        format!(
            "The volume stays at {}: its StorageClass {name} does not let volumes grow. Set \
             allowVolumeExpansion on the class where its driver can do it, or write the old size \
             back, or copy the data into a new Store. The store goes on serving.",
            quantity.0
        ),
    );
    (quantity, Some(finding))
}

/// What a claim asks for, in bytes and as written.
fn requested(claim: &PersistentVolumeClaim) -> Option<(u64, Quantity)> {
    let quantity = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?;
    let size: ByteSize = quantity.0.parse().ok()?;
    Some((size.bytes(), quantity.clone()))
}

/// Whether a claim has its volume.
pub(super) fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

fn config(store: &Store, namespaces: &[StoreNamespace]) -> SidecarConfig {
    let namespaces: Vec<&StoreNamespace> = namespaces.iter().collect();
    let places = StorePlaces {
        listen: ([0, 0, 0, 0], names::HTTP_PORT).into(),
        management_listen: ([0, 0, 0, 0], names::MANAGEMENT_PORT).into(),
        data: DATA_DIR.into(),
        tokens_dir: Some(TOKENS_DIR.into()),
        jwt_keys_file: Path::new(JWT_DIR).join(JWT_FILE),
        tracing_dir: TRACING_DIR.into(),
        memory_limit: memory_limit(&store.spec),
        shutdown_grace: Interval::from_secs(SHUTDOWN_GRACE_SECONDS),
    };
    render::sidecar(store, &namespaces, &places)
}

fn wanted_tokens(store: &Store) -> Vec<WantedToken> {
    let mut tokens = vec![WantedToken {
        key: names::sync_token(),
        grant: TokenGrant {
            contracts: Some(vec![Contract::Runtimes]),
            namespaces: None,
            access: Access::ReadWrite,
        },
        make: true,
    }];
    if store.spec.auth.tokens_secret_ref.is_none() {
        tokens.push(WantedToken {
            key: names::admin_token(),
            grant: TokenGrant::default(),
            make: true,
        });
    }
    tokens
}

fn pod(store: &Store, options: &Options) -> PodSettings {
    let spec = &store.spec;
    PodSettings {
        image: spec.image.clone().unwrap_or_else(|| options.sidecar_image.clone()),
        image_pull_policy: options.image_pull_policy.clone(),
        image_pull_secrets: options.image_pull_secrets.clone(),
        resources: spec.resources.as_ref().map_or_else(default_resources, resources),
        node_selector: spec.node_selector.clone(),
        tolerations: spec.tolerations.iter().map(toleration).collect(),
        affinity: spec.affinity.clone(),
        priority_class: spec.priority_class_name.clone(),
        annotations: spec.pod_annotations.clone(),
        labels: spec.pod_labels.clone(),
    }
}

/// What a container may use where its Store does not say.
const MEMORY_BYTES: u64 = 512 << 20;

/// The memory that the container may use.
fn memory_limit(spec: &StoreSpec) -> Option<ByteSize> {
    match &spec.resources {
        None => Some(ByteSize::from_bytes(MEMORY_BYTES)),
        Some(resources) => resources.limits.as_ref()?.memory.clone(),
    }
}

fn default_resources() -> ResourceRequirements {
    let quantity = |text: &str| Quantity(text.to_owned());
    let requests = [("cpu", "20m"), ("memory", "32Mi")];
    let memory = ByteSize::from_bytes(MEMORY_BYTES).to_string();
    ResourceRequirements {
        requests: Some(requests.map(|(name, text)| (name.to_owned(), quantity(text))).into()),
        limits: Some([("memory".to_owned(), Quantity(memory))].into()),
        ..ResourceRequirements::default()
    }
}

fn resources(spec: &PodResources) -> ResourceRequirements {
    let amounts = |amounts: &ResourceAmounts| -> BTreeMap<String, Quantity> {
        let cpu = amounts.cpu.as_ref().map(|cpu| ("cpu".to_owned(), Quantity(cpu.canonical())));
        let memory =
            amounts.memory.as_ref().map(|size| ("memory".to_owned(), canonical_bytes(size)));
        cpu.into_iter().chain(memory).collect()
    };
    ResourceRequirements {
        requests: spec.requests.as_ref().map(amounts),
        limits: spec.limits.as_ref().map(amounts),
        ..ResourceRequirements::default()
    }
}

fn toleration(spec: &stowage_crds::Toleration) -> Toleration {
    let operator = spec.operator.map(|operator| match operator {
        TolerationOperator::Exists => "Exists",
        TolerationOperator::Equal => "Equal",
    });
    let effect = spec.effect.map(|effect| match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    });
    Toleration {
        key: spec.key.clone(),
        operator: operator.map(str::to_owned),
        value: spec.value.clone(),
        effect: effect.map(str::to_owned),
        toleration_seconds: spec.toleration_seconds,
    }
}
