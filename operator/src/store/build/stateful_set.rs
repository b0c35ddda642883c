//! One pod with a name and at most one of it: two servers must never write one volume.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{BuildError, metadata, pod_template};
use crate::kubernetes::{COMPONENT_STORE, selector};
use crate::store::names;
use crate::store::validate::ValidatedStore;

pub(super) fn stateful_set(store: &ValidatedStore) -> Result<StatefulSet, BuildError> {
    Ok(StatefulSet {
        metadata: metadata(store, store.name.clone()),
        spec: Some(StatefulSetSpec {
            replicas: Some(if store.suspended { 0 } else { 1 }),
            service_name: Some(names::headless(&store.name)),
            selector: LabelSelector {
                match_labels: Some(selector(COMPONENT_STORE, &store.name)),
                ..LabelSelector::default()
            },
            // With `OrderedReady`, a pod that cannot start is never replaced by a corrected one.
            pod_management_policy: Some("Parallel".to_owned()),
            revision_history_limit: Some(2),
            template: pod_template::pod_template(store)?,
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    })
}
