//! The binary: when it is ready, what it says, how it ends.

use std::path::{Path, PathBuf};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use stowage_e2e::ControlPlane;
use tokio::process::{Child, Command};

use crate::support::{Operator, PATIENCE, client, eventually, namespace};

fn terminate(child: &Child) {
    let pid = i32::try_from(child.id().expect("it runs")).expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
}

async fn get(url: &str) -> Option<(u16, String)> {
    let answer = reqwest::get(url).await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_gets_ready_is_verified_and_ends_with_0_having_released_its_lease() {
    ControlPlane::shared().apply_crds().await.expect("definitions");
    let namespace = namespace().await;
    let scope = ["--watch-namespaces", &namespace, "--lease-namespace", &namespace];
    let mut operator = Operator::start(ControlPlane::shared().kubeconfig(), &scope);
    let url = operator.url().await;
    let mut child = operator.unread();
    let ready = format!("{url}/readyz");
    eventually("it is ready", async || get(&ready).await.filter(|answer| answer.0 == 200)).await;
    assert_eq!(get(&format!("{url}/livez")).await.map(|answer| answer.0), Some(200));

    let leases: Api<Lease> = Api::namespaced(client(), &namespace);
    let lease = async || leases.get_opt("stowage-operator").await.expect("an answer")?.spec;
    eventually("it leads", async || lease().await?.holder_identity.filter(|h| !h.is_empty())).await;

    let metrics = format!("{url}/metrics");
    eventually("the metrics say that it leads", async || {
        let (_, text) = get(&metrics).await?;
        text.contains("stowage_operator_leading 1").then_some(())
    })
    .await;

    let verified = Command::new(env!("CARGO_BIN_EXE_stowage-operator"))
        .args(["verify", "--url", &url])
        .env("KUBECONFIG", ControlPlane::shared().kubeconfig())
        .output()
        .await
        .expect("it runs");
    let text = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && text.lines().count() == 3, "{verified:?}");

    terminate(&child);
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").expect("so");
    assert!(status.success(), "{status}");
    let holder = lease().await.and_then(|spec| spec.holder_identity);
    assert_eq!(holder.as_deref(), Some(""), "the next one need not wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_says_what_does_not_hold() {
    let verified = Command::new(env!("CARGO_BIN_EXE_stowage-operator"))
        .args(["verify", "--url", "http://127.0.0.1:1"])
        .env("KUBECONFIG", ControlPlane::shared().kubeconfig())
        .output()
        .await
        .expect("it runs");
    let text = String::from_utf8_lossy(&verified.stderr);
    assert_eq!(verified.status.code(), Some(1), "{text}");
    assert!(text.contains("http://127.0.0.1:1 is not ready"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_definitions_are_there_it_waits_and_says_so() {
    // A control plane of its own: on the shared one another test applies the definitions.
    let own = ControlPlane::start().expect("a control plane");
    let mut operator = Operator::start(own.kubeconfig(), &[]);
    let url = format!("{}/readyz", operator.url().await);
    let why = operator.says("waiting").await["why"].as_str().expect("a reason").to_owned();
    assert!(why.contains("install the CustomResourceDefinitions"), "{why}");
    let (status, text) = get(&url).await.expect("an answer");
    assert!(status == 503 && text.contains("CustomResourceDefinitions"), "{status} {text}");
    own.apply_crds().await.expect("definitions");
    operator.says("leading").await;
    eventually("it is ready", async || get(&url).await.filter(|answer| answer.0 == 200)).await;
}

/// The kubeconfig of a user who may do everything with Leases and with these kinds of Stowage's in a
/// namespace, and nothing with others.
async fn limited(namespace: &str, kinds: &str, directory: &Path) -> PathBuf {
    let user = "limited";
    let rule = |group: &str, resource: &str| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: vec!["*".to_owned()],
        ..PolicyRule::default()
    };
    let metadata = ObjectMeta { name: Some("limited".to_owned()), ..ObjectMeta::default() };
    let role = Role {
        metadata: metadata.clone(),
        rules: Some(vec![rule("stowage.dev", kinds), rule("coordination.k8s.io", "leases")]),
    };
    let binding = RoleBinding {
        metadata,
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: "limited".to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "User".to_owned(),
            name: user.to_owned(),
            ..Subject::default()
        }]),
    };
    let roles: Api<Role> = Api::namespaced(client(), namespace);
    roles.create(&PostParams::default(), &role).await.expect("a role");
    let bindings: Api<RoleBinding> = Api::namespaced(client(), namespace);
    bindings.create(&PostParams::default(), &binding).await.expect("a binding");

    let mut config = Kubeconfig::read_from(ControlPlane::shared().kubeconfig()).expect("read");
    let admin = config.auth_infos[0].auth_info.as_mut().expect("a user");
    admin.impersonate = Some(user.to_owned());
    let kubeconfig = directory.join("kubeconfig");
    std::fs::write(&kubeconfig, serde_json::to_string(&config).expect("JSON")).expect("written");
    kubeconfig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_fails_is_told_in_a_sentence() {
    ControlPlane::shared().apply_crds().await.expect("definitions");
    let namespace = namespace().await;
    let directory = tempfile::tempdir().expect("a directory");
    let kubeconfig = limited(&namespace, "*", directory.path()).await;
    let scope = ["--watch-namespaces", &namespace, "--lease-namespace", &namespace];
    let mut operator = Operator::start(&kubeconfig, &scope);
    for controller in ["Store", "StoreNamespace", "RuntimeConfigSource"] {
        let failed = operator
            .logged(&format!("a failed watch of {controller}"), |entry| {
                let text = entry.to_string();
                assert!(!text.contains("Status {"), "a dump of fields: {text}");
                entry["controller"] == controller
            })
            .await;
        assert_eq!(failed["level"], "WARN", "{failed}");
        let said = failed["error"].as_str().expect("a sentence");
        assert!(said.contains("is forbidden: User \"limited\" cannot list resource"), "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_waits_for_its_first_list_ends_when_it_is_told() {
    ControlPlane::shared().apply_crds().await.expect("definitions");
    let namespace = namespace().await;
    let directory = tempfile::tempdir().expect("a directory");
    let kubeconfig = limited(&namespace, "stores", directory.path()).await;
    let scope = ["--watch-namespaces", &namespace, "--lease-namespace", &namespace];
    let mut operator = Operator::start(&kubeconfig, &scope);
    operator
        .logged("a list that never comes", |entry| entry["controller"] == "RuntimeConfigSource")
        .await;
    let mut child = operator.unread();
    terminate(&child);
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").expect("so");
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn without_a_cluster_or_with_wrong_flags_it_says_what_to_do() {
    let run = async |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_stowage-operator"))
            .args(arguments)
            .env("KUBECONFIG", "/does/not/exist")
            .output()
            .await
            .expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run(&["run", "--sidecar-image", "a", "--sync-image", "b"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("name a kubeconfig in KUBECONFIG"), "{text}");
    let (code, text) = run(&["run"]).await;
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("--sidecar-image"), "{text}");
}
