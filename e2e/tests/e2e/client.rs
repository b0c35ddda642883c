//! Applications in pods call a Store by the name of its Service.

use serde_json::json;

use crate::support::namespace::Namespace;
use crate::support::release;
use crate::support::stores::{self, TOKEN};

/// The image that `examples/cluster/try/app.yaml` names.
const CURL: &str = "docker.io/curlimages/curl:8.17.0";

/// A pod with curl, as an application would run.
fn start_client(namespace: &Namespace) {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client"},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "client",
                "image": CURL,
                "command": ["sleep", "3600"],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    });
    namespace.apply(&pod.to_string());
    namespace.wait("Ready", "pod/client");
}

/// Runs curl in the client's pod and gives the status and what was printed before it.
fn curl(namespace: &Namespace, token: &str, arguments: &[&str]) -> (String, String) {
    let authorization = format!("Authorization: Bearer {token}");
    let curl = ["exec", "client", "--", "curl", "-sS", "-i", "-w", "\n%{http_code}", "-H"];
    let said = namespace.kubectl(&[&curl[..], &[&authorization], arguments].concat());
    let (head_and_body, status) = said.rsplit_once('\n').unwrap();
    (status.to_owned(), head_and_body.to_owned())
}

#[test]
fn a_pod_creates_and_patches_by_the_services_name_and_wrong_tokens_are_refused() {
    let _cluster = release::shared();
    let namespace = Namespace::create("client");
    stores::demo(&namespace);
    start_client(&namespace);

    let name = format!("http://demo.{}.svc:8080", namespace.name);
    let create = |url: &str, token: &str, run: u32| {
        let url = format!("{url}/run-stores/nightly");
        let body = json!({"run": run}).to_string();
        let json = "Content-Type: application/json";
        curl(
            &namespace,
            token,
            &["-X", "PUT", "-H", "If-None-Match: *", "-H", json, "-d", &body, &url],
        )
    };
    // Under its full name, and as a pod of the same namespace may call it.
    let (status, said) = create(&name, "wrong-0123456789abcdef", 1);
    assert_eq!(status, "401", "{said}");
    let (status, said) = create(&name, TOKEN, 1);
    assert_eq!(status, "200", "{said}");
    let (status, said) = create("http://demo:8080", TOKEN, 2);
    assert_eq!(status, "412", "{said}");
    assert!(said.to_lowercase().contains("\netag: \""), "412 names the current version: {said}");
    let (_, said) = curl(&namespace, TOKEN, &[&format!("{name}/run-stores/nightly")]);
    assert!(said.ends_with(r#"{"run":1}"#), "{said}");

    let patch = |token: &str| {
        let body = json!([{"op": "set", "key": "apples", "value": 3}]).to_string();
        let headers = ["-H", "If-Match: 0", "-H", "X-Thesara-App-Id: shop"];
        let url = format!("{name}/api/storage?ns=cart");
        let rest = ["-X", "PATCH", "-H", "Content-Type: application/json", "-d", &body, &url];
        curl(&namespace, token, &[&headers[..], &rest].concat())
    };
    // The reader of the example may read this namespace and nothing else.
    let reader = "read-me-0123456789abcdef";
    assert_eq!(patch(reader).0, "403");
    let (status, said) = patch(TOKEN);
    assert_eq!(status, "201", "{said}");
    assert_eq!(patch(TOKEN).0, "412");
    let (status, said) = curl(&namespace, reader, &[&format!("{name}/api/storage?ns=cart")]);
    assert_eq!(status, "200", "{said}");
    assert!(said.ends_with(r#"{"apples":3}"#), "{said}");
}

#[test]
fn the_example_application_counts_its_runs() {
    let _cluster = release::shared();
    let namespace = Namespace::create("app");
    stores::demo(&namespace);
    for runs in 1..=2 {
        namespace.apply_file("examples/cluster/try/app.yaml");
        namespace.wait("Complete", "job/app");
        let said = namespace.kubectl(&["logs", "job/app"]);
        assert!(said.trim().ends_with(&json!({"runs": runs}).to_string()), "{said}");
        namespace.kubectl(&["delete", "job/app"]);
    }
}
