//! Stores to work on.

use serde_json::Value;

use super::http::Caller;
use super::namespace::Namespace;
use super::{SOON, eventually};

/// The token `admin` of `examples/cluster/store.yaml`.
pub(crate) const TOKEN: &str = "change-me-0123456789abcdef";
/// The Store of `examples/cluster/store.yaml`.
pub(crate) const NAME: &str = "demo";

/// Applies the example Store, waits until it is ready, and gives a client of it.
pub(crate) fn demo(namespace: &Namespace) -> Caller {
    namespace.apply_file("examples/cluster/store.yaml");
    ready(namespace, NAME)
}

/// Waits until a Store is ready and its Service leads to it.
pub(crate) fn ready(namespace: &Namespace, name: &str) -> Caller {
    namespace.wait("Ready", &format!("store/{name}"));
    let caller = Caller::new(namespace, name, TOKEN);
    reached(&caller);
    caller
}

/// Waits until a Store answers: kube-proxy learns of a ready pod a moment later.
pub(crate) fn reached(caller: &Caller) {
    eventually("the Store answers", SOON, || match caller.get("/health") {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("{answer:?}")),
        Err(error) => Err(error),
    });
}

/// A Store with the tokens of the example and a volume of 1 GiB; `spec` may say more.
pub(crate) fn manifest(name: &str, more: &Value) -> String {
    let mut store = serde_json::json!({
        "apiVersion": "stowage.dev/v1alpha1",
        "kind": "Store",
        "metadata": {"name": name},
        "spec": {
            "backend": {"volume": {"size": "1Gi"}},
            "auth": {"tokensSecretRef": {"name": "demo-tokens"}},
        },
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        store["spec"][field] = value.clone();
    }
    store.to_string()
}

/// The Secret that [`manifest`] names.
pub(crate) fn tokens(entries: &[(&str, &str)]) -> String {
    let data: std::collections::BTreeMap<_, _> = entries.iter().copied().collect();
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "demo-tokens"},
        "stringData": data,
    })
    .to_string()
}

/// The only pod of a Store.
pub(crate) fn pod(namespace: &Namespace, name: &str) -> Result<Value, String> {
    namespace.try_get(&format!("pod/{name}-0"))
}

/// The UID of an object.
pub(crate) fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}
