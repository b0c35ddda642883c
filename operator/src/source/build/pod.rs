//! The pod of a sync, within the restricted Pod Security Standard.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, KeyToPath, PodSpec, PodTemplateSpec,
    ResourceRequirements, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use stowage_config::ByteSize;

use super::Parts;
use crate::kubernetes::{canonical_bytes, pull_secrets, restricted_container, restricted_pod};
use crate::source::names::{BRANCH, SOURCE, branch_labels, config_map_name, publisher_secret};
use crate::source::validate::places;

/// The container's name; the operator reads its termination message.
pub(in crate::source) const CONTAINER: &str = "sync";

/// Readable by the owner and the group, which is the pod's.
const FILE_MODE: i32 = 0o440;
/// What a fetch may be over its limit until the sync notices.
const SCRATCH_MARGIN_BYTES: u64 = 64 << 20;
/// What the programs take by themselves.
const MEMORY_BASE_BYTES: u64 = 256 << 20;

pub(super) fn template(parts: &Parts<'_>) -> PodTemplateSpec {
    let (volumes, mounts) = files(parts);
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(branch_labels(&parts.source.name, &parts.branch.child)),
            annotations: Some(BTreeMap::from([
                (SOURCE.to_owned(), parts.source.name.clone()),
                (BRANCH.to_owned(), parts.branch.name.clone()),
            ])),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            restart_policy: Some("Never".to_owned()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: pull_secrets(&parts.options.image_pull_secrets),
            security_context: Some(restricted_pod()),
            containers: vec![container(parts, mounts)],
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
    }
}

fn container(parts: &Parts<'_>, mounts: Vec<VolumeMount>) -> Container {
    let configuration = format!("{}/{}", places::CONFIGURATION, places::CONFIGURATION_KEY);
    let arguments = [
        "sync",
        "--config",
        &configuration,
        "--report-file",
        "/dev/termination-log",
        "--log-format",
        "json",
    ];
    Container {
        name: CONTAINER.to_owned(),
        image: Some(parts.options.sync_image.clone()),
        image_pull_policy: Some(parts.options.image_pull_policy.clone()),
        args: Some(arguments.map(str::to_owned).to_vec()),
        resources: Some(resources(parts)),
        security_context: Some(restricted_container()),
        termination_message_path: Some("/dev/termination-log".to_owned()),
        termination_message_policy: Some("File".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// Git takes memory in proportion to what it fetches, and the configs stand in memory as text, as
/// values and as the body that is sent.
fn resources(parts: &Parts<'_>) -> ResourceRequirements {
    let memory = MEMORY_BASE_BYTES
        .saturating_add(parts.plan.repository_bytes_max)
        .saturating_add(parts.plan.configs_bytes_max.saturating_mul(4));
    let quantity = |text: &str| Quantity(text.to_owned());
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), quantity("50m")),
            ("memory".to_owned(), quantity("64Mi")),
        ])),
        limits: Some(BTreeMap::from([(
            "memory".to_owned(),
            canonical_bytes(&ByteSize::from_bytes(memory)),
        )])),
        ..ResourceRequirements::default()
    }
}

fn files(parts: &Parts<'_>) -> (Vec<Volume>, Vec<VolumeMount>) {
    let config_map = config_map_name(&parts.branch.child, &parts.plan.digest);
    let mut volumes = vec![
        (from_config_map("config", &config_map, None), read_only("config", places::CONFIGURATION)),
        (
            from_secret(
                "publisher",
                publisher_secret(&parts.branch.store),
                Some(places::TOKEN_KEY),
            ),
            read_only("publisher", places::TOKEN),
        ),
    ];
    if let Some(secret) = &parts.plan.credentials {
        let mount = read_only("git", places::CREDENTIALS);
        volumes.push((from_secret("git", secret.clone(), None), mount));
    }
    if let Some(schema) = &parts.plan.schema {
        let volume = from_config_map("schema", &schema.name, Some(&schema.key));
        volumes.push((volume, read_only("schema", places::SCHEMA)));
    }
    volumes.push((
        scratch(parts),
        VolumeMount {
            name: "tmp".to_owned(),
            mount_path: "/tmp".to_owned(),
            ..VolumeMount::default()
        },
    ));
    volumes.into_iter().unzip()
}

fn scratch(parts: &Parts<'_>) -> Volume {
    let bytes = parts.plan.repository_bytes_max.saturating_add(SCRATCH_MARGIN_BYTES);
    Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(canonical_bytes(&ByteSize::from_bytes(bytes))),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn from_config_map(volume: &str, name: &str, key: Option<&str>) -> Volume {
    Volume {
        name: volume.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: name.to_owned(),
            items: key.map(only),
            default_mode: Some(FILE_MODE),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn from_secret(volume: &str, name: String, key: Option<&str>) -> Volume {
    Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name),
            items: key.map(only),
            default_mode: Some(FILE_MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn only(key: &str) -> Vec<KeyToPath> {
    vec![KeyToPath { key: key.to_owned(), path: key.to_owned(), mode: None }]
}

fn read_only(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
