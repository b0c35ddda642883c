//! Everything that can be wrong with manifests, each with the place and the sentence.

#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

use std::fs;
use std::path::{Path, PathBuf};

use kube::ResourceExt;
use stowage::manifests::{self, Manifests, ObjectName, Problems};
use tempfile::TempDir;

const STORE: &str = "\
apiVersion: stowage.dev/v1alpha1
kind: Store
metadata: {name: demo}
spec:
  backend: {volume: {size: 1Gi}}
";

const SOURCE: &str = "\
---
apiVersion: stowage.dev/v1alpha1
kind: RuntimeConfigSource
metadata: {name: etl}
spec:
  repoId: etl
  url: https://git.example/etl.git
  branches: [{name: main, storeRef: {name: demo}}]
";

const NAMESPACE: &str = "\
---
apiVersion: stowage.dev/v1alpha1
kind: StoreNamespace
metadata: {name: cart}
spec:
  storeRef: {name: demo}
  contract: kv
";

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn load(directory: &TempDir) -> Result<Manifests, Problems> {
    manifests::load(&[directory.path().to_owned()])
}

/// The problems as they are printed, with paths from the directory.
fn problems_of(directory: &TempDir, paths: &[PathBuf]) -> Vec<String> {
    let prefix = format!("{}/", directory.path().display());
    let found = manifests::load(paths).err();
    found.iter().flatten().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

/// Checks that exactly these problems are reported: each begins with the first text and holds
/// the second.
fn expect(name: &str, text: &str, expected: &[(&str, &str)]) {
    let directory = directory(&[("a.yaml", text)]);
    let found = problems_of(&directory, &[directory.path().to_owned()]);
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, (place, message))| {
            found.starts_with(&format!("a.yaml:{place}")) && found.contains(message)
        });
    assert!(fits, "{name}: expected {expected:#?}\nfound {found:#?}");
}

#[test]
fn what_is_in_order_is_read_in_order() {
    let directory = directory(&[
        ("b.yml", &STORE.replace("demo", "second")),
        ("a.yaml", &format!("# a comment\n---\n{STORE}---\n{}", STORE.replace("demo", "next"))),
        (
            "c.json",
            &serde_json::to_string_pretty(&serde_json::json!({
                "apiVersion": "stowage.dev/v1alpha1", "kind": "Store",
                "metadata": {"name": "third", "namespace": "team"},
                "spec": {"backend": {"volume": {"size": 1024}}, "auth": null},
                "status": {"url": "http://demo"},
            }))
            .unwrap(),
        ),
        (".hidden.yaml", "not: a resource"),
        ("notes.txt", "not a manifest"),
    ]);
    fs::create_dir(directory.path().join("d.yaml")).unwrap();
    let read = load(&directory).unwrap();
    let found: Vec<_> = read
        .stores
        .iter()
        .map(|store| {
            let file = store.origin.file.file_name().unwrap().to_str().unwrap();
            (store.name_any(), store.namespace().unwrap(), file, store.origin.line)
        })
        .collect();
    let row = |name: &str, namespace: &str, file, line| {
        (name.to_owned(), namespace.to_owned(), file, line)
    };
    let expected = [
        row("demo", "default", "a.yaml", 3),
        row("next", "default", "a.yaml", 9),
        row("second", "default", "b.yml", 1),
        row("third", "team", "c.json", 1),
    ];
    assert_eq!(found, expected);
}

#[test]
fn paths_are_read_in_their_order_and_each_file_once() {
    let directory = directory(&[("a.yaml", STORE), ("b", &STORE.replace("demo", "b"))]);
    let a = directory.path().join("a.yaml");
    let read =
        manifests::load(&[directory.path().join("b"), directory.path().to_owned(), a]).unwrap();
    let names: Vec<String> = read.stores.iter().map(|store| store.name_any()).collect();
    assert_eq!(names, ["b", "demo"]);
}

#[test]
fn a_list_is_read_as_its_items() {
    let directory = directory(&[(
        "a.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: stowage.dev/v1alpha1\n  kind: Store\n  \
         metadata: {name: demo, uid: x, creationTimestamp: null}\n  \
         spec: {backend: {volume: {size: 1Gi}}}\n",
    )]);
    let read = load(&directory).unwrap();
    assert_eq!((read.stores.len(), read.stores[0].origin.line), (1, 4));
}

#[test]
fn secrets_and_config_maps_are_decoded() {
    let directory = directory(&[(
        "a.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: Opaque\n\
         data: {a: c2VjcmV0LWE=, b: AP8=}\nstringData: {a: wins, c: |\n  text\n  }\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: team}\n\
         data: {k: v}\nimmutable: true\n",
    )]);
    let text = fs::read_to_string(directory.path().join("a.yaml")).unwrap();
    fs::write(
        directory.path().join("a.yaml"),
        text.replace("{a: wins, c: |\n  text\n  }", "{a: wins, c: \"text\\n\"}"),
    )
    .unwrap();
    let read = load(&directory).unwrap();
    let name = |namespace: &str, name: &str| ObjectName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let secret = &read.secrets[&name("default", "s")];
    let values: Vec<_> = secret.values.iter().map(|(k, v)| (k.as_str(), v.expose())).collect();
    assert_eq!(values, [("a", &b"wins"[..]), ("b", &[0, 255]), ("c", b"text\n")]);
    assert_eq!(read.config_maps[&name("team", "c")].data["k"], "v");
    assert!(!format!("{read:?}").contains("wins"), "a Secret's value is printed");
}

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
            ("5:22: spec.backend.volume.size", "it is not a size: write a number of bytes"),
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

#[test]
fn references_lead_somewhere() {
    expect(
        "no such Store",
        &format!("{SOURCE}{NAMESPACE}"),
        &[
            (
                "8:38: spec.branches[0].storeRef.name",
                "there is no Store demo in the namespace default: add it to the manifests",
            ),
            ("14:14: spec.storeRef.name", "there is no Store demo in the namespace default"),
        ],
    );
    expect(
        "a Store that may stand in what cannot be read",
        &format!("{}{SOURCE}{NAMESPACE}", STORE.replace("kind: Store", "kind: Stroe")),
        &[("2:1: kind", "did you mean Store?")],
    );
    expect(
        "a Store whose name is near",
        &format!("{}{NAMESPACE}", STORE.replace("demo", "deno")),
        &[("11:14: spec.storeRef.name", "did you mean deno?")],
    );
    expect(
        "a Store in another namespace",
        &format!("{}{NAMESPACE}", STORE.replace("name: demo", "name: demo, namespace: team")),
        &[("11:14: spec.storeRef.name", "one stands in the namespace team, which cannot be")],
    );
    expect(
        "a Store that is itself not in order is no second problem",
        &format!("{}{NAMESPACE}", STORE.replace("1Gi", "x")),
        &[("5:22: spec.backend.volume.size", "it is not a size")],
    );
    expect(
        "contracts that the Store does not serve",
        &format!("{STORE}  contracts: [runStore]\n{SOURCE}{NAMESPACE}"),
        &[
            ("14:38: spec.branches[0].storeRef.name", "does not serve the contract runtimes: add"),
            ("20:14: spec.storeRef.name", "does not serve the contract kv: add kv to its spec"),
        ],
    );
    expect(
        "the same name twice",
        &format!("{STORE}---\n{STORE}"),
        &[("9:12: metadata.name", "there is a Store of this name already, at ")],
    );
    expect(
        "one branch published twice",
        &format!("{STORE}{SOURCE}{}", SOURCE.replace("name: etl", "name: other")),
        &[(
            "21:15: spec.branches[0].name",
            "the branch main of the repository etl goes into the Store demo already, by the source \
             etl at ",
        )],
    );
    expect(
        "a glob that is none",
        &format!("{STORE}{SOURCE}  include: ['**/*.yaml', 'a[']\n"),
        &[("14:26: spec.include[1]", "it is not a glob (")],
    );
}

fn tokens(secret: &str) -> String {
    format!(
        "{STORE}  auth: {{tokensSecretRef: {{name: tokens}}}}\n---\napiVersion: v1\nkind: Secret\n\
         metadata: {{name: tokens}}\n{secret}"
    )
}

#[test]
fn tokens_are_there_and_can_be_used() {
    let at_store = "6:28: spec.auth.tokensSecretRef.name";
    expect(
        "no Secret",
        &format!("{STORE}  auth: {{tokensSecretRef: {{name: tokens}}}}\n"),
        &[(at_store, "there is no Secret tokens in the namespace default: add it to the")],
    );
    expect(
        "an empty Secret",
        &tokens(""),
        &[(at_store, "holds no token: add one, as NAME: TOKEN")],
    );
    expect(
        "values that are no tokens",
        &tokens(
            "stringData:\n  a: ''\n  b: short\n  c: has a space in its middle\n  \
             d: '{\"token\": \"0123456789abcdef\", \"right\": 1}'\n  e: good-0123456789abcdef\n\
             data: {f: //79, g: '?'}\n",
        ),
        &[
            ("12:3: stringData.a", "this token cannot be used: it is empty"),
            ("13:3: stringData.b", "this token cannot be used: it is shorter than 16"),
            ("14:3: stringData.c", "this token cannot be used: it holds white space"),
            ("15:3: stringData.d", "an unknown member or a wrong type"),
            ("17:8: data.f", "this token cannot be used: it is not text"),
            ("17:17: data.g", "it is not base64: encode it, or move it to stringData"),
        ],
    );
    expect(
        "one token under two names",
        &tokens(
            "stringData:\n  a: good-0123456789abcdef\n  \
             b.c: '{\"token\": \"good-0123456789abcdef\", \"access\": \"read\"}'\n",
        ),
        &[("13:3: stringData[b.c]", "it is the same token as a: give each one of its own")],
    );
    expect(
        "values and keys that a Secret does not take",
        &tokens("stringData: {a: 0123456789012345, b: {c: d}, 'e/f': g}\n"),
        &[
            ("11:17: Kubernetes reads this number in another base", "put it in quotes"),
            ("11:35: stringData.b", "here stands a mapping, and a text is expected"),
        ],
    );
    expect(
        "a key that is none",
        &tokens("stringData: {a: good-0123456789abcdef, 'e/f': g}\n"),
        &[("11:40: stringData[e/f]", "a key holds only letters, digits, -, _ and .")],
    );
}

#[test]
fn no_problem_says_what_a_secret_holds() {
    let directory = directory(&[(
        "a.yaml",
        &tokens(
            "stringData:\n  a: hunter2\n  b: {hunter2: x}\n  'hunter 3': hunter2\n\
             data: {c: hunter2!}\nhunter2: 1\n",
        ),
    )]);
    let found = problems_of(&directory, &[directory.path().to_owned()]).join("\n");
    assert!(found.contains("stringData.b"), "{found}");
    for line in found.lines() {
        let message = line.splitn(3, ": ").nth(2).unwrap_or_default();
        assert!(!message.contains("hunter2"), "{line}");
    }
}

#[test]
fn credentials_of_a_source_fit_its_url() {
    let source = |url: &str, keys: &str| {
        format!(
            "{STORE}{}  auth: {{secretRef: {{name: git}}}}\n---\napiVersion: v1\nkind: Secret\n\
             metadata: {{name: git}}\nstringData: {{{keys}}}\n",
            SOURCE.replace("https://git.example/etl.git", url)
        )
    };
    let (https, ssh) = ("https://git.example/etl.git", "git@git.example:etl.git");
    let place = "14:22: spec.auth.secretRef.name";
    for (url, keys) in [
        (https, "username: a, password: b"),
        (https, "bearerToken: a"),
        ("http://127.0.0.1/etl.git", "bearerToken: a"),
        (ssh, "ssh-privatekey: a, known_hosts: b"),
    ] {
        expect(&format!("{url} with {keys}"), &source(url, keys), &[]);
    }
    for (url, keys, message) in [
        (
            https,
            "",
            "lacks what this URL needs: add username and password (or a bearerToken alone)",
        ),
        (https, "password: a", "lacks what this URL needs: add username"),
        (https, "username: a, password: ''", "add password (or a bearerToken alone)"),
        (https, "bearerToken: a, username: b, password: c", "both a bearerToken and a password"),
        (ssh, "username: a, password: b", "add ssh-privatekey and known_hosts"),
        (ssh, "ssh-privatekey: a", "add known_hosts"),
    ] {
        expect(&format!("{url} with {keys}"), &source(url, keys), &[(place, message)]);
    }
    expect(
        "file:// with credentials",
        &source("file:///srv/etl.git", "bearerToken: a"),
        &[("14:3: spec.auth", "a file:// URL takes no credentials: take auth out")],
    );
    expect(
        "SSH without credentials",
        &format!("{STORE}{}", SOURCE.replace(https, ssh)),
        &[("12:3: spec.url", "SSH needs credentials: name a Secret with ssh-privatekey")],
    );
    expect(
        "no such Secret",
        &format!("{STORE}{SOURCE}  auth: {{secretRef: {{name: git}}}}\n"),
        &[(place, "there is no Secret git in the namespace default")],
    );
}

#[test]
fn schemas_are_there_and_are_schemas() {
    let source = |schema: &str| format!("{STORE}{SOURCE}  schema: {schema}\n");
    let map = |text: &str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: schemas}}\n\
             data: {{runtime.json: '{text}'}}\n"
        )
    };
    let by_map = source("{configMapRef: {name: schemas, key: runtime.json}}");
    expect("inline", &source("{inline: {type: object, enum: [null]}}"), &[]);
    expect("by ConfigMap", &format!("{by_map}{}", map("{\"type\": \"object\"}")), &[]);
    expect("by path", &source("{path: schema.json, pointer: /runtime}"), &[]);
    expect(
        "two places",
        &source("{inline: {}, path: schema.json}"),
        &[("14:3: spec.schema", "exactly one of inline, configMapRef and path")],
    );
    expect(
        "an inline text",
        &source("{inline: 'true'}"),
        &[("14:12: spec.schema.inline", "here stands a text, and a mapping is expected")],
    );
    expect(
        "an inline schema that is none",
        &source("{inline: {type: objekt}}"),
        &[("14:12: spec.schema.inline", "it is not a usable JSON Schema at /type")],
    );
    expect(
        "a reference to the outside",
        &source("{inline: {$ref: 'https://example.com/a.json'}}"),
        &[("14:12: spec.schema.inline", "a $ref leads out of the schema")],
    );
    let key = "14:42: spec.schema.configMapRef.key";
    expect(
        "no such ConfigMap",
        &by_map,
        &[("14:27: spec.schema.configMapRef.name", "there is no ConfigMap schemas in the")],
    );
    expect(
        "no such key",
        &format!("{by_map}{}", map("{}")).replace("data: {runtime", "data: {other"),
        &[(key, "has no such key; it has other.json")],
    );
    expect(
        "a key that is no schema",
        &format!("{by_map}{}", map("{\"type\": 1}")),
        &[(key, "it is not a usable JSON Schema")],
    );
    expect(
        "a key that is not even JSON",
        &format!("{by_map}{}", map("{\"type\": [")),
        &[(key, "it is neither JSON nor YAML")],
    );
}

#[test]
fn files_that_cannot_be_read() {
    let directory = directory(&[("blank.yaml", " \n"), ("latin.yaml", ""), ("large.yaml", "")]);
    fs::write(directory.path().join("latin.yaml"), b"a: b\nc: \xe9\n").unwrap();
    fs::write(directory.path().join("large.yaml"), vec![b'#'; (10 << 20) + 1]).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", directory.path().join("link.yaml")).unwrap();
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("notes.txt"), "no manifest").unwrap();
    let absent = directory.path().join("absent.yaml");
    let found = problems_of(&directory, &[directory.path().to_owned(), empty, absent]);
    let expected = [
        "empty: there is no .yaml, .yml or .json file here: put manifests into it",
        "large.yaml: it is larger than 10 MB: split it",
        "blank.yaml: it is empty: put a manifest into it, or remove it",
        "latin.yaml: it is not UTF-8 (from line 2 on): save it as UTF-8",
        "link.yaml: there is no such file: check the path",
        "absent.yaml: there is no such file: check the path",
    ];
    for expected in expected {
        assert!(found.iter().any(|f| f.starts_with(expected)), "no {expected}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_named_pipe_in_a_directory_is_refused_and_not_waited_for() {
    let directory = directory(&[("a.yaml", STORE)]);
    let pipe = directory.path().join("pipe.yaml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let (done, loaded) = std::sync::mpsc::channel();
    let paths = [directory.path().to_owned()];
    std::thread::spawn(move || done.send(manifests::load(&paths).map(drop)));
    let deadline = std::time::Duration::from_secs(20);
    let problems = loaded.recv_timeout(deadline).expect("it does not wait").unwrap_err();
    assert!(problems.to_string().contains("pipe.yaml: it is not a regular file"), "{problems}");
}

#[test]
fn every_problem_of_every_file_is_reported_in_order() {
    let directory = directory(&[
        ("b.yaml", &STORE.replace("1Gi", "x").replace("demo", "other")),
        ("a.yaml", &format!("{NAMESPACE}  quota: {{}}\n---\nkind: Pod\napiVersion: v1\n")),
    ]);
    let found = problems_of(&directory, &[directory.path().to_owned()]);
    let places: Vec<&str> = found.iter().map(|f| f.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["a.yaml:8:3", "a.yaml:10:1", "b.yaml:5:22"], "{found:#?}");
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let directory = directory(&[("a.yaml", &bomb)]);
    let found = problems_of(&directory, &[directory.path().to_owned()]);
    assert!(found[0].contains("with its aliases written out, this file is too large"), "{found:?}");
}

#[test]
fn a_relative_path_is_named_as_it_was_given() {
    let found = manifests::load(&[PathBuf::from("no/such/place")]).unwrap_err();
    let problem = found.iter().next().unwrap();
    assert_eq!(problem.file, Path::new("no/such/place"));
    assert_eq!(problem.to_string(), "no/such/place: there is no such file: check the path");
}
