//! The file by which `kubectl`, Helm, the cluster's own components and clients find an API server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::pki::Identity;

/// A kubeconfig with everything in it, so that it can be moved. It is JSON, which is YAML.
pub(crate) fn kubeconfig(server: &str, ca_certificate: &str, user: &Identity) -> String {
    let name = "stowage-e2e";
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "server": server,
            "certificate-authority-data": STANDARD.encode(ca_certificate),
        }}],
        "users": [{"name": name, "user": {
            "client-certificate-data": STANDARD.encode(&user.certificate),
            "client-key-data": STANDARD.encode(&user.key),
        }}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    })
    .to_string()
}
