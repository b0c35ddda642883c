//! Who leads: candidates for one Lease.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use stowage_operator::process::{Candidate, Spans};
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, client, namespace};

/// Short, so that tests need not wait; in the same proportions as the real ones.
const SPANS: Spans = Spans {
    lease: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    retry: Duration::from_millis(200),
};

fn candidate(namespace: &str, identity: &str) -> Candidate {
    Candidate::new(client(), namespace, "operator", identity, SPANS)
}

async fn holder(namespace: &str) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(client(), namespace);
    leases.get("operator").await.expect("a Lease").spec?.holder_identity
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
