//! What every CEL rule of every kind takes and what it refuses.

use kube::core::{Message, Rule};
use serde_json::{Value, json};
use stowage_crds::rules;

use super::resources::{base, put};

/// What one rule takes and what it refuses, at one place.
pub(crate) struct Case {
    pub(crate) kind: &'static str,
    /// The JSON pointer at which the values are put into a valid resource.
    pub(crate) at: String,
    /// The place of the rule in the schema where it is not `at`, such as `spec`.
    rule_at: Option<&'static str>,
    pub(crate) message: String,
    pub(crate) accepted: Vec<Value>,
    pub(crate) refused: Vec<Value>,
    /// Changes from the first to the second value.
    pub(crate) accepted_changes: Vec<(Value, Value)>,
    pub(crate) refused_changes: Vec<(Value, Value)>,
}

impl Case {
    fn new(kind: &'static str, at: &str, rule: &Rule) -> Self {
        let Some(Message::Message(message)) = &rule.message else {
            panic!("{kind} {at}: the rule has no message");
        };
        Self {
            kind,
            at: at.to_owned(),
            rule_at: None,
            message: message.clone(),
            accepted: Vec::new(),
            refused: Vec::new(),
            accepted_changes: Vec::new(),
            refused_changes: Vec::new(),
        }
    }

    fn rule_at(mut self, place: &'static str) -> Self {
        self.rule_at = Some(place);
        self
    }

    /// The values are of all of `auth.jwt`, and the rule stands where it is now.
    fn at_jwt(mut self) -> Self {
        self.rule_at = Some(self.place().leak());
        self.at = "/spec/auth/jwt".to_owned();
        self
    }

    fn accepts(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.accepted.extend(values);
        self
    }

    fn refuses<const N: usize>(mut self, values: [Value; N]) -> Self {
        self.refused.extend(values);
        self
    }

    fn accepts_change(mut self, old: Value, new: Value) -> Self {
        self.accepted_changes.push((old, new));
        self
    }

    fn refuses_change(mut self, old: Value, new: Value) -> Self {
        self.refused_changes.push((old, new));
        self
    }

    /// Where the rule stands in the schema: `spec.branches[].name`.
    pub(crate) fn place(&self) -> String {
        if let Some(place) = self.rule_at {
            return place.to_owned();
        }
        let mut place = String::new();
        for part in self.at.split('/').skip(1) {
            if part.parse::<usize>().is_ok() {
                place.push_str("[]");
            } else {
                if !place.is_empty() {
                    place.push('.');
                }
                place.push_str(part);
            }
        }
        place
    }

    /// The resource with one of the values in it.
    pub(crate) fn resource(&self, value: &Value) -> Value {
        let mut resource = base(self.kind);
        put(&mut resource, &self.at, value.clone());
        resource
    }
}

fn sizes() -> Vec<Case> {
    let places = [
        ("Store", "/spec/backend/volume/size"),
        ("Store", "/spec/limits/maxJsonBytes"),
        ("Store", "/spec/resources/requests/memory"),
        ("Store", "/spec/limits/maxNamespaceBytes"),
        ("Store", "/spec/limits/maxRuntimeSetBytes"),
        ("Store", "/spec/limits/maxArtifactBytes"),
        ("StoreNamespace", "/spec/quota/maxBytes"),
        ("RuntimeConfigSource", "/spec/limits/maxFileBytes"),
        ("RuntimeConfigSource", "/spec/limits/maxTotalBytes"),
        ("RuntimeConfigSource", "/spec/limits/maxRepositoryBytes"),
    ];
    let rule =
        Rule::new("").message("write a size of at least one byte and less than 8Ei, such as 10Gi");
    let of_any = || [json!(1), json!("1"), json!("10Gi"), json!("1.5Gi"), json!("8191Pi")].to_vec();
    // What other rules bound, too.
    let bounded = [
        ("/spec/backend/volume/memory", vec![json!(8 << 20), json!("0.25Gi"), json!("100M")]),
        ("/spec/backend/volume/journalSize", vec![json!(1 << 20), json!("1.5Gi"), json!("8191Pi")]),
        ("/spec/resources/limits/memory", vec![json!(1 << 30), json!("1.5Gi"), json!("8191Pi")]),
    ];
    let any = places.iter().map(|(kind, at)| (*kind, *at, of_any()));
    let bounded = bounded.into_iter().map(|(at, accepted)| ("Store", at, accepted));
    any.chain(bounded)
        .map(|(kind, at, accepted)| {
            Case::new(kind, at, &rule).accepts(accepted).refuses([
                json!(0),
                json!("0"),
                json!("0.0Gi"),
                json!(-5),
                json!("9999Pi"),
            ])
        })
        .collect()
}

fn object_names() -> Vec<Case> {
    let places = [
        ("Store", "/spec/auth/tokensSecretRef/name"),
        ("Store", "/spec/auth/jwt/jwksSecretRef/name"),
        ("Store", "/spec/auth/jwt/hmacSecretRef/name"),
        ("Store", "/spec/tracing/otlp/headersSecretRef/name"),
        ("Store", "/spec/tracing/otlp/caSecretRef/name"),
        ("Store", "/spec/backend/volume/storageClassName"),
        ("Store", "/spec/priorityClassName"),
        ("StoreNamespace", "/spec/storeRef/name"),
        ("RuntimeConfigSource", "/spec/branches/0/storeRef/name"),
        ("RuntimeConfigSource", "/spec/auth/secretRef/name"),
        ("RuntimeConfigSource", "/spec/schema/configMapRef/name"),
    ];
    places
        .iter()
        .map(|(kind, at)| {
            let (accepted, refused) = (
                [json!("a"), json!("demo-tokens"), json!("a.b-1")],
                [json!("A"), json!("-a"), json!("a-"), json!("a/b"), json!("a\nb")],
            );
            let case = Case::new(kind, at, &rules::object_name());
            match jwt_reference(at) {
                None => case.accepts(accepted).refuses(refused),
                Some(reference) => {
                    let named = |name| jwt(json!({reference: {"name": name}}));
                    case.at_jwt().accepts(accepted.map(named)).refuses(refused.map(named))
                }
            }
        })
        .collect()
}

/// The reference that a place is in, where the valid Store has another one: a Store has one alone.
fn jwt_reference(at: &str) -> Option<&str> {
    at.strip_prefix("/spec/auth/jwt/")?.split('/').next()
}

fn secret_keys() -> Vec<Case> {
    let of_a_collector = ["headersSecretRef", "caSecretRef"].map(|reference| {
        let at = format!("/spec/tracing/otlp/{reference}/key");
        Case::new("Store", &at, &rules::data_key())
            .accepts(["ca.crt", "A_b-1"].map(|key| json!(key)))
            .refuses(["a/b", "a b"].map(|key| json!(key)))
    });
    ["jwksSecretRef", "hmacSecretRef"]
        .map(|reference| {
            let named = |key| jwt(json!({reference: {"name": "a", "key": key}}));
            Case::new("Store", &format!("/spec/auth/jwt/{reference}/key"), &rules::data_key())
                .at_jwt()
                .accepts(["jwks.json", "A_b-1"].map(named))
                .refuses(["a/b", "a b"].map(named))
        })
        .into_iter()
        .chain(of_a_collector)
        .collect()
}

/// The volume, as a whole.
fn volume() -> Vec<Case> {
    let case = |rule: &Rule| Case::new("Store", "/spec/backend/volume", rule);
    let sized = |more: Value| {
        let mut volume = json!({"size": "1Gi"});
        for (name, value) in more.as_object().into_iter().flatten() {
            volume[name] = value.clone();
        }
        volume
    };
    let claim = json!({"existingClaim": "old-data"});
    vec![
        case(&rules::size_or_existing_claim())
            .accepts([sized(json!({})), claim.clone()])
            .refuses([json!({}), json!({"storageClassName": "fast"})])
            .refuses([sized(json!({"existingClaim": "old-data"}))]),
        case(&rules::existing_claim_stands_alone())
            .accepts([claim.clone(), sized(json!({"storageClassName": "a"}))])
            .refuses([
                json!({"existingClaim": "old-data", "storageClassName": "fast"}),
                json!({"existingClaim": "old-data", "accessModes": ["ReadWriteOnce"]}),
            ]),
        case(&rules::existing_claim_never_changes())
            .accepts_change(claim.clone(), claim.clone())
            .accepts_change(sized(json!({})), sized(json!({})))
            .refuses_change(claim.clone(), json!({"existingClaim": "other"}))
            .refuses_change(claim.clone(), sized(json!({})))
            .refuses_change(sized(json!({})), claim),
        case(&rules::storage_class_never_changes())
            .accepts_change(
                sized(json!({"storageClassName": "a"})),
                sized(json!({"storageClassName": "a"})),
            )
            .refuses_change(
                sized(json!({"storageClassName": "a"})),
                sized(json!({"storageClassName": "b"})),
            )
            .refuses_change(sized(json!({"storageClassName": "a"})), sized(json!({})))
            .refuses_change(sized(json!({})), sized(json!({"storageClassName": "a"}))),
        case(&rules::access_modes_never_change())
            .accepts_change(sized(json!({})), sized(json!({"accessModes": ["ReadWriteOnce"]})))
            .accepts_change(sized(json!({"accessModes": ["ReadWriteOnce"]})), sized(json!({})))
            .refuses_change(
                sized(json!({"accessModes": ["ReadWriteOncePod"]})),
                sized(json!({"accessModes": ["ReadWriteOnce"]})),
            )
            .refuses_change(sized(json!({})), sized(json!({"accessModes": ["ReadWriteOncePod"]}))),
        case(&rules::memory_for_something())
            .accepts([sized(json!({})), sized(json!({"memory": "8Mi"}))])
            .refuses([sized(json!({"memory": "8191Ki"})), sized(json!({"memory": 1}))]),
        case(&rules::journal_for_something())
            .accepts([sized(json!({})), sized(json!({"journalSize": "1Mi"}))])
            .refuses([sized(json!({"journalSize": "1M"}))]),
        Case::new("Store", "/spec/backend/volume", &rules::object_name())
            .rule_at("spec.backend.volume.existingClaim")
            .accepts([json!({"existingClaim": "a.b-1"})])
            .refuses([json!({"existingClaim": "A"}), json!({"existingClaim": "a/b"})]),
    ]
}

/// What the pod is to be.
fn pod() -> Vec<Case> {
    let case = |at: &str, rule: &Rule| Case::new("Store", at, rule);
    let cpus = |at: &str| {
        case(at, &rules::cpu_amount())
            .accepts([json!(1), json!("1"), json!("0.5"), json!("1m")])
            .refuses([json!(0), json!("0m"), json!("0.000")])
    };
    vec![
        case("/spec/image", &rules::image())
            .accepts([json!("a"), json!("registry.example:5000/a/b:1@sha256:00")])
            .refuses([json!("a b"), json!("a\n"), json!(" a")]),
        cpus("/spec/resources/requests/cpu"),
        cpus("/spec/resources/limits/cpu"),
        case("/spec/podLabels", &rules::not_our_labels())
            .accepts([json!({}), json!({"team": "shop", "app.kubernetes.io": "x"})])
            .refuses([
                json!({"app.kubernetes.io/name": "x"}),
                json!({"a": "b", "stowage.dev/x": ""}),
            ]),
        case("/spec/podAnnotations", &rules::not_our_annotations())
            .accepts([json!({}), json!({"app.kubernetes.io/name": "x"})])
            .refuses([json!({"stowage.dev/files-digest": "x"})]),
    ]
}

/// A Store that asks for a size, and the capacity that it has.
fn store_with(size: &str, capacity: Option<&str>) -> Value {
    let mut store = base("Store");
    store["spec"]["backend"]["volume"]["size"] = json!(size);
    if let Some(capacity) = capacity {
        store["status"] = json!({"backend": {"kind": "volume", "capacity": capacity}});
    }
    store
}

fn store() -> Vec<Case> {
    let case = |at: &str, rule: &Rule| Case::new("Store", at, rule);
    vec![
        case("/metadata/name", &rules::store_name())
            .rule_at("")
            .accepts([json!("a"), json!("demo-1"), json!("a".repeat(52))])
            .refuses([
                json!("1a"),
                json!("a.b"),
                json!("a-"),
                json!("Demo"),
                json!("a".repeat(53)),
            ]),
        case("/spec/backend/volume/memory", &rules::memory_within_the_containers())
            .rule_at("")
            .accepts([json!("512Mi"), json!("8Mi")])
            .refuses([json!("513Mi"), json!("2Gi")]),
        case("/spec/resources", &rules::memory_within_the_containers())
            .rule_at("")
            .accepts([json!({}), json!({"limits": {}}), json!({"limits": {"memory": "192Mi"}})])
            .refuses([json!({"limits": {"memory": "191Mi"}})]),
        case("/spec/backend", &rules::one_backend())
            .accepts([json!({"volume": {"size": "1Gi"}})])
            .refuses([json!({})]),
        case("/spec/backend/volume/size", &rules::volume_never_shrinks())
            .rule_at("")
            .accepts_change(json!("1Gi"), json!("1024Mi"))
            .accepts_change(json!("1Gi"), json!("2Gi"))
            .accepts_change(json!(1000), json!("1k"))
            .refuses_change(json!("1Gi"), json!("1G"))
            .refuses_change(json!("1Gi"), json!(1)),
        // A growth that its class refused is taken back, and no more than that.
        case("", &rules::volume_never_shrinks())
            .rule_at("")
            .accepts_change(store_with("2Gi", Some("1Gi")), store_with("1Gi", Some("1Gi")))
            .accepts_change(store_with("3Gi", Some("1Gi")), store_with("1025Mi", Some("1Gi")))
            .refuses_change(store_with("2Gi", Some("1Gi")), store_with("1023Mi", Some("1Gi")))
            .refuses_change(store_with("2Gi", Some("2Gi")), store_with("1Gi", Some("1Gi")))
            .refuses_change(store_with("2Gi", None), store_with("1Gi", Some("1Gi"))),
        case("/spec/contracts", &rules::unique_contracts())
            .accepts([json!(["kv"]), json!(["artifacts", "runtimes", "jobs", "kv", "runStore"])])
            .refuses([json!(["kv", "kv"]), json!(["kv", "runStore", "kv"])]),
        case("/spec/auth/jwt", &rules::one_jwt_source())
            .accepts([
                jwt(json!({"jwksUri": "https://i/keys"})),
                jwt(json!({"jwksSecretRef": {"name": "a"}})),
                jwt(json!({"hmacSecretRef": {"name": "a", "key": "b"}})),
            ])
            .refuses([
                jwt(json!({})),
                jwt(json!({"jwksUri": "https://i/keys", "jwksSecretRef": {"name": "a"}})),
                jwt(json!({"hmacSecretRef": {"name": "a"}, "jwksSecretRef": {"name": "a"}})),
            ]),
        case("/spec/auth/jwt/jwksUri", &rules::jwks_uri())
            .accepts([
                json!("https://issuer.example/.well-known/jwks.json"),
                json!("http://issuer.auth.svc:8080/realms/a/certs?x=1&y=%20"),
                json!("https://issuer"),
                json!("https://[::1]:8443/keys"),
            ])
            .refuses([
                json!("ftp://issuer/keys"),
                json!("https:///keys"),
                json!("https://user:password@issuer/keys"),
                json!("https://issuer/a b"),
                json!("https://issuer/keys#1"),
                json!("issuer.example/keys"),
            ]),
        case("/spec/auth/jwt/clockSkew", &rules::clock_skew())
            .accepts([json!("0s"), json!("60s"), json!("5m"), json!("300000ms")])
            .refuses([json!("301s"), json!("5m1ms"), json!("1h")]),
        case("/spec/limits/headerTimeout", &rules::timeout_range())
            .accepts([json!("1s"), json!("1h")])
            .refuses([json!("999ms"), json!("61m")]),
        case("/spec/limits/idleTimeout", &rules::timeout_range())
            .accepts([json!("1s"), json!("1h")])
            .refuses([json!("999ms"), json!("61m")]),
        case("/spec/limits/stallTimeout", &rules::timeout_range())
            .accepts([json!("1s"), json!("1h")])
            .refuses([json!("999ms"), json!("61m")]),
        case("/spec/tracing/otlp", &rules::ca_for_https())
            .accepts([
                json!({"endpoint": "http://collector"}),
                json!({"endpoint": "https://collector"}),
                json!({"endpoint": "https://collector", "caSecretRef": {"name": "a"}}),
            ])
            .refuses([json!({"endpoint": "http://collector", "caSecretRef": {"name": "a"}})]),
        case("/spec/tracing/otlp/endpoint", &rules::otlp_endpoint())
            .accepts([
                json!("https://collector.example:4318"),
                json!("https://otel_collector.ns.svc/otlp/v1"),
                json!("https://[::1]:4317/"),
            ])
            .refuses([
                json!("collector:4318"),
                json!("ftp://collector"),
                json!("https://"),
                json!("https://user:password@collector"),
                json!("https://collector?token=a"),
                json!("https://collector/a b"),
            ]),
        case("/spec/cors/allowedOrigins", &rules::origins())
            .accepts([
                json!([]),
                json!(["*"]),
                json!(["null"]),
                json!(["https://app.example", "http://localhost:5173", "http://[::1]:80"]),
                json!(["capacitor://localhost", "https://app.example:65535"]),
            ])
            .refuses([
                json!(["https://app.example/"]),
                json!(["https://App.example"]),
                json!(["app.example"]),
                json!(["https://*", "https://a b"]),
                json!(["https://user@app.example"]),
                json!(["https://app.example", "Null"]),
                json!(["https://["]),
                json!(["https://app.example:99999"]),
                json!(["https://app.example:"]),
                json!(["https://*.example"]),
            ]),
    ]
}

fn jwt(keys: Value) -> Value {
    let mut jwt = json!({"issuer": "https://i", "audiences": ["a"]});
    for (name, value) in keys.as_object().into_iter().flatten() {
        jwt[name] = value.clone();
    }
    jwt
}

fn store_namespace() -> Vec<Case> {
    let case = |at: &str, rule: &Rule| Case::new("StoreNamespace", at, rule);
    let long = "a".repeat(129);
    vec![
        case("/spec/storeRef", &rules::never_changes("storeRef"))
            .accepts_change(json!({"name": "demo"}), json!({"name": "demo"}))
            .refuses_change(json!({"name": "demo"}), json!({"name": "other"})),
        case("/spec/contract", &rules::never_changes("contract"))
            .accepts_change(json!("kv"), json!("kv"))
            .refuses_change(json!("kv"), json!("runStore")),
        case("/spec/name", &rules::namespace_name_never_changes())
            .rule_at("")
            // `cart` is the metadata.name of the valid resource.
            .accepts_change(Value::Null, json!("cart"))
            .accepts_change(json!("cart"), Value::Null)
            .refuses_change(json!("cart"), json!("basket"))
            .refuses_change(json!("basket"), Value::Null)
            .refuses_change(Value::Null, json!("basket")),
        case("", &rules::default_namespace_name())
            .rule_at("")
            .accepts([named(&"a".repeat(128), Value::Null), named(&long, json!("cart"))])
            .refuses([named(&long, Value::Null)]),
        case("/spec/name", &rules::namespace_name())
            .accepts([json!("cart"), json!("a:b@c+d~e-f_g.h"), json!("...")])
            .refuses([json!("."), json!(".."), json!("a/b"), json!("a b"), json!("ä")]),
        case("/spec", &rules::quota_only_for_kv())
            .accepts([
                json!({"storeRef": {"name": "demo"}, "contract": "kv", "quota": {"maxKeys": 1}}),
                json!({"storeRef": {"name": "demo"}, "contract": "runStore"}),
                json!({"storeRef": {"name": "demo"}, "contract": "artifacts"}),
                json!({"storeRef": {"name": "demo"}, "contract": "jobs"}),
            ])
            .refuses([
                json!({"storeRef": {"name": "d"}, "contract": "runStore", "quota": {"maxKeys": 1}}),
                json!({"storeRef": {"name": "d"}, "contract": "artifacts", "quota": {"maxBytes": 1}}),
            ]),
        case("/spec/tokenTTL", &rules::token_ttl_range())
            .accepts([json!("10m"), json!("720h"), json!("8760h"), json!("600000ms")])
            .refuses([json!("9m59s"), json!("8760h1ms"), json!("0s"), json!("99999h")]),
        case("/spec/tokenGeneration", &rules::token_generation_grows())
            .accepts_change(json!(1), json!(1))
            .accepts_change(json!(1), json!(7))
            .refuses_change(json!(2), json!(1)),
        case("/spec/quota", &rules::quota_not_empty())
            .accepts([json!({"maxKeys": 1}), json!({"maxBytes": "1Mi"})])
            .refuses([json!({})]),
    ]
}

/// A StoreNamespace with a `metadata.name` and a `spec.name`.
fn named(name: &str, spec_name: Value) -> Value {
    let mut resource = base("StoreNamespace");
    put(&mut resource, "/metadata/name", json!(name));
    put(&mut resource, "/spec/name", spec_name);
    resource
}

fn source() -> Vec<Case> {
    let case = |at: &str, rule: &Rule| Case::new("RuntimeConfigSource", at, rule);
    let branch = |name: &str, store: &str| json!({"name": name, "storeRef": {"name": store}});
    vec![
        case("/spec/repoId", &rules::repository_id())
            .accepts([json!("etl"), json!("team/etl"), json!("a:b@c+d~e")])
            .refuses([json!("/a"), json!("a/"), json!("a//b"), json!("a/../b"), json!("a b")])
            .refuses([json!("."), json!("..")]),
        case("/spec/repoId", &rules::never_changes("repoId"))
            .accepts_change(json!("etl"), json!("etl"))
            .refuses_change(json!("etl"), json!("elt")),
        case("/spec/url", &rules::url_form())
            .accepts([
                json!("https://git.example/data/etl.git"),
                json!("https://git.example:8443/a%20b"),
                json!("https://[::1]:8443/a"),
                json!("http://127.0.0.1:3000/a.git"),
                json!("file:///srv/git/a.git"),
                json!("ssh://git@git.example:2222/a.git"),
                json!("ssh://git.example/a.git"),
                json!("git@git.example:data/etl.git"),
            ])
            .refuses([
                json!("git.example/a"),
                json!("/srv/git/a.git"),
                json!("git.example:a.git"),
                json!("https://git.example"),
                json!("https:///a"),
                json!("file://host/a"),
                json!("ftp://git.example/a"),
                json!("ext::sh -c touch% /tmp/x"),
                json!("--upload-pack=touch"),
                json!("-oProxyCommand=x@h:a"),
                json!("ssh://-oProxyCommand=x/a"),
                json!("ssh://-u@git.example/a"),
                json!("git@-oProxyCommand=x:a"),
                json!("git@git.example:-x"),
                json!("https://git.example/a?token=x"),
                json!("https://git.example/a#b"),
                json!("https://git.example/a b"),
                json!("https://git.example/a\nb"),
                json!("https://git.example/a\"b"),
            ]),
        case("/spec/url", &rules::url_without_credentials())
            .accepts([json!("ssh://git@git.example/a"), json!("https://git.example/@scope/a")])
            .refuses([
                json!("https://user:secret@git.example/a"),
                json!("https://token@git.example/a"),
                json!("http://a:b@git.example/a"),
                json!("ssh://git:secret@git.example/a"),
            ]),
        case("/spec/branches", &rules::unique_branches())
            .accepts([json!([branch("main", "a"), branch("main", "b"), branch("dev", "a")])])
            .refuses([json!([branch("main", "a"), branch("dev", "a"), branch("main", "a")])]),
        case("/spec/branches/0/name", &rules::branch_name())
            .accepts([json!("main"), json!("release/1.2"), json!("a@b"), json!("A_b-c+d")])
            .refuses([
                json!("--upload-pack=x"),
                json!("-d"),
                json!("/a"),
                json!("a/"),
                json!("a//b"),
                json!("a..b"),
                json!("a/../b"),
                json!("a:b"),
                json!("a~1"),
                json!("a b"),
                json!(".a"),
                json!("a/.b"),
                json!("a."),
                json!("a.lock"),
                json!("a.lock/b"),
                json!("@"),
            ]),
        case("/spec/include", &rules::relative_globs())
            .accepts([json!(["**/*.yaml"]), json!(["a/*.json", "b"])])
            .refuses([json!(["/a/*.yaml"]), json!(["a", "/"])]),
        case("/spec/schema", &rules::one_schema_source())
            .accepts([
                json!({"inline": {"type": "object"}}),
                json!({"inline": {}, "pointer": "/runtime"}),
                json!({"configMapRef": {"name": "a", "key": "b"}}),
                json!({"path": "schema.json"}),
            ])
            .refuses([
                json!({}),
                json!({"pointer": "/runtime"}),
                json!({"inline": {}, "path": "schema.json"}),
                json!({"configMapRef": {"name": "a", "key": "b"}, "path": "schema.json"}),
            ]),
        case("/spec/schema/configMapRef/key", &rules::data_key())
            .accepts([json!("schema.json"), json!("A_b-1")])
            .refuses([json!("a/b"), json!("a b")]),
        case("/spec/schema", &rules::relative_path())
            .rule_at("spec.schema.path")
            .accepts([json!({"path": "schema/runtime.json"}), json!({"path": "..a/b"})])
            .refuses([
                json!({"path": "/etc/passwd"}),
                json!({"path": "../schema.json"}),
                json!({"path": "a/../../b"}),
                json!({"path": "a//b"}),
                json!({"path": "a/"}),
                json!({"path": "./a"}),
            ]),
        case("/spec/schema/pointer", &rules::json_pointer())
            .accepts([json!(""), json!("/runtime"), json!("/a~1b/c~0d/0"), json!("/")])
            .refuses([json!("runtime"), json!("/a~2"), json!("/a~"), json!("#/a")]),
        case("/spec/interval", &rules::interval_range())
            .accepts([json!("10s"), json!("10000ms"), json!("1h30m"), json!("24h")])
            .refuses([json!("9s"), json!("9999ms"), json!("24h1ms"), json!("99999h")]),
        case("/spec/timeout", &rules::timeout_range())
            .accepts([json!("1s"), json!("1000ms"), json!("60m")])
            .refuses([json!("999ms"), json!("1h1s"), json!("0s")]),
    ]
}

/// Every case there is.
pub(crate) fn cases() -> Vec<Case> {
    [sizes(), object_names(), secret_keys(), store(), volume(), pod(), store_namespace(), source()]
        .into_iter()
        .flatten()
        .collect()
}
