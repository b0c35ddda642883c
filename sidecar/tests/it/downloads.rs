//! Archives that are fetched at once: so many in all, and half of them by one client, however it asks and
//! whether it takes any of what it gets.

use super::harness::{ADMIN, eventually};
use super::process::Place;
use super::raw::{Request, get, head, put};
use super::stalled::Peer;

const TARGET: &str = "/artifacts/a/b";
const OTHER: &str = "other-0123456789abcdef";

/// A quarter of them is for downloads, half of that for one client.
const FILES: u32 = 256;
const ALL: usize = 64;
const OWN: usize = 32;

const ANY: (&str, &str) = ("Accept", "*/*");

fn by(token: &str, request: Request) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn who_takes_nothing_of_many_archives_leaves_places_and_files_to_others() {
    let place = Place::new();
    std::fs::write(place.path("tokens/other"), OTHER).expect("a file");
    place.configure("127.0.0.1:0", "127.0.0.1:0", "limits: {maxArtifactBytes: 64Mi}");
    let process = place.start_with_descriptors(FILES).await;
    let archive = vec![b'a'; 1 << 20];
    assert_eq!(by(ADMIN, put(TARGET, archive)).send(process.address).await.status, 201);

    // All on one connection, with windows of a byte.
    let mut greedy = Peer::connect(process.address, 1).await;
    let mut held = Vec::new();
    for number in 0..OWN {
        let answer = greedy.ask(TARGET, ADMIN, ANY).await;
        assert_eq!(answer.status(), 200, "download {number} of {OWN}");
        held.push(answer);
    }
    let refused = greedy.ask(TARGET, ADMIN, ANY).await;
    assert_eq!(refused.status(), 429, "it has half of all");
    assert!(refused.headers().contains_key("retry-after"));
    let answer = by(ADMIN, head(TARGET)).send(process.address).await;
    assert_eq!(answer.status, 200, "HEAD holds no file");
    assert_eq!(by(ADMIN, put("/", "{}")).send(process.address).await.status, 200);

    let mut other = Peer::connect(process.address, 1).await;
    for number in OWN..ALL {
        let answer = other.ask(TARGET, OTHER, ANY).await;
        assert_eq!(answer.status(), 200, "download {number} of {ALL}");
        held.push(answer);
    }
    let mut third = Peer::connect(process.address, 1).await;
    let refused = third.ask(TARGET, OTHER, ANY).await;
    assert_eq!(refused.status(), 503, "all are taken");
    assert_eq!(by(OTHER, put("/", "{}")).send(process.address).await.status, 200, "writes go on");

    drop((held, greedy, other));
    eventually("places are given back", async || {
        let answer = by(ADMIN, get(TARGET)).send(process.address).await;
        (answer.status == 200).then_some(())
    })
    .await;
}
