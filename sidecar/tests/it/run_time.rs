//! Contract 3, `updatedAt` of a run: it is set to now, where the write has its turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::failing::Failing;
use super::harness::{Setup, eventually};
use super::jobs::RUN;
use super::raw::{Answer, get, put};

/// Of two at once, the time of whoever comes last is the later one, whoever has asked first.
#[tokio::test]
async fn the_time_of_a_run_never_goes_back() {
    let store = Arc::new(Failing::default());
    let server = Setup::default().store(store.clone()).start().await;
    let body = r#"{"jobId":"j","runId":"r","updatedAt":1}"#;
    assert_eq!(server.send(&put(RUN, body)).await.status, 201);
    store.holds.store(true, Ordering::Relaxed);
    let (address, request) = (server.address, put(RUN, body));
    let first = tokio::spawn(async move { request.send(address).await });
    let is_held = async || (!store.holds.load(Ordering::Relaxed)).then_some(());
    eventually("the first one has come to the store", is_held).await;

    let asked = Timestamp::now().as_millisecond();
    let clock = async || (Timestamp::now().as_millisecond() > asked + 1).then_some(());
    eventually("the clock goes on", clock).await;
    let second = server.send(&put(RUN, body)).await;
    store.goes_on.notify_one();
    let first = first.await.expect("no panic");
    let time = |answer: &Answer| answer.json()["updatedAt"].as_i64().expect("a time");
    let (second, first) = (time(&second), time(&first));
    assert!(first >= second, "{first} was written after {second}");
    assert_eq!(server.send(&get(RUN)).await.json()["updatedAt"], first);
}
