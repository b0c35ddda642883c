//! Documents that are no resources, and resources that break their definitions.

use crate::support::{NAMESPACE, SOURCE, STORE, expect};

#[test]
fn the_form_of_a_document() {
    let doc = |head: &str| format!("{head}metadata: {{name: a}}\n");
    expect("no mapping", "- a\n", &[("1:1", "this is no resource")]);
    expect("a text", "hello\n", &[("1:1", "this is no resource")]);
    expect("no kind", &doc("apiVersion: v1\n"), &[("1:1: kind", "it is missing: write one of")]);
    expect("no apiVersion", &doc("kind: Store\n"), &[("1:1: apiVersion", "it is missing")]);
    expect("kind is a list", &doc("kind: [a]\n"), &[("1:1: kind", "it is not a text")]);
    expect(
        "another kind",
        &doc("apiVersion: apps/v1\nkind: Deployment\n"),
        &[("2:1: kind", "only Store, StoreNamespace, RuntimeConfigSource, Secret and ConfigMap")],
    );
    expect(
        "a kind that is nearly one",
        &doc("apiVersion: stowage.dev/v1alpha1\nkind: StoreNamespaces\n"),
        &[("2:1: kind", "did you mean StoreNamespace?")],
    );
    expect(
        "an old version",
        &doc("apiVersion: stowage.dev/v1\nkind: Store\n"),
        &[("1:1: apiVersion", "write apiVersion: stowage.dev/v1alpha1")],
    );
    expect("not YAML", "a: b: c\n", &[("1:5", "this is not YAML")]);
    expect(
        "a key twice",
        &format!("{STORE}  suspend: true\n  suspend: false\n"),
        &[("7:3", "the key \"suspend\" stands here a second time (first on line 6)")],
    );
    expect(
        "a word that is a boolean to others",
        &format!("{STORE}  suspend: yes\n"),
        &[
            ("6:3: spec.suspend", "here stands a text, and true or false is expected"),
            ("6:12", "Kubernetes reads this word as true"),
        ],
    );
}

#[test]
fn the_structure_of_a_resource() {
    let store = |spec: &str| {
        format!("apiVersion: stowage.dev/v1alpha1\nkind: Store\nmetadata: {{name: demo}}\n{spec}")
    };
    expect("no spec", &store(""), &[("1:1: spec", "it is missing")]);
    expect("no backend", &store("spec: {}\n"), &[("4:1: spec.backend", "it is missing")]);
    expect(
        "a backend without a size",
        &store("spec:\n  backend:\n    volume: {}\n"),
        &[("6:5: spec.backend.volume", "write size, for a volume of its own")],
    );
    expect(
        "two backends",
        &store("spec:\n  backend:\n    volume: {size: 1Gi}\n    s3: {bucket: lake}\n"),
        &[("7:5: spec.backend.s3", "there is no such field: this version knows volume here")],
    );
    expect(
        "none of the backends",
        &store("spec:\n  backend: {}\n"),
        &[("5:3: spec.backend", "set exactly one backend, such as volume: {size: 10Gi}")],
    );
    expect(
        "unknown fields, all of them",
        &store(
            "spec:\n  backend: {volume: {size: 1Gi, sizes: 2Gi}}\n  replicas: 3\n  \
             auth: {tokenSecretRef: {name: a}}\nspecs: {}\n",
        ),
        &[
            ("5:33: spec.backend.volume.sizes", "did you mean size?"),
            (
                "6:3: spec.replicas",
                "there is no such field: this version knows affinity, auth, backend",
            ),
            ("7:10: spec.auth.tokenSecretRef", "did you mean tokensSecretRef?"),
            ("8:1: specs", "did you mean spec?"),
        ],
    );
    expect(
        "wrong types",
        &store(
            "spec:\n  backend: {volume: {size: [1]}}\n  suspend: 1\n  contracts: kv\n  \
             cors: {allowedOrigins: [7]}\n",
        ),
        &[
            ("5:22: spec.backend.volume.size", "here stands a list, and a whole number or a text"),
            ("6:3: spec.suspend", "here stands a number, and true or false is expected"),
            ("7:3: spec.contracts", "here stands a text, and a list is expected"),
            (
                "8:27: spec.cors.allowedOrigins[0]",
                "here stands a number, and a text is expected: put it in quotes",
            ),
        ],
    );
    expect(
        "wrong values",
        &store(
            "spec:\n  backend: {volume: {size: 10GB}}\n  deletionPolicy: retain\n  \
             contracts: []\n  auth: {tokensSecretRef: {name: ''}}\n",
        ),
        &[
            ("5:22: spec.backend.volume.size", "Ti, Pi, k, M, G, T or P, such as 10Gi"),
            ("6:3: spec.deletionPolicy", "it is none of Retain, Delete: write one of them (did"),
            ("7:3: spec.contracts", "it has too few items: write at least 1"),
            ("8:28: spec.auth.tokensSecretRef.name", "it is empty"),
        ],
    );
    expect(
        "numbers out of range",
        &format!("{STORE}{NAMESPACE}  quota: {{maxKeys: 0}}\n"),
        &[("13:11: spec.quota.maxKeys", "it is too small: write at least 1")],
    );
    expect(
        "a span of time",
        &format!("{STORE}{SOURCE}  interval: 5 minutes\n  timeout: 60\n"),
        &[
            ("14:3: spec.interval", "it is not a span of time: write 30s"),
            ("15:3: spec.timeout", "here stands a number, and a text is expected: put it in"),
        ],
    );
    expect(
        "metadata",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: A, lables: {}}\n",
        &[
            ("3:1: metadata.name", "it is missing"),
            ("3:12: metadata.namespace", "it is not a name"),
            ("3:26: metadata.lables", "did you mean labels?"),
        ],
    );
}

#[test]
fn the_rules_of_the_definitions() {
    expect(
        "a rule at a field",
        &format!("{STORE}{SOURCE}  interval: 9s\n  include: [/a.yaml]\n"),
        &[
            ("14:3: spec.interval", "the interval is from 10s to 24h"),
            ("15:3: spec.include", "leave out the / at its beginning"),
        ],
    );
    expect(
        "a rule at an item",
        &format!("{STORE}{}", SOURCE.replace("name: main", "name: --upload-pack=x")),
        &[("13:15: spec.branches[0].name", "write a branch such as main or release/1.2")],
    );
    expect(
        "a rule about a field that is left out",
        &format!("{STORE}{NAMESPACE}").replace("name: cart", &format!("name: {}", "a".repeat(129))),
        &[("10:1: spec.name", "write spec.name")],
    );
    expect(
        "a rule about the name",
        &STORE.replace("demo", "1.demo"),
        &[("3:12: metadata.name", "a Store's name is 1 to 52 lower-case letters")],
    );
    expect(
        "credentials in a URL",
        &format!("{STORE}{}", SOURCE.replace("//git", "//user:hunter2@git")),
        &[("12:3: spec.url", "put them into a Secret and name it in auth.secretRef")],
    );
}
