//! The API server that tests of controllers use: it is there in seconds, it is a real one, and
//! nothing is left of it whichever way its starter ends.

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use stowage_e2e::ControlPlane;
use support::{processes_naming, wait_for};

/// `stowage-cluster control-plane`, ready.
struct Running {
    process: Child,
    directory: PathBuf,
}

impl Running {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stowage-cluster"))
            .arg("control-plane")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("stowage-cluster starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line on standard output");
        let ready: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let kubeconfig = Path::new(ready["kubeconfig"].as_str().expect("a path")).to_owned();
        let directory = kubeconfig.parent().expect("a directory").to_owned();
        let running = Self { process, directory };
        assert_eq!(running.programs().len(), 2, "an API server and etcd: {:?}", running.programs());
        running
    }

    /// The API server and etcd, without the guards, whose command lines name them too.
    fn programs(&self) -> Vec<(i32, String)> {
        let mut processes = processes_naming(self.directory.to_str().expect("UTF-8"));
        processes.retain(|(_, line)| !line.starts_with("sh "));
        processes
    }

    fn guards(&self) -> Vec<i32> {
        let guards = processes_naming(self.directory.to_str().expect("UTF-8"));
        guards.into_iter().filter(|(_, line)| line.starts_with("sh ")).map(|(pid, _)| pid).collect()
    }
}

/// Waits until no process names `directory` and it is gone.
///
/// # Panics
/// Where something is left, with what it is.
fn assert_nothing_is_left_of(directory: &Path) {
    let name = directory.to_str().expect("a path in UTF-8");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let processes = processes_naming(name);
        if processes.is_empty() && !directory.exists() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "left: the directory {name} ({}), processes {processes:?}",
            directory.exists()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn send(signal: &str, pid: i32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill {signal} {pid}: {status}");
}

fn pid(process: &Child) -> i32 {
    i32::try_from(process.id()).expect("a process id")
}

#[test]
fn it_ends_when_standard_input_does() {
    let mut running = Running::start();
    drop(running.process.stdin.take());
    let status = running.process.wait().expect("it ends");
    assert!(status.success(), "{status}");
    assert_nothing_is_left_of(&running.directory);
}

#[test]
fn it_ends_on_a_signal() {
    for signal in ["-TERM", "-INT"] {
        let mut running = Running::start();
        send(signal, pid(&running.process));
        let status = running.process.wait().expect("it ends");
        assert!(status.success(), "{signal}: {status}");
        assert_nothing_is_left_of(&running.directory);
    }
}

#[test]
fn nothing_is_left_when_the_starter_is_killed() {
    let mut running = Running::start();
    send("-KILL", pid(&running.process));
    let status = running.process.wait().expect("it ends");
    assert_eq!(status.signal(), Some(9), "{status}");
    assert_nothing_is_left_of(&running.directory);
}

#[test]
fn nothing_is_left_when_the_guards_are_killed() {
    let mut running = Running::start();
    for guard in running.guards() {
        // A guard's reader ends by itself where the guard took it along.
        let _ = Command::new("kill").args(["-KILL", &guard.to_string()]).status();
    }
    wait_for("the API server and etcd die with their guards", Duration::from_secs(10), || {
        running.programs().is_empty().then_some(())
    });
    drop(running.process.stdin.take());
    running.process.wait().expect("it ends");
    assert_nothing_is_left_of(&running.directory);
}

#[tokio::test]
async fn it_is_a_real_one_and_there_in_seconds() {
    let asked = Instant::now();
    let config = ControlPlane::shared().config();
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(60), "it took {took:?}");
    let version =
        Client::try_from(config).expect("a client").apiserver_version().await.expect("a version");
    assert!(version.git_version.starts_with("v1."), "it says {}", version.git_version);
    assert_eq!(version.major, "1", "Helm compares it with a chart's kubeVersion");
}

#[tokio::test]
async fn a_wrong_resource_is_refused_with_its_sentence() {
    let cluster = ControlPlane::shared();
    cluster.apply_crds().await.expect("the definitions apply");
    cluster.apply_crds().await.expect("a second time too");
    let namespace = cluster.namespace("refused").await.expect("a namespace");
    let client = Client::try_from(cluster.config()).expect("a client");
    let kind = kube::api::ApiResource::erase::<stowage_crds::Store>(&());
    let stores: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &kind);
    let store = |spec: serde_json::Value| -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "stowage.dev/v1alpha1",
            "kind": "Store",
            "metadata": {"name": "demo"},
            "spec": spec,
        }))
        .expect("an object")
    };
    let good = store(json!({"backend": {"volume": {"size": "1Gi"}}}));
    stores.create(&PostParams::default(), &good).await.expect("a right one is taken");

    let mut wrong = store(json!({"backend": {}}));
    wrong.meta_mut().name = Some("wrong".to_owned());
    let error = stores.create(&PostParams::default(), &wrong).await.expect_err("no backend");
    let sentence = "set exactly one backend, such as volume: {size: 10Gi}";
    assert!(error.to_string().contains(sentence), "it said: {error}");
}

#[tokio::test]
async fn a_user_that_is_acted_as_has_that_users_rights() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("acts-as").await.expect("a namespace");
    let user = format!("system:serviceaccount:{namespace}:reader");
    let secrets: Api<Secret> =
        Api::namespaced(Client::try_from(cluster.config_as(&user)).expect("a client"), &namespace);
    let refused = secrets.list(&ListParams::default()).await.expect_err("it has no rights yet");
    assert!(refused.to_string().contains(&user), "it said: {refused}");

    let admin = Client::try_from(cluster.config()).expect("a client");
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}],
    }))
    .expect("a role");
    // Bound to the group of the namespace's service accounts: that the groups come along too.
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Group",
            "name": format!("system:serviceaccounts:{namespace}"),
        }],
    }))
    .expect("a binding");
    let post = PostParams::default();
    Api::namespaced(admin.clone(), &namespace).create(&post, &role).await.expect("a role");
    Api::namespaced(admin, &namespace).create(&post, &binding).await.expect("a binding");
    let deadline = Instant::now() + Duration::from_secs(20);
    // The authoriser learns of a binding by a watch.
    while let Err(error) = secrets.list(&ListParams::default()).await {
        assert!(Instant::now() < deadline, "still refused: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
