//! Streams that go on from the history: what is told there may be long, and a client that comes back
//! and reads nothing, or little, costs no more than any other.

use super::events::Events;
use super::harness::{ADMIN, Server, Setup};
use super::process::Place;
use super::raw::{Connection, Request, get, patch, put};
use super::watch::resident_bytes;

/// The connections that read nothing; each has one of the documents.
const READERS: usize = 100;
const DOCUMENTS: usize = 50;
/// How many versions of each of them are written.
const VERSIONS: usize = 3;
const BODY_BYTES: usize = 4 << 20;

const CART: &str = "/api/storage?ns=cart";
const SET: &str = "/runtimes/team%2Fetl/main";

fn by(request: Request) -> Request {
    request.header("Authorization", &format!("Bearer {ADMIN}"))
}

/// A document of so many bytes.
fn text(letter: usize, length: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(letter % 26).expect("a letter"));
    format!("\"{}\"", String::from(letter).repeat(length))
}

/// Writes a document anew so many times; gives the id of the first version.
async fn written(writer: &mut Connection, target: &str) -> String {
    let mut first = None;
    for version in 0..VERSIONS {
        writer.send(&by(put(target, text(version, BODY_BYTES))).bytes()).await;
        let answer = writer.answer(false).await.expect("an answer");
        assert_eq!(answer.status, 200, "{target}");
        first.get_or_insert(answer.etag());
    }
    first.expect("a version").trim_matches('"').to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_back_and_read_nothing_cost_no_memory_however_long_the_versions_are() {
    let place = Place::new();
    place.configure("127.0.0.1:0", "127.0.0.1:0", "history: 10");
    let process = place.start_quietly().await;
    let mut writer = Connection::open(process.address).await;
    // All that the store keeps in memory for itself is full by then.
    for document in 0..DOCUMENTS / 3 {
        written(&mut writer, &format!("/run-stores/before-{document}")).await;
    }
    let before = resident_bytes(process.pid());
    let mut silent = Vec::new();
    for document in 0..DOCUMENTS {
        let target = format!("/run-stores/{document}");
        let first = written(&mut writer, &target).await;
        for _ in 0..READERS / DOCUMENTS {
            let mut connection = Connection::open(process.address).await;
            let request =
                get(&target).header("Accept", "text/event-stream").header("Last-Event-ID", &first);
            connection.send(&by(request).bytes()).await;
            assert_eq!(connection.head().await.expect("a head").status, 200);
            silent.push(connection);
        }
    }
    // Those that come last have their first pieces by now, and so have the others.
    let last = format!("/run-stores/{}", DOCUMENTS - 1);
    written(&mut writer, &last).await;
    let growth = resident_bytes(process.pid()).saturating_sub(before);
    // Some of it is what the store and the allocator had not come to before.
    let allowed = 64 << 20;
    let missed = (VERSIONS - 1) * BODY_BYTES;
    assert!(
        growth < allowed,
        "{READERS} clients that missed {missed} bytes each take {growth} bytes, expected less than \
         {allowed}"
    );
    drop(silent);
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_the_past_more_slowly_than_changes_come_is_closed() {
    const PAST: usize = 300;
    /// More than the ring of changes holds.
    const MEANWHILE: usize = 100;
    const BYTES: usize = 64 << 10;
    let server = Setup::default().history(1_000).start().await;
    let write = async |count: usize| {
        let mut first = None;
        for version in 0..count {
            let answer = server.send(&put("/", text(version, BYTES))).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            first.get_or_insert(answer.etag());
        }
        first.expect("a version").trim_matches('"').to_owned()
    };
    let first = write(PAST).await;
    let mut silent = Connection::open(server.address).await;
    let request = get("/").header("Accept", "text/event-stream").header("Last-Event-ID", &first);
    silent.send(&request.bytes()).await;
    assert_eq!(silent.head().await.expect("a head").status, 200);
    write(MEANWHILE).await;
    let told = silent.rest_of_chunks().await;
    assert!(
        told < (PAST - 1) * BYTES,
        "it was told {told} bytes: all of the past, though as much as a watch may miss came meanwhile"
    );
    // One that reads is told everything.
    let mut events =
        Events::open_with(&server.url("/"), &[("Last-Event-ID", first.as_str())]).await;
    for place in 1..PAST + MEANWHILE {
        let event = events.expect().await;
        let version = if place < PAST { place } else { place - PAST };
        assert_eq!((event.name.as_str(), event.data.len()), ("change", BYTES + 2), "{place}");
        assert!(event.data == text(version, BYTES), "the change {place} is another one");
    }
}

async fn sent(server: &Server, request: Request) -> String {
    let answer = server.send(&request).await;
    assert!((200..300).contains(&answer.status), "{}: {}", answer.status, answer.text());
    answer.header("etag").expect("a tag").trim_matches('"').to_owned()
}

#[tokio::test]
async fn what_is_long_in_the_past_comes_whole() {
    for length in [60_000, 70_000, 1 << 20] {
        let server = Setup::default().history(10).start().await;
        let mut documents = Vec::new();
        for version in 0..4 {
            let value = text(version, length);
            let id = sent(&server, put("/", &value)).await;
            documents.push((id, value.clone()));
            let operations = format!(r#"[{{"op":"set","key":"k","value":{value}}}]"#);
            sent(&server, patch(CART, &version.to_string(), operations)).await;
            let files = format!(r#"{{"filepath":"a","config":{{"a":{value}}}}}"#);
            let set = format!(r#"{{"revision":"c{version}","files":[{files}]}}"#);
            sent(&server, put(SET, set)).await;
        }
        let open = async |target: &str, id: &str| {
            Events::open_with(&server.url(target), &[("Last-Event-ID", id)]).await
        };
        let mut events = open("/", &documents[0].0).await;
        for (id, value) in &documents[1..] {
            let event = events.expect().await;
            assert_eq!((event.name.as_str(), event.id.as_deref()), ("change", Some(&**id)));
            assert!(event.data == *value, "{length}: {} bytes came", event.data.len());
        }
        let mut events = open(CART, "1").await;
        for version in 2..=4 {
            let value = text(version - 1, length);
            let told = format!(
                r#"{{"version":"{version}","ops":[{{"op":"set","key":"k","value":{value}}}]}}"#
            );
            let event = events.expect().await;
            assert_eq!(event.id.as_deref(), Some(&*version.to_string()));
            assert!(event.data == told, "{length}: {} bytes came", event.data.len());
        }
        let sets = server.send(&get(&format!("{SET}?history=true"))).await.json();
        let sets = sets.as_array().expect("a list");
        assert_eq!(sets.len(), 4);
        let seen = sets[3]["version"].as_str().expect("a version");
        let mut events = open(SET, seen).await;
        for version in 1..4 {
            let event = events.expect().await;
            let id = sets[3 - version]["version"].as_str();
            assert_eq!((event.name.as_str(), event.id.as_deref()), ("change", id));
            let value = &event.json()[0]["config"]["a"];
            let value = value.as_str().expect("a text");
            assert!(text(version, length)[1..=length] == *value, "{length}");
        }
    }
}
