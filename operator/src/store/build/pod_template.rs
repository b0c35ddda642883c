//! The pod: whatever changes here restarts it, and a store on a volume has no other pod to serve
//! meanwhile. So tokens and what a running server takes up are not a part of it.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction,
    KeyToPath, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec,
    Probe, ProjectedVolumeSource, SecretProjection, SecretVolumeSource, Volume, VolumeMount,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;

use super::config_map::KEY;
use super::{BuildError, text_map};
use crate::kubernetes::{
    COMPONENT_STORE, labels, pull_secrets, restricted_container, restricted_pod, short_digest,
};
use crate::store::names;
use crate::store::validate::{
    DATA_DIR, JWT_DIR, MountedKey, SHUTDOWN_GRACE_SECONDS, TOKENS_DIR, TRACING_DIR, ValidatedStore,
};

/// The name of the server's container.
pub(in crate::store) const CONTAINER: &str = "server";
/// The name of the port of the contracts.
pub(super) const HTTP: &str = "http";
const MANAGEMENT: &str = "management";

/// The name of the volume with the keys of JWTs.
const JWT: &str = "jwt";
/// The name of the volume with what goes with a collector of traces.
const TRACING: &str = "tracing";
/// For the server's group alone, which `fsGroup` makes the owner.
const SECRET_MODE: i32 = 0o440;
const CONFIG_DIR: &str = "/etc/stowage/config";
/// Changes with what a running server cannot take up.
const FIXED_DIGEST: &str = "stowage.dev/fixed-digest";
/// For the server to let go of its lock and its volume, after the requests in flight.
const END_SECONDS: u64 = 10;

pub(super) fn pod_template(store: &ValidatedStore) -> Result<PodTemplateSpec, BuildError> {
    let fixed = short_digest(&serde_json::to_string(&store.config.fixed())?);
    let mut annotations = store.pod.annotations.clone();
    annotations.extend([(FIXED_DIGEST.to_owned(), fixed)]);
    annotations.extend(text_map([("kubectl.kubernetes.io/default-container", CONTAINER)]));
    let mut pod_labels = store.pod.labels.clone();
    pod_labels.extend(labels(COMPONENT_STORE, &store.name));
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(store)),
    })
}

fn pod(store: &ValidatedStore) -> PodSpec {
    let settings = &store.pod;
    PodSpec {
        service_account_name: Some(store.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: i64::try_from(SHUTDOWN_GRACE_SECONDS + END_SECONDS).ok(),
        security_context: Some(PodSecurityContext {
            // A volume of many files is not walked through at every start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            ..restricted_pod()
        }),
        containers: vec![server(store)],
        volumes: Some(volumes(store)),
        image_pull_secrets: pull_secrets(&settings.image_pull_secrets),
        node_selector: Some(settings.node_selector.clone()),
        tolerations: Some(settings.tolerations.clone()),
        affinity: settings.affinity.clone(),
        priority_class_name: settings.priority_class.clone(),
        ..PodSpec::default()
    }
}

fn server(store: &ValidatedStore) -> Container {
    let arguments = ["serve", "--config", &format!("{CONFIG_DIR}/{KEY}"), "--log-format", "json"];
    Container {
        name: CONTAINER.to_owned(),
        image: Some(store.pod.image.clone()),
        image_pull_policy: Some(store.pod.image_pull_policy.clone()),
        args: Some(arguments.map(str::to_owned).to_vec()),
        ports: Some(vec![port(HTTP, names::HTTP_PORT), port(MANAGEMENT, names::MANAGEMENT_PORT)]),
        resources: Some(store.pod.resources.clone()),
        // Long, for a volume with much to look through; often, for there is nobody else to serve.
        startup_probe: Some(probe("/readyz", 1, 900)),
        readiness_probe: Some(probe("/readyz", 2, 3)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        // The last line says why it ended; the Store's status shows it.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        security_context: Some(restricted_container()),
        volume_mounts: Some(mounts(store)),
        ..Container::default()
    }
}

fn mounts(store: &ValidatedStore) -> Vec<VolumeMount> {
    let mut mounts = vec![
        VolumeMount { read_only: None, ..mount("data", DATA_DIR) },
        mount("config", CONFIG_DIR),
        mount("tokens", TOKENS_DIR),
        VolumeMount { read_only: None, ..mount("tmp", "/tmp") },
    ];
    mounts.extend(store.jwt_secret.as_ref().map(|_| mount(JWT, JWT_DIR)));
    mounts.extend(store.tracing_secrets.first().map(|_| mount(TRACING, TRACING_DIR)));
    mounts
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(MANAGEMENT.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Read-only, as most are.
fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn volumes(store: &ValidatedStore) -> Vec<Volume> {
    // The operator's come last: where two keys are the same, the later one holds.
    let own = names::server_tokens(&store.name);
    let secrets = store.tokens_secret.iter().chain([&own]).map(|name| VolumeProjection {
        secret: Some(SecretProjection { name: name.clone(), ..SecretProjection::default() }),
        ..VolumeProjection::default()
    });
    let mut volumes = vec![
        Volume {
            name: "data".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: store.claim_name(),
                ..PersistentVolumeClaimVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: names::config(&store.name),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "tokens".to_owned(),
            projected: Some(ProjectedVolumeSource {
                sources: Some(secrets.collect()),
                default_mode: Some(SECRET_MODE),
            }),
            ..Volume::default()
        },
        Volume {
            name: "tmp".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("64Mi".to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    volumes.extend(store.jwt_secret.as_ref().map(jwt_keys));
    volumes.extend((!store.tracing_secrets.is_empty()).then(|| tracing(&store.tracing_secrets)));
    volumes
}

/// One key of a Secret, under a name that does not depend on it.
fn item(mounted: &MountedKey) -> KeyToPath {
    KeyToPath { key: mounted.key.clone(), path: mounted.file.to_owned(), mode: None }
}

/// A pod that traces nothing serves; one whose Secret is not there would not start.
fn tracing(mounted: &[MountedKey]) -> Volume {
    let secrets = mounted.iter().map(|mounted| VolumeProjection {
        secret: Some(SecretProjection {
            name: mounted.secret.clone(),
            items: Some(vec![item(mounted)]),
            optional: Some(true),
        }),
        ..VolumeProjection::default()
    });
    Volume {
        name: TRACING.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(secrets.collect()),
            default_mode: Some(SECRET_MODE),
        }),
        ..Volume::default()
    }
}

fn jwt_keys(mounted: &MountedKey) -> Volume {
    Volume {
        name: JWT.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(mounted.secret.clone()),
            items: Some(vec![item(mounted)]),
            default_mode: Some(SECRET_MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}
