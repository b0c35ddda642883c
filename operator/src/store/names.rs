//! The names of a Store's children, and where it is reached: what other controllers go by as well.

use kube::ResourceExt;
use stowage_crds::StoreNamespace;
use stowage_crds::render::namespace_path;

/// The port of the contracts, of the pod and of the Service.
pub const HTTP_PORT: u16 = 8080;
/// The pod's port for probes and metrics.
pub const MANAGEMENT_PORT: u16 = 8081;

/// What the operator's own tokens begin with. The keys of a Secret and of the file names that they
/// become; a person's keys do not look like this, and where one does, the operator's holds.
const OWN: &str = "stowage.";

/// The ConfigMap with the server's configuration.
#[must_use]
pub fn config(store: &str) -> String {
    format!("{store}-config")
}

/// The Service that names the pod.
#[must_use]
pub fn headless(store: &str) -> String {
    format!("{store}-headless")
}

/// The claim of the volume.
#[must_use]
pub fn claim(store: &str) -> String {
    format!("{store}-data")
}

/// The one pod.
#[must_use]
pub fn pod(store: &str) -> String {
    format!("{store}-0")
}

/// The Secret with the tokens that the operator made, as the server reads them.
#[must_use]
pub fn server_tokens(store: &str) -> String {
    format!("{store}-server-tokens")
}

/// The Secret with the token of Git syncs, under the key `token`.
#[must_use]
pub fn publisher(store: &str) -> String {
    format!("{store}-publisher")
}

/// The Secret with a token that may do everything, for whoever made a Store without tokens.
#[must_use]
pub fn admin(store: &str) -> String {
    format!("{store}-admin")
}

/// The Secret with the key that signs the tokens of StoreNamespaces.
#[must_use]
pub fn signing_key(store: &str) -> String {
    format!("{store}-signing-key")
}

/// The name by which the Service is known in the whole cluster.
#[must_use]
pub fn host(store: &str, namespace: &str) -> String {
    format!("{store}.{namespace}.svc")
}

/// Where applications reach the store; without a path.
#[must_use]
pub fn url(store: &str, namespace: &str) -> String {
    format!("http://{}:{HTTP_PORT}", host(store, namespace))
}

/// The token of Git syncs.
#[must_use]
pub fn sync_token() -> String {
    format!("{OWN}sync")
}

/// The token that may do everything.
#[must_use]
pub fn admin_token() -> String {
    format!("{OWN}admin")
}

/// By which name logs speak of the holder of a StoreNamespace's tokens, by the resource's name. A resource's name may be as long as a
/// Secret's key, so a long one is told by its digest.
#[must_use]
pub fn namespace_token(resource: &str) -> String {
    const LONGEST: usize = 200;
    match resource.get(..LONGEST) {
        Some(beginning) if resource.len() > LONGEST => {
            format!("{OWN}namespace.{beginning}.{}", crate::kubernetes::short_digest(resource))
        }
        _ => format!("{OWN}namespace.{resource}"),
    }
}

/// Who holds the tokens of a StoreNamespace: what they have as `sub`.
#[must_use]
pub fn namespace_subject(namespace: &StoreNamespace) -> String {
    format!("{}/{}", namespace.namespace().unwrap_or_default(), namespace.name_any())
}

/// The URL of a StoreNamespace.
#[must_use]
pub fn namespace_url(namespace: &StoreNamespace, store_url: &str) -> String {
    store_url.to_owned() + &namespace_path(namespace.spec.contract, &namespace.served_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_the_namespace() {
        let table = [
            ("kv", "a+b", "http://demo.shop.svc:8080/api/storage?ns=a%2Bb"),
            ("runStore", "ci", "http://demo.shop.svc:8080/run-stores/ci"),
            ("runStore", "/", "http://demo.shop.svc:8080/"),
        ];
        for (contract, name, expected) in table {
            let namespace: StoreNamespace = serde_json::from_value(serde_json::json!({
                "apiVersion": "stowage.dev/v1alpha1", "kind": "StoreNamespace",
                "metadata": {"name": "x", "namespace": "shop"},
                "spec": {"storeRef": {"name": "demo"}, "contract": contract, "name": name},
            }))
            .unwrap();
            assert_eq!(namespace_url(&namespace, &url("demo", "shop")), expected);
        }
    }

    #[test]
    fn a_long_name_makes_a_key_that_a_secret_takes() {
        assert_eq!(namespace_token("cart"), "stowage.namespace.cart");
        let [a, b] = ["a", "b"].map(|end| namespace_token(&("x".repeat(252) + end)));
        assert!(a.len() <= 253 && a != b, "{a} {b}");
    }
}
