//! A repository over SSH, with a key that is wrong at first.

use serde_json::{Value, json};

use crate::support::namespace::{Namespace, condition};
use crate::support::ssh::PrivateRepository;
use crate::support::{SOON, eventually, release, stores};

fn credentials(repository: &PrivateRepository, whose: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "etl-git"},
        "stringData": {
            "ssh-privatekey": repository.private_key(whose),
            "known_hosts": repository.known_hosts(),
        },
    })
    .to_string()
}

#[test]
fn a_private_repository_is_served_once_its_key_is_right() {
    let _cluster = release::shared();
    let namespace = Namespace::create("ssh");
    let caller = stores::demo(&namespace);
    let repository = PrivateRepository::serve();
    namespace.apply(&credentials(&repository, "stranger"));
    let source = json!({
        "apiVersion": "stowage.dev/v1alpha1",
        "kind": "RuntimeConfigSource",
        "metadata": {"name": "etl"},
        "spec": {
            "repoId": "etl",
            "url": repository.url(),
            "interval": "24h",
            "auth": {"secretRef": {"name": "etl-git"}},
            "schema": {"path": "schema/runtime.json", "pointer": "/runtime"},
            "branches": [{"name": "main", "environment": "production", "storeRef": {"name": "demo"}}],
        },
    });
    namespace.apply(&source.to_string());

    let refused: Value = eventually("the refusal is told", SOON, || {
        let source = namespace.try_get("runtimeconfigsource/etl")?;
        match condition(&source, "Fetched") {
            Some(fetched) if fetched["status"] == "False" => Ok(source),
            found => Err(format!("{found:?}")),
        }
    });
    let ready = condition(&refused, "Ready").unwrap();
    assert_eq!(ready["status"], "False", "{ready}");
    let message = ready["message"].as_str().unwrap();
    assert!(message.contains("main"), "the message does not say what it is about: {message}");
    println!("{}: {message}", ready["reason"]);

    // Nobody has to ask: the Secret is what was missing.
    namespace.apply(&credentials(&repository, "client"));
    namespace.wait("Ready", "runtimeconfigsource/etl");
    let set = caller.get("/runtimes/etl/main").unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(set.revision, Some(repository.head()));
    // What is private stays so.
    let secret_line = repository.private_key("client").lines().nth(1).unwrap().to_owned();
    for what in ["runtimeconfigsources", "events", "jobs", "pods", "configmaps"] {
        let shown = namespace.kubectl(&["get", what, "-o", "yaml"]);
        assert!(!shown.contains(&secret_line), "a private key is in {what}");
    }
}
