//! Resources rendered into the files that the server and the sync read.
#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

#[path = "support/resources.rs"]
mod resources;

use std::path::PathBuf;

use resources::{base, put};
use serde_json::{Value, json};
use stowage_config::Interval;
use stowage_crds::render::{RenderError, StorePlaces, SyncPlaces, sidecar, sync};
use stowage_crds::{RuntimeConfigSource, Store, StoreNamespace};

fn store_places() -> StorePlaces {
    StorePlaces {
        listen: ([0, 0, 0, 0], 8080).into(),
        management_listen: ([0, 0, 0, 0], 8081).into(),
        data: PathBuf::from("/data"),
        tokens_dir: Some(PathBuf::from("/tokens")),
        jwt_keys_file: PathBuf::from("/jwt/keys"),
        tracing_dir: PathBuf::from("/tracing"),
        shutdown_grace: Interval::from_secs(20),
        memory_limit: None,
    }
}

fn sync_places() -> SyncPlaces {
    SyncPlaces {
        target_url: "http://demo:8080".to_owned(),
        token_file: Some(PathBuf::from("/token")),
        secret_dir: PathBuf::from("/git"),
        schema_file: PathBuf::from("/schema/runtime.json"),
        allow_insecure_urls: false,
    }
}

fn store(resource: Value) -> Store {
    serde_json::from_value(resource).unwrap()
}

fn namespace(name: &str, spec: Value) -> StoreNamespace {
    let mut resource = base("StoreNamespace");
    put(&mut resource, "/metadata/name", json!(name));
    put(&mut resource, "/spec", spec);
    serde_json::from_value(resource).unwrap()
}

/// What is rendered, after the reader of the other side has read it.
fn rendered_store(store: &Store, namespaces: &[&StoreNamespace], places: &StorePlaces) -> Value {
    let config = sidecar(store, namespaces, places);
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(
        serde_json::from_value::<stowage_config::SidecarConfig>(written.clone()).unwrap(),
        config
    );
    written
}

fn rendered_sync(source: &RuntimeConfigSource) -> Result<Value, RenderError> {
    let config = sync(source, &source.spec.branches[0], &sync_places())?;
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(
        serde_json::from_value::<stowage_config::SyncConfig>(written.clone()).unwrap(),
        config
    );
    Ok(written)
}

#[test]
fn a_store_with_nothing_left_out() {
    let rendered = rendered_store(&store(base("Store")), &[], &store_places());
    let expected = json!({
        "store": "demo",
        "listen": "0.0.0.0:8080",
        "managementListen": "0.0.0.0:8081",
        "backend": {"volume": {"path": "/data", "memory": "96Mi", "journalSize": "512Mi"}},
        "contracts": ["runStore", "kv"],
        "auth": {
            "tokensDir": "/tokens", "anonymous": "read",
            "jwt": {
                "issuer": "https://issuer.example", "audiences": ["stowage"],
                "jwksUrl": "https://issuer.example/keys", "clockSkew": "30s",
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
            "headersFile": "/tracing/headers", "caFile": "/tracing/ca.crt",
            "sampleRatio": 0.25, "serviceName": "shop",
        }},
        "cors": {"allowedOrigins": ["https://app.example", "null"]},
        "runStore": {"requirePrecondition": true},
        "history": 20,
        "debug": false,
        "shutdownGrace": "20s",
    });
    assert_eq!(rendered, expected);
}

#[test]
fn a_store_with_everything_left_out() {
    let mut resource = base("Store");
    put(&mut resource, "/spec", json!({"backend": {"volume": {"size": "1Gi"}}}));
    let places = StorePlaces { tokens_dir: None, ..store_places() };
    let rendered = rendered_store(&store(resource), &[], &places);
    let expected = json!({
        "store": "demo",
        "listen": "0.0.0.0:8080",
        "managementListen": "0.0.0.0:8081",
        "backend": {"volume": {"path": "/data", "memory": "128Mi", "journalSize": "256Mi"}},
        "contracts": ["runStore", "kv", "jobs", "runtimes", "artifacts"],
        "auth": {"anonymous": "none"},
        "limits": {
            "maxJsonBytes": "8Mi", "maxRuntimeSetBytes": "64Mi", "maxArtifactBytes": "2Gi",
        },
        "cors": {"allowedOrigins": []},
        "runStore": {"requirePrecondition": false},
        "debug": false,
        "shutdownGrace": "20s",
    });
    assert_eq!(rendered, expected);
}

#[test]
fn a_collector_needs_no_more_than_its_url() {
    let mut resource = base("Store");
    put(&mut resource, "/spec/tracing", json!({"otlp": {"endpoint": "http://collector:4318/"}}));
    let rendered = rendered_store(&store(resource), &[], &store_places());
    let expected = json!({"otlp": {
        "endpoint": "http://collector:4318", "protocol": "http/protobuf", "sampleRatio": 1.0,
        "serviceName": "stowage",
    }});
    assert_eq!(rendered["tracing"], expected);
}

#[test]
fn keys_of_jwts_are_a_url_or_the_file_of_a_secret() {
    let jwt = |keys: Value| {
        let mut resource = base("Store");
        let mut jwt = json!({"issuer": "https://i", "audiences": ["a"]});
        jwt.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        put(&mut resource, "/spec/auth/jwt", jwt);
        rendered_store(&store(resource), &[], &store_places())["auth"]["jwt"].clone()
    };
    let expected = |field: &str, place: &str| json!({"issuer": "https://i", "audiences": ["a"], field: place, "clockSkew": "1m", "grant": {"access": "readWrite"}});
    let table = [
        (json!({"jwksUri": "https://i/k"}), expected("jwksUrl", "https://i/k")),
        (json!({"jwksSecretRef": {"name": "s"}}), expected("jwksFile", "/jwt/keys")),
        (json!({"hmacSecretRef": {"name": "s"}}), expected("hmacSecretFile", "/jwt/keys")),
    ];
    for (keys, expected) in table {
        assert_eq!(jwt(keys), expected);
    }
}

#[test]
fn memory_that_is_not_said_is_a_quarter_of_what_the_process_may_use() {
    let volume = |memory: Option<&str>, limit: Option<&str>| {
        let mut resource = base("Store");
        put(&mut resource, "/spec/backend", json!({"volume": {"size": "1Gi", "memory": memory}}));
        let memory_limit = limit.map(|limit| limit.parse().unwrap());
        let places = StorePlaces { memory_limit, ..store_places() };
        rendered_store(&store(resource), &[], &places)["backend"]["volume"]["memory"].clone()
    };
    let table = [
        (None, None, "128Mi"),
        (None, Some("512Mi"), "128Mi"),
        (None, Some("4Gi"), "1Gi"),
        (None, Some("100M"), "25000000"),
        (None, Some("16Mi"), "8Mi"),
        (Some("1.5Gi"), Some("4Gi"), "1.5Gi"),
        (Some("64Mi"), None, "64Mi"),
    ];
    for (memory, limit, expected) in table {
        assert_eq!(volume(memory, limit), expected, "{memory:?} under {limit:?}");
    }
}

#[test]
fn quotas_are_those_of_the_stores_own_kv_namespaces() {
    let quota = |store: &str, contract: &str, name: Value, quota: Value| json!({"storeRef": {"name": store}, "contract": contract, "name": name, "quota": quota});
    let mut elsewhere = namespace("e", quota("demo", "kv", json!("far"), json!({"maxKeys": 1})));
    elsewhere.metadata.namespace = Some("other".to_owned());
    let namespaces = [
        namespace(
            "z",
            quota("demo", "kv", json!("cart"), json!({"maxKeys": 9, "maxBytes": "1Mi"})),
        ),
        namespace("a", quota("demo", "kv", json!("cart"), json!({"maxKeys": 5}))),
        namespace("orders", quota("demo", "kv", Value::Null, json!({"maxBytes": "2Mi"}))),
        namespace("b", quota("lake", "kv", json!("of-lake"), json!({"maxKeys": 1}))),
        namespace("c", json!({"storeRef": {"name": "demo"}, "contract": "kv"})),
        namespace("d", json!({"storeRef": {"name": "demo"}, "contract": "runStore"})),
        elsewhere,
    ];
    let expected = json!([
        {"name": "cart", "maxBytes": "1Mi", "maxKeys": 5},
        {"name": "orders", "maxBytes": "2Mi"},
    ]);
    let mut order: Vec<&StoreNamespace> = namespaces.iter().collect();
    for _ in 0..2 {
        let rendered = rendered_store(&store(base("Store")), &order, &store_places());
        assert_eq!(rendered["namespaces"], expected);
        order.reverse();
    }
}

#[test]
fn a_source_with_nothing_left_out() {
    let source = serde_json::from_value(base("RuntimeConfigSource")).unwrap();
    let expected = json!({
        "repoId": "etl",
        "branch": "main",
        "url": "https://git.example/data/etl.git",
        "allowInsecureUrls": false,
        "include": ["**/*runtime*.yaml"],
        "schema": {"source": {"file": "/schema/runtime.json"}, "pointer": "/runtime"},
        "auth": {"secretDir": "/git"},
        "timeout": "90s",
        "limits": {
            "maxFiles": 10, "maxFileBytes": "1Mi", "maxTotalBytes": "2Mi",
            "maxRepositoryBytes": "3Mi",
        },
        "target": {"url": "http://demo:8080", "tokenFile": "/token"},
    });
    assert_eq!(rendered_sync(&source), Ok(expected));
}

#[test]
fn a_source_with_everything_left_out() {
    let mut resource = base("RuntimeConfigSource");
    let spec = json!({
        "repoId": "etl", "url": "git@git.example:etl.git",
        "branches": [{"name": "dev", "storeRef": {"name": "demo"}}],
    });
    put(&mut resource, "/spec", spec);
    let source = serde_json::from_value(resource).unwrap();
    let expected = json!({
        "repoId": "etl",
        "branch": "dev",
        "url": "git@git.example:etl.git",
        "allowInsecureUrls": false,
        "include": ["**/*runtime*.yaml", "**/*runtime*.yml", "**/*runtime*.json"],
        "timeout": "1m",
        "limits": {
            "maxFiles": 10000, "maxFileBytes": "10Mi", "maxTotalBytes": "48Mi",
            "maxRepositoryBytes": "256Mi",
        },
        "target": {"url": "http://demo:8080", "tokenFile": "/token"},
    });
    assert_eq!(rendered_sync(&source), Ok(expected));
}

#[test]
fn a_schema_comes_from_the_place_that_the_source_names() {
    let table = [
        (json!({"inline": {"type": "object"}}), Ok(json!({"inline": {"type": "object"}}))),
        (json!({"path": "schema/a.json"}), Ok(json!({"repository": "schema/a.json"}))),
        (
            json!({"configMapRef": {"name": "a", "key": "b"}}),
            Ok(json!({"file": "/schema/runtime.json"})),
        ),
        (json!({}), Err(RenderError::SchemaSource)),
        (json!({"inline": {}, "path": "a"}), Err(RenderError::SchemaSource)),
    ];
    for (schema, expected) in table {
        let mut resource = base("RuntimeConfigSource");
        put(&mut resource, "/spec/schema", schema.clone());
        let source = serde_json::from_value(resource).unwrap();
        let found = rendered_sync(&source).map(|config| config["schema"]["source"].clone());
        assert_eq!(found, expected, "{schema}");
    }
}
