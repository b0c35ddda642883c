//! The configuration of a branch's syncs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::Parts;
use crate::source::names::config_map_name;
use crate::source::validate::places;

/// Immutable, and named after its content: a pod never sees a part of another configuration.
pub(super) fn build(parts: &Parts<'_>) -> ConfigMap {
    let name = config_map_name(&parts.branch.child, &parts.plan.digest);
    ConfigMap {
        metadata: parts.metadata(name),
        immutable: Some(true),
        data: Some(BTreeMap::from([(
            places::CONFIGURATION_KEY.to_owned(),
            parts.plan.configuration.clone(),
        )])),
        ..ConfigMap::default()
    }
}
