//! Everything that a Store is made of, as files: whoever changes a builder sees what changes.
//!
//! A difference in a pod template restarts the pod of every Store when the operator is upgraded.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use stowage_crds::{Store, StoreNamespace};

use super::*;
use crate::options::{Options, Scope};
use crate::store::dereference::Dereferenced;
use crate::store::settle_keys::Settled;
use crate::store::signing_keys::{CURRENT, decide};
use crate::store::tenants::Tenants;
use crate::store::validate::validate;

/// Writes the golden files instead of comparing with them.
const UPDATE: &str = "UPDATE_GOLDEN";

fn options() -> Options {
    Options {
        scope: Scope::Cluster,
        sidecar_image: "stowage.dev/stowage-sidecar:0.1.0".into(),
        sync_image: "stowage.dev/stowage-sync:0.1.0".into(),
        image_pull_policy: "IfNotPresent".into(),
        image_pull_secrets: Vec::new(),
        allow_insecure_git_urls: false,
        concurrency: 1,
    }
}

fn store(spec: Value) -> Store {
    serde_json::from_value(json!({
        "metadata": {"name": "demo", "namespace": "shop", "uid": "store-uid"}, "spec": spec,
    }))
    .unwrap()
}

fn namespace() -> StoreNamespace {
    serde_json::from_value(json!({
        "metadata": {"name": "cart", "namespace": "shop", "uid": "cart-uid"},
        "spec": {
            "storeRef": {"name": "demo"}, "contract": "kv", "quota": {"maxKeys": 10},
        },
    }))
    .unwrap()
}

/// The key of RFC 8032, section 7.1, test 1, as PKCS #8.
fn settled() -> Settled {
    let hex = "3051020101300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703b\
               ac031cae7f60812100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let key = ByteString((0..hex.len()).step_by(2).map(byte).collect());
    let live = Secret { data: Some([(CURRENT.to_owned(), key)].into()), ..Secret::default() };
    let decision = decide(Some(&live), None, Duration::ZERO, true, Timestamp::UNIX_EPOCH).unwrap();
    Settled { keys: decision.keys, made_at: Timestamp::UNIX_EPOCH }
}

/// Builds with tokens that are told by their number.
fn built(store: &Store, found: &Dereferenced, options: &Options) -> Resources {
    let validated = validate(store, found, options).unwrap();
    let tenants = Tenants::new(store, found, &settled(), Timestamp::UNIX_EPOCH);
    let validated = validated.with(tenants);
    let mut count = 0;
    let random = || {
        count += 1;
        Ok::<_, Infallible>(format!("token-number-{count}-of-the-test"))
    };
    let Ok(tokens) = Tokens::mint(None, &validated.tokens, &[], random);
    build(&validated, &tokens).unwrap()
}

/// All children as YAML documents, in the order in which they are applied.
fn documents(resources: Resources) -> String {
    let Resources {
        server_tokens,
        publisher,
        admin,
        service_account,
        config_map,
        claim,
        headless,
        service,
        stateful_set,
    } = resources;
    let mut text = String::new();
    add(&mut text, &server_tokens);
    add(&mut text, &publisher);
    admin.iter().for_each(|admin| add(&mut text, admin));
    add(&mut text, &service_account);
    add(&mut text, &config_map);
    claim.iter().for_each(|claim| add(&mut text, claim));
    add(&mut text, &headless);
    add(&mut text, &service);
    add(&mut text, &stateful_set);
    text
}

fn add(text: &mut String, object: &impl Serialize) {
    // By way of a value, whose members are in the order of their names.
    let value = serde_json::to_value(object).unwrap();
    write!(text, "---\n{}", serde_saphyr::to_string(&value).unwrap()).unwrap();
}

fn is_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let first = golden.lines().zip(text.lines()).find(|(golden, now)| golden != now);
    assert!(
        golden == text,
        "tests/golden/{name} says otherwise, first at {first:?}: where that is meant, run this \
         test with {UPDATE}=1 and look at the difference; one in the pod template restarts every \
         Store's pod"
    );
}

#[test]
fn a_small_store_is_as_its_golden_file_says() {
    let store = store(json!({"backend": {"volume": {"size": "1Gi"}}}));
    let text = documents(built(&store, &Dereferenced::default(), &options()));
    is_golden("store-small.yaml", &text);
}

#[test]
fn a_store_with_everything_is_as_its_golden_file_says() {
    let store = store(json!({
        "backend": {"volume": {
            "size": "10Gi", "storageClassName": "fast", "accessModes": ["ReadWriteOncePod"],
        }},
        "contracts": ["runStore", "kv"],
        "auth": {
            "tokensSecretRef": {"name": "demo-tokens"}, "anonymous": "read",
            "jwt": {
                "issuer": "https://issuer.example", "audiences": ["stowage"],
                "jwksSecretRef": {"name": "demo-keys"}, "grant": {"access": "read"},
            },
        },
        "limits": {"maxJsonBytes": "1Mi", "maxNamespaceBytes": 1024, "maxRuntimeSetBytes": "2Mi",
                   "maxArtifactBytes": "3Gi", "requestsPerSecond": 50, "maxConnections": 4000,
                   "stallTimeout": "30s"},
        "tracing": {"otlp": {
            "endpoint": "https://collector.example:4318", "sampleRatio": 0.1,
            "headersSecretRef": {"name": "collector"}, "caSecretRef": {"name": "authority"},
        }},
        "cors": {"allowedOrigins": ["https://app.example"]},
        "runStore": {"requirePrecondition": true},
        "deletionPolicy": "Delete",
        "image": "registry.example/stowage-sidecar:2",
        "resources": {
            "requests": {"cpu": "0.5", "memory": "64Mi"}, "limits": {"cpu": 2, "memory": "1.5Gi"},
        },
        "nodeSelector": {"disktype": "ssd"},
        "tolerations": [{
            "key": "dedicated", "operator": "Equal", "value": "storage", "effect": "NoExecute",
            "tolerationSeconds": 60,
        }],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 1,
            "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]},
        }]}},
        "priorityClassName": "important",
        "podAnnotations": {"example.com/team": "shop"},
        "podLabels": {"team": "shop"},
    }));
    let found = Dereferenced {
        tokens_secret: Some("1".into()),
        jwt_secret: Some("2".into()),
        namespaces: vec![namespace()],
        ..Dereferenced::default()
    };
    let options = Options { image_pull_secrets: vec!["registry".into()], ..options() };
    is_golden("store-full.yaml", &documents(built(&store, &found, &options)));
}

/// A store on a volume has one pod, and a restart is an outage.
#[test]
fn what_a_running_server_takes_up_is_no_part_of_the_pod() {
    let template = |spec: Value, found: &Dereferenced| {
        json!(built(&store(spec), found, &options()).stateful_set.spec.unwrap().template)
    };
    let volume = json!({"volume": {"size": "1Gi"}});
    let before = template(json!({"backend": volume}), &Dereferenced::default());
    let changed = json!({
        "backend": {"volume": {"size": "2Gi"}},
        "contracts": ["kv"],
        "auth": {
            "anonymous": "read",
            "jwt": {"issuer": "i", "audiences": ["a"], "jwksUri": "https://issuer.example/keys"},
        },
        "limits": {
            "maxJsonBytes": "1Mi", "stallTimeout": "10s", "idleTimeout": "3m", "headerTimeout": "9s",
            "maxWatchesPerIdentity": 9, "refusalsPerSecond": 9,
        },
        "cors": {"allowedOrigins": ["*"]},
        "runStore": {"requirePrecondition": true},
        "deletionPolicy": "Delete",
        "suspend": true,
    });
    let found = Dereferenced { namespaces: vec![namespace()], ..Dereferenced::default() };
    assert_eq!(template(changed, &found), before);
}
