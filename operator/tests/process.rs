//! The process around the controllers, on a real API server: who leads, what probes say, how the
//! binary ends.

use std::process::Stdio;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use stowage_e2e::ControlPlane;
use stowage_operator::process::{Candidate, Spans};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

/// Short, so that tests need not wait; in the same proportions as the real ones.
const SPANS: Spans = Spans {
    lease: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    retry: Duration::from_millis(200),
};

fn client() -> Client {
    Client::try_from(ControlPlane::shared().config()).expect("a client")
}

async fn namespace() -> String {
    ControlPlane::shared().namespace("process").await.expect("a namespace")
}

fn candidate(namespace: &str, identity: &str) -> Candidate {
    Candidate::new(client(), namespace, "operator", identity, SPANS)
}

async fn holder(namespace: &str) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(client(), namespace);
    leases.get("operator").await.expect("a Lease").spec?.holder_identity
}

async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_candidates_one_leads_and_the_next_follows_a_release_at_once() {
    let namespace = namespace().await;
    let end = CancellationToken::new();
    let (won, mut winners) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..8 {
        let (namespace, end, won) = (namespace.clone(), end.clone(), won.clone());
        tokio::spawn(async move {
            let mut candidate = candidate(&namespace, &format!("candidate-{number}"));
            if candidate.acquire(&end).await {
                won.send((number, candidate)).expect("the test listens");
            }
        });
    }
    let (first, mut leader) = winners.recv().await.expect("one wins");
    let stop = CancellationToken::new();
    let held = tokio::spawn({
        let stop = stop.clone();
        async move {
            let held = leader.hold(&stop).await;
            (held, leader)
        }
    });
    // Over more than one span of the Lease: while the leader renews, nobody else wins.
    let other = tokio::time::timeout(SPANS.lease * 2, winners.recv()).await;
    assert!(other.is_err(), "two lead: {first} and {:?}", other.map(|o| o.map(|o| o.0)));
    assert_eq!(holder(&namespace).await, Some(format!("candidate-{first}")));

    stop.cancel();
    let (result, mut leader) = held.await.expect("no panic");
    result.expect("it held until it was stopped");
    let released = Instant::now();
    leader.release().await;
    let (second, _) = winners.recv().await.expect("another one follows");
    assert_ne!(first, second);
    assert!(
        released.elapsed() < SPANS.lease,
        "a released Lease is taken before its span is over, not after {:?}",
        released.elapsed()
    );
    end.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_vanished_is_followed_when_its_span_is_over() {
    let namespace = namespace().await;
    let end = CancellationToken::new();
    let mut vanished = candidate(&namespace, "vanished");
    let started = Instant::now();
    assert!(vanished.acquire(&end).await);
    drop(vanished);
    assert!(candidate(&namespace, "next").acquire(&end).await);
    assert!(started.elapsed() >= SPANS.lease, "it waited for the span: {:?}", started.elapsed());
    assert_eq!(holder(&namespace).await.as_deref(), Some("next"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_lease_was_taken_stops_and_does_not_take_it_back() {
    let namespace = namespace().await;
    let end = CancellationToken::new();
    let mut leader = candidate(&namespace, "leader");
    assert!(leader.acquire(&end).await);
    let leases: Api<Lease> = Api::namespaced(client(), &namespace);
    let thief = serde_json::json!({"spec": {"holderIdentity": "thief"}});
    leases
        .patch("operator", &PatchParams::default(), &Patch::Merge(thief))
        .await
        .expect("it is taken");
    let lost = tokio::time::timeout(PATIENCE, leader.hold(&end)).await.expect("it notices");
    let sentence = lost.expect_err("it is lost").to_string();
    assert!(sentence.contains("was taken by thief"), "{sentence}");
    leader.release().await;
    assert_eq!(holder(&namespace).await.as_deref(), Some("thief"), "it was not its to release");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_lease_that_is_still_ours_is_no_reason_to_stop() {
    let namespace = namespace().await;
    let end = CancellationToken::new();
    let mut leader = candidate(&namespace, "leader");
    assert!(leader.acquire(&end).await);
    let stop = CancellationToken::new();
    let held = tokio::spawn({
        let stop = stop.clone();
        async move { leader.hold(&stop).await }
    });
    let leases: Api<Lease> = Api::namespaced(client(), &namespace);
    for number in 0..20 {
        let note = serde_json::json!({"metadata": {"annotations": {"note": number.to_string()}}});
        leases
            .patch("operator", &PatchParams::default(), &Patch::Merge(note))
            .await
            .expect("an edit");
    }
    stop.cancel();
    held.await.expect("no panic").expect("it goes on leading");
}

/// The binary, and the address of its probes.
async fn operator(namespace: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stowage-operator"))
        .args(["run", "--sidecar-image", "sidecar", "--sync-image", "sync"])
        .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
        .args(["--watch-namespaces", namespace, "--lease-namespace", namespace])
        .env("KUBECONFIG", ControlPlane::shared().kubeconfig())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let listen = tokio::time::timeout(PATIENCE, async {
        loop {
            let line = lines.next_line().await.expect("a log").expect("it has not ended");
            let entry: serde_json::Value = serde_json::from_str(&line).expect("a JSON log");
            if entry["message"] == "started" {
                return entry["listen"].as_str().expect("its address").to_owned();
            }
        }
    });
    let listen = listen.await.expect("it starts in time");
    // Whoever reads no log stops the writer one day.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, format!("http://{listen}"))
}

async fn get(url: &str) -> Option<(u16, String)> {
    let answer = reqwest::get(url).await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_gets_ready_is_verified_and_ends_with_0_having_released_its_lease() {
    ControlPlane::shared().apply_crds().await.expect("definitions");
    let namespace = namespace().await;
    let (mut child, url) = operator(&namespace).await;
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

    let pid = i32::try_from(child.id().expect("it runs")).expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
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
    let mut child = Command::new(env!("CARGO_BIN_EXE_stowage-operator"))
        .args(["run", "--sidecar-image", "sidecar", "--sync-image", "sync"])
        .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
        .env("KUBECONFIG", own.kubeconfig())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut next = async |message: &str| {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.expect("a log").expect("it has not ended");
                let entry: serde_json::Value = serde_json::from_str(&line).expect("a JSON log");
                if entry["message"] == message {
                    return entry;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("waited in vain for {message:?} in the log"))
    };
    let url = format!("http://{}/readyz", next("started").await["listen"].as_str().expect("it"));
    let why = next("waiting").await["why"].as_str().expect("a reason").to_owned();
    assert!(why.contains("install the CustomResourceDefinitions"), "{why}");
    let (status, text) = get(&url).await.expect("an answer");
    assert!(status == 503 && text.contains("CustomResourceDefinitions"), "{status} {text}");
    own.apply_crds().await.expect("definitions");
    next("leading").await;
    eventually("it is ready", async || get(&url).await.filter(|answer| answer.0 == 200)).await;
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
