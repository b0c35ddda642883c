//! SIGKILL in the middle of writes, 50 times: nothing that was acknowledged is missing, and
//! nothing is half there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Client;
use tokio::task::JoinSet;

use super::harness::{ADMIN, eventually};
use super::process::Place;
use super::raw::get;

const KILLS: u64 = 50;
const WRITERS: usize = 4;
/// Long enough that half of it would show.
const PADDING: usize = 2_000;

/// What a writer knows when its server is gone.
struct Written {
    /// The last number that was acknowledged.
    acknowledged: u64,
    /// The number whose answer did not come: it may be there or not.
    attempted: u64,
}

/// Half of the writers write documents, half of them namespaces.
fn is_document(writer: usize) -> bool {
    writer.is_multiple_of(2)
}

fn document(number: u64) -> serde_json::Value {
    serde_json::json!({"n": number, "padding": "x".repeat(PADDING), "end": number})
}

/// Writes one number after the other until the server is gone.
async fn write_until_gone(
    client: Client,
    address: SocketAddr,
    writer: usize,
    from: u64,
    acks: Arc<AtomicUsize>,
) -> (usize, Written) {
    let mut written = Written { acknowledged: from, attempted: from };
    loop {
        written.attempted += 1;
        let number = written.attempted;
        let request = if is_document(writer) {
            client.put(format!("http://{address}/run-stores/{writer}")).json(&document(number))
        } else {
            let operations = serde_json::json!([
                {"op": "set", "key": "doc", "value": document(number)},
                {"op": "set", "key": "n", "value": number},
            ]);
            client
                .patch(format!("http://{address}/api/storage?ns=w{writer}"))
                .header("If-Match", "*")
                .header("X-Thesara-App-Id", "kill")
                .json(&operations)
        };
        match request.bearer_auth(ADMIN).send().await {
            Ok(answer) => {
                let status = answer.status();
                assert!(status.is_success(), "writer {writer}, {number}: {status}");
                written.acknowledged = number;
                acks.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => return (writer, written),
        }
    }
}

async fn stored(address: SocketAddr, writer: usize) -> Option<u64> {
    let path = if is_document(writer) {
        format!("/run-stores/{writer}")
    } else {
        format!("/api/storage?ns=w{writer}")
    };
    let read = get(&path).header("Authorization", &format!("Bearer {ADMIN}")).send(address).await;
    if read.status == 404 {
        return None;
    }
    assert_eq!(read.status, 200, "writer {writer}: {}", read.text());
    let value = read.json();
    let found = if is_document(writer) {
        value
    } else if value == serde_json::json!({}) {
        return None;
    } else {
        assert_eq!(value["n"], value["doc"]["n"], "writer {writer}: half of a patch");
        value["doc"].clone()
    };
    let number = found["n"].as_u64().expect("a number");
    assert_eq!(found, document(number), "writer {writer}: half of a document");
    Some(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_nothing_acknowledged_and_leave_nothing_half() {
    let place = Place::new();
    let mut last: HashMap<usize, Written> = HashMap::new();
    let mut total = 0;
    for round in 0..=KILLS {
        let process = place.start().await;
        for writer in 0..WRITERS {
            let found = stored(process.address, writer).await.unwrap_or(0);
            let before = last.get(&writer);
            let (from, to) = before.map_or((0, 0), |w| (w.acknowledged, w.attempted));
            assert!(
                (from..=to).contains(&found),
                "kill {round}, writer {writer}: {from} was acknowledged, {to} attempted, and \
                 {found} is there"
            );
            last.insert(writer, Written { acknowledged: found, attempted: found });
        }
        if round == KILLS {
            break;
        }
        let client = Client::new();
        let acks = Arc::new(AtomicUsize::new(0));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let from = last[&writer].acknowledged;
            let acks = Arc::clone(&acks);
            writers.spawn(write_until_gone(client.clone(), process.address, writer, from, acks));
        }
        // Each kill comes at another point of the stream of writes.
        let wanted = 1 + usize::try_from(round * 7 % 23).expect("small");
        eventually("some writes are acknowledged", async || {
            (acks.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
        tokio::task::yield_now().await;
        process.kill().await;
        while let Some(ended) = writers.join_next().await {
            let (writer, written) = ended.expect("a writer ends well");
            last.insert(writer, written);
        }
        total += acks.load(Ordering::Relaxed);
    }
    assert!(total as u64 > KILLS, "the writers did write: {total}");
}
