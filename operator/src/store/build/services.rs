//! Where applications reach the store, and the name of its pod.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use super::pod_template::HTTP;
use crate::kubernetes::{COMPONENT_STORE, selector};
use crate::store::names;
use crate::store::validate::ValidatedStore;

pub(super) fn service(store: &ValidatedStore) -> Service {
    let spec = ServiceSpec { type_: Some("ClusterIP".to_owned()), ..spec(store) };
    Service {
        metadata: metadata(store, store.name.clone()),
        spec: Some(spec),
        ..Service::default()
    }
}

/// Governs the StatefulSet. A pod that is not ready has its name as well: whoever looks for what is
/// wrong with it asks by that.
pub(super) fn headless(store: &ValidatedStore) -> Service {
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        publish_not_ready_addresses: Some(true),
        ..spec(store)
    };
    Service {
        metadata: metadata(store, names::headless(&store.name)),
        spec: Some(spec),
        ..Service::default()
    }
}

fn spec(store: &ValidatedStore) -> ServiceSpec {
    ServiceSpec {
        selector: Some(selector(COMPONENT_STORE, &store.name)),
        ports: Some(vec![ServicePort {
            name: Some(HTTP.to_owned()),
            port: names::HTTP_PORT.into(),
            target_port: Some(IntOrString::String(HTTP.to_owned())),
            protocol: Some("TCP".to_owned()),
            app_protocol: Some("http".to_owned()),
            ..ServicePort::default()
        }]),
        ..ServiceSpec::default()
    }
}
