//! A valid resource of each kind with nothing left out.

use serde_json::{Value, json};

pub(crate) fn base(kind: &str) -> Value {
    let (name, spec) = match kind {
        "Store" => (
            "demo",
            json!({
                "backend": {"volume": {
                    "size": "1Gi", "storageClassName": "fast", "accessModes": ["ReadWriteOncePod"],
                    "memory": "96Mi", "journalSize": "512Mi",
                }},
                "contracts": ["runStore", "kv"],
                "auth": {
                    "tokensSecretRef": {"name": "demo-tokens"}, "anonymous": "read",
                    "jwt": {
                        "issuer": "https://issuer.example", "audiences": ["stowage"],
                        "jwksUri": "https://issuer.example/keys", "clockSkew": "30s",
                        "grant": {"contracts": ["kv"], "namespaces": ["cart"], "access": "read"},
                    },
                },
                "limits": {
                    "maxJsonBytes": "1Mi", "maxNamespaceBytes": 1024, "maxRuntimeSetBytes": "2Mi",
                    "maxArtifactBytes": "3Gi", "requestsPerSecond": 50,
                    "refusalsPerSecond": 20, "maxWatchesPerIdentity": 100, "maxConnections": 4000,
                    "headerTimeout": "10s", "idleTimeout": "3m", "stallTimeout": "30s",
                },
                "tracing": {"otlp": {
                    "endpoint": "https://collector.example:4317", "protocol": "grpc",
                    "headersSecretRef": {"name": "collector", "key": "headers"},
                    "caSecretRef": {"name": "authority", "key": "root.pem"},
                    "sampleRatio": 0.25, "serviceName": "shop",
                }},
                "cors": {"allowedOrigins": ["https://app.example", "null"]},
                "runStore": {"requirePrecondition": true},
                "history": 20,
                "deletionPolicy": "Delete",
                "suspend": true,
                "image": "registry.example/stowage-sidecar:1.0",
                "resources": {
                    "requests": {"cpu": "500m", "memory": "64Mi"},
                    "limits": {"cpu": 2, "memory": "1Gi"},
                },
                "nodeSelector": {"disktype": "ssd"},
                "tolerations": [{
                    "key": "dedicated", "operator": "Equal", "value": "storage",
                    "effect": "NoExecute", "tolerationSeconds": 60,
                }],
                "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
                    "weight": 1,
                    "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]},
                }]}},
                "priorityClassName": "important",
                "podAnnotations": {"example.com/team": "shop"},
                "podLabels": {"team": "shop"},
            }),
        ),
        "StoreNamespace" => (
            "cart",
            json!({
                "storeRef": {"name": "demo"}, "contract": "kv", "name": "cart", "access": "read",
                "quota": {"maxBytes": "10Mi", "maxKeys": 1000},
                "tokenTTL": "24h", "tokenGeneration": 1,
            }),
        ),
        _ => (
            "etl",
            json!({
                "repoId": "etl",
                "url": "https://git.example/data/etl.git",
                "branches": [
                    {"name": "main", "environment": "production", "storeRef": {"name": "demo"}},
                    {"name": "dev", "storeRef": {"name": "demo"}},
                ],
                "include": ["**/*runtime*.yaml"],
                "schema": {
                    "configMapRef": {"name": "schemas", "key": "runtime.json"},
                    "pointer": "/runtime",
                },
                "interval": "5m",
                "timeout": "90s",
                "auth": {"secretRef": {"name": "etl-git"}},
                "limits": {
                    "maxFiles": 10, "maxFileBytes": "1Mi", "maxTotalBytes": "2Mi",
                    "maxRepositoryBytes": "3Mi",
                },
                "suspend": true,
            }),
        ),
    };
    json!({
        "apiVersion": "stowage.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })
}

/// Puts a value at a JSON pointer; null takes the member away, the empty pointer is everything.
pub(crate) fn put(resource: &mut Value, pointer: &str, value: Value) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        *resource = value;
        return;
    };
    let parent = resource.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {parent}"));
    match (parent, value) {
        (Value::Object(members), Value::Null) => drop(members.remove(key)),
        (Value::Object(members), value) => drop(members.insert(key.to_owned(), value)),
        (other, _) => panic!("{other} has no member {key}"),
    }
}
