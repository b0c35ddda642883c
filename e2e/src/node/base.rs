//! What every cluster comes with: DNS, and volumes by default.

use serde_json::{Value, json};

use super::archive::BUSYBOX;
use super::components::{PROVISIONER, PROVISIONER_NAMESPACE};
use super::layout::{DNS_ADDRESS, DNS_PORT};
use crate::process::NODE_ADDRESS;

/// The name of the default StorageClass.
pub(super) const STORAGE_CLASS: &str = "standard";

/// The objects, as `kubectl apply` takes them.
pub(super) fn objects() -> Value {
    let mut items = dns();
    items.extend(volumes());
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// CoreDNS runs on the node and not in a pod: a Service without a selector leads to it.
fn dns() -> Vec<Value> {
    let metadata = |name: &str| json!({"name": name, "namespace": "kube-system"});
    let protocols = [("dns", "UDP"), ("dns-tcp", "TCP")];
    let service_ports = protocols.map(|(name, protocol)| {
        json!({"name": name, "protocol": protocol, "port": 53, "targetPort": DNS_PORT})
    });
    let endpoint_ports = protocols
        .map(|(name, protocol)| json!({"name": name, "protocol": protocol, "port": DNS_PORT}));
    let mut slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata("kube-dns"),
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_ADDRESS.to_string()]}],
        "ports": endpoint_ports,
    });
    slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": "kube-dns"});
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata("kube-dns"),
            "spec": {"clusterIP": DNS_ADDRESS, "ports": service_ports},
        }),
        slice,
    ]
}

/// The provisioner runs on the node; a pod of its own makes and removes each directory.
fn volumes() -> Vec<Value> {
    let metadata = json!({"name": PROVISIONER, "namespace": PROVISIONER_NAMESPACE});
    let helper = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper"},
        "spec": {"containers": [{
            "name": "helper",
            "image": BUSYBOX,
            "imagePullPolicy": "IfNotPresent",
        }]},
    });
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": PROVISIONER_NAMESPACE},
        }),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {
                "setup": "#!/bin/sh\nset -eu\nmkdir -m 0777 -p \"$VOL_DIR\"\n",
                "teardown": "#!/bin/sh\nset -eu\nrm -rf \"$VOL_DIR\"\n",
                "helperPod.yaml": helper.to_string(),
            },
        }),
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {
                    "storageclass.kubernetes.io/is-default-class": "true",
                    // Unlike `hostPath`, a `local` volume is given to a pod's fsGroup.
                    "defaultVolumeType": "local",
                },
            },
            "provisioner": "rancher.io/local-path",
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
        }),
    ]
}
