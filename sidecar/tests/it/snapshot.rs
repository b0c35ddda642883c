//! `snapshot` and `restore` as processes, beside a server that takes writes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::harness::{ADMIN, eventually};
use super::process::{Place, Process, sidecar};
use super::raw::{Answer, PATIENCE, delete, get, put};

/// More than a pipe holds, so that a snapshot stands still until somebody reads it.
const LARGE: usize = 1 << 20;

fn document(number: u64) -> serde_json::Value {
    serde_json::json!({"n": number, "padding": "x".repeat(500), "end": number})
}

async fn read(address: SocketAddr, path: &str) -> Answer {
    get(path).header("Authorization", &format!("Bearer {ADMIN}")).send(address).await
}

async fn write(address: SocketAddr, path: &str, body: &str) -> Answer {
    let written =
        put(path, body).header("Authorization", &format!("Bearer {ADMIN}")).send(address).await;
    assert_eq!(written.status, 200, "PUT {path}: {}", written.text());
    written
}

/// What a writer has done so far: one number after the other.
#[derive(Default)]
struct Written {
    attempted: AtomicU64,
    acknowledged: AtomicU64,
    tags: Mutex<HashMap<u64, String>>,
}

/// Writers of documents and of namespaces, one on each.
struct Load {
    written: Vec<Arc<Written>>,
    ends: Arc<AtomicBool>,
    writers: JoinSet<()>,
}

fn place_of(writer: usize) -> String {
    if writer.is_multiple_of(2) {
        format!("/run-stores/w{writer}")
    } else {
        format!("/api/storage?ns=w{writer}")
    }
}

impl Load {
    fn start(address: SocketAddr, writers: usize) -> Self {
        let mut load = Self { written: Vec::new(), ends: Arc::default(), writers: JoinSet::new() };
        let client = Client::new();
        for writer in 0..writers {
            let written = Arc::new(Written::default());
            load.written.push(Arc::clone(&written));
            let (client, ends) = (client.clone(), Arc::clone(&load.ends));
            load.writers.spawn(async move {
                while !ends.load(Ordering::Relaxed) {
                    let number = written.attempted.fetch_add(1, Ordering::SeqCst) + 1;
                    let url = format!("http://{address}{}", place_of(writer));
                    let request = if writer.is_multiple_of(2) {
                        client.put(url).json(&document(number))
                    } else {
                        let set =
                            serde_json::json!([{"op": "set", "key": "n", "value": document(number)}]);
                        let patch = client.patch(url).header("If-Match", "*");
                        patch.header("X-Thesara-App-Id", "snapshot").json(&set)
                    };
                    let answer = request.bearer_auth(ADMIN).send().await.expect("an answer");
                    assert!(answer.status().is_success(), "{number}: {}", answer.status());
                    let tag = answer.headers()["etag"].to_str().expect("a tag").to_owned();
                    written.tags.lock().expect("tags").insert(number, tag);
                    written.acknowledged.store(number, Ordering::SeqCst);
                }
            });
        }
        load
    }

    fn acknowledged(&self) -> Vec<u64> {
        self.written.iter().map(|it| it.acknowledged.load(Ordering::SeqCst)).collect()
    }

    fn attempted(&self) -> Vec<u64> {
        self.written.iter().map(|it| it.attempted.load(Ordering::SeqCst)).collect()
    }

    /// Waits until each has written so many more.
    async fn goes_on(&self, by: u64) {
        let before = self.acknowledged();
        eventually("every writer writes on", async || {
            let is_past = |(now, before): (u64, &u64)| now >= before + by;
            self.acknowledged().into_iter().zip(&before).all(is_past).then_some(())
        })
        .await;
    }

    async fn end(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        while let Some(ended) = self.writers.join_next().await {
            ended.expect("a writer ends well");
        }
    }
}

/// `snapshot` of a place's data to a pipe.
fn snapshot(place: &Place) -> Child {
    sidecar(&["snapshot"]).arg(place.path("data")).spawn().expect("it starts")
}

/// Waits until a snapshot that nobody reads stands still in the middle of the tree: the server
/// keeps its journal, and what was copied has filled the pipe.
async fn stands_still(process: &Process, snapshot: &mut Child, nth: usize) -> Vec<u8> {
    eventually("the server keeps its journal", async || {
        let log = process.log();
        (log.matches("a snapshot is being taken").count() >= nth).then_some(())
    })
    .await;
    // Its first bytes are there once it copies; a megabyte is ahead of it.
    let mut first = vec![0; 4096];
    let out = snapshot.stdout.as_mut().expect("a pipe");
    tokio::time::timeout(PATIENCE, out.read_exact(&mut first))
        .await
        .expect("it begins in time")
        .expect("bytes");
    first
}

/// Reads it to its end.
async fn rest(snapshot: Child, mut stream: Vec<u8>) -> (Vec<u8>, Output) {
    let mut snapshot = snapshot;
    let mut out = snapshot.stdout.take().expect("a pipe");
    let read = async {
        out.read_to_end(&mut stream).await.expect("a stream");
        snapshot.wait_with_output().await.expect("it ends")
    };
    let output = tokio::time::timeout(PATIENCE, read).await.expect("it ends in time");
    (stream, output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `restore` on these bytes.
async fn restore(directory: &Path, stream: &[u8]) -> Output {
    let mut restore =
        sidecar(&["restore"]).arg(directory).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut input = restore.stdin.take().expect("a pipe");
    let stream = stream.to_vec();
    let fed = tokio::spawn(async move {
        // One that refuses does not read on.
        let _ = input.write_all(&stream).await;
    });
    let output = tokio::time::timeout(PATIENCE, restore.wait_with_output());
    let output = output.await.expect("it ends in time").expect("it ends");
    fed.await.expect("it is fed");
    output
}

async fn run(mut command: Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.expect("in time").expect("it runs")
}

/// A place with a large document, and its server.
async fn served() -> (Place, Process) {
    let place = Place::new();
    let process = place.start().await;
    write(process.address, "/run-stores/large", &format!("\"{}\"", "x".repeat(LARGE))).await;
    write(process.address, &format!("/run-stores/{}", "long".repeat(24)), "1").await;
    // It is copied from the tree, not from the journal.
    eventually("the large document is in the tree", async || {
        place.path("data/run-stores/large.json").exists().then_some(())
    })
    .await;
    (place, process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_under_load_is_restored_as_of_one_moment() {
    let (place, process) = served().await;
    let address = process.address;
    let large = read(address, "/run-stores/large").await.etag();
    let mut load = Load::start(address, 4);
    load.goes_on(5).await;
    let mut taken = snapshot(&place);
    let begun = stands_still(&process, &mut taken, 1).await;
    load.goes_on(20).await;
    let least = load.acknowledged();
    let (stream, output) = rest(taken, begun).await;
    let most = load.attempted();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("as of sequence"), "{}", said(&output));
    load.goes_on(5).await;
    load.end().await;

    let restored = Place::new();
    let output = restore(&restored.path("data"), &stream).await;
    assert!(output.status.success(), "{}", said(&output));
    let by_hand = Place::new();
    std::fs::create_dir(by_hand.path("data")).expect("a directory");
    std::fs::write(by_hand.path("a.tar"), &stream).expect("a file");
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(by_hand.path("a.tar")).arg("-C").arg(by_hand.path("data"));
    let output = run(tar).await;
    assert!(output.status.success(), "{}", said(&output));
    let mut found = Vec::new();
    for place in [&restored, &by_hand] {
        let process = place.start().await;
        assert_eq!(read(process.address, "/run-stores/large").await.etag(), large);
        let mut numbers = Vec::new();
        for (writer, written) in load.written.iter().enumerate() {
            let stored = read(process.address, &place_of(writer)).await;
            assert_eq!(stored.status, 200, "writer {writer}: {}", stored.text());
            let value = stored.json();
            let value = if writer.is_multiple_of(2) { value } else { value["n"].clone() };
            let number = value["n"].as_u64().expect("a number");
            assert_eq!(value, document(number), "writer {writer}: it is whole");
            let (least, most) = (least[writer], most[writer]);
            assert!(
                (least..=most).contains(&number),
                "writer {writer}: {least} was acknowledged before, {most} attempted, {number} is there"
            );
            assert_eq!(stored.etag(), written.tags.lock().expect("tags")[&number]);
            numbers.push(number);
        }
        found.push(numbers);
        let (status, log) = process.terminate().await;
        assert!(status.success(), "{log}");
    }
    assert_eq!(found[0], found[1], "tar gives the same as `restore`");
}

#[tokio::test]
async fn every_archive_that_a_document_speaks_of_is_in_the_snapshot() {
    let place = Place::new();
    let process = place.start().await;
    let address = process.address;
    let archive = |build: &str| format!("/sites/a/artifacts/{build}");
    let publish = async |build: &str, content: &str| {
        let request = put(&archive(build), content);
        let published =
            request.header("Authorization", &format!("Bearer {ADMIN}")).send(address).await;
        assert_eq!(published.status, 201, "{build}: {}", published.text());
        published.etag()
    };
    let kept = publish("kept", "kept").await;
    publish("replaced", "before").await;
    publish("deleted", "deleted").await;
    // The copy stands still behind the directory of archives.
    std::fs::create_dir(place.path("data/sites/b")).expect("a directory");
    std::fs::write(place.path("data/sites/b/large"), vec![b'x'; LARGE]).expect("a file");
    let mut taken = snapshot(&place);
    let begun = stands_still(&process, &mut taken, 1).await;
    let new = publish("new", "new").await;
    let replaced = publish("replaced", "after").await;
    let deleted = delete(&archive("deleted"));
    let deleted = deleted.header("Authorization", &format!("Bearer {ADMIN}")).send(address).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    write(address, "/run-stores/last", "\"new\"").await;
    let (stream, output) = rest(taken, begun).await;
    assert!(output.status.success(), "{}", said(&output));

    let restored = Place::new();
    let output = restore(&restored.path("data"), &stream).await;
    assert!(output.status.success(), "{}", said(&output));
    let process = restored.start().await;
    let address = process.address;
    assert_eq!(read(address, "/run-stores/last").await.text(), "\"new\"");
    for (build, content, tag) in
        [("kept", "kept", kept), ("replaced", "after", replaced), ("new", "new", new)]
    {
        let found = read(address, &archive(build)).await;
        assert_eq!((found.status, found.text().as_str()), (200, content), "{build}");
        assert_eq!(found.etag(), tag, "{build}");
    }
    assert_eq!(read(address, &archive("deleted")).await.status, 404);
}

#[tokio::test]
async fn two_snapshots_at_once_are_both_complete() {
    let (place, process) = served().await;
    let (mut one, other) = (snapshot(&place), snapshot(&place));
    let begun = stands_still(&process, &mut one, 2).await;
    for (name, child, begun) in [("other", other, Vec::new()), ("one", one, begun)] {
        let (stream, output) = rest(child, begun).await;
        assert!(output.status.success(), "{}", said(&output));
        let output = restore(&place.path(name), &stream).await;
        assert!(output.status.success(), "{}", said(&output));
    }
}

/// What a start says that must not serve.
async fn refused_start(place: &Place) {
    let output = place.serve_refused().await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("holds a part of a snapshot") && text.contains("Empty"), "{text}");
}

#[tokio::test]
async fn a_server_that_dies_meanwhile_fails_the_snapshot() {
    let (place, process) = served().await;
    let mut taken = snapshot(&place);
    let begun = stands_still(&process, &mut taken, 1).await;
    process.kill().await;
    let (stream, output) = rest(taken, begun).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the server has gone"), "{}", said(&output));

    let restored = Place::new();
    let output = restore(&restored.path("data"), &stream).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("cut"), "{}", said(&output));
    refused_start(&restored).await;
    for command in ["verify", "snapshot"] {
        let mut command = sidecar(&[command]);
        command.arg(restored.path("data"));
        let output = run(command).await;
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("holds a part of a snapshot"), "{}", said(&output));
    }
}

#[tokio::test]
async fn a_restore_that_was_killed_is_not_served_and_is_done_again() {
    let (place, process) = served().await;
    let tag = read(process.address, "/run-stores/large").await.etag();
    let (stream, output) = rest(snapshot(&place), Vec::new()).await;
    assert!(output.status.success(), "{}", said(&output));
    let restored = Place::new();
    let data = restored.path("data");
    let mut half =
        sidecar(&["restore"]).arg(&data).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut input = half.stdin.take().expect("a pipe");
    input.write_all(&stream[..stream.len() / 2]).await.expect("it reads");
    input.flush().await.expect("it reads");
    eventually("it has begun", async || data.join("run-stores/large.json").exists().then_some(()))
        .await;
    half.kill().await.expect("it is there to be killed");
    refused_start(&restored).await;

    let output = restore(&data, &stream).await;
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("is not empty"), "{}", said(&output));
    std::fs::remove_dir_all(&data).expect("it is emptied");
    std::fs::create_dir_all(data.join("lost+found")).expect("a new file system has one");
    let output = restore(&data, &stream).await;
    assert!(output.status.success(), "{}", said(&output));
    let process = restored.start().await;
    assert_eq!(read(process.address, "/run-stores/large").await.etag(), tag);
}

#[tokio::test]
async fn a_directory_that_nobody_serves_is_copied_and_left_as_it_is() {
    let place = Place::new();
    let process = place.start().await;
    let tag = write(process.address, "/", "[1]").await.etag();
    process.kill().await;
    std::fs::write(place.path("data/notes.txt"), "by hand").expect("a file");
    symlink("notes.txt", place.path("data/link")).expect("a link");
    let journal = place.path("data/.stowage/journal/00000000000000000001.journal");
    let before = std::fs::read(&journal).expect("a journal");

    let mut taken = sidecar(&["snapshot"]);
    taken.arg(place.path("data")).arg("--to").arg(place.path("2.tar"));
    let output = run(taken).await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(r#"left out, since no store serves it: "link""#));
    assert!(before == std::fs::read(&journal).expect("a journal"), "it is as it was");
    let left: Vec<_> = std::fs::read_dir(place.dir.path()).expect("a directory").collect();
    assert_eq!(left.len(), 5, "no temporary file is left: {left:?}");

    let restored = Place::new();
    let mut restore = sidecar(&["restore"]);
    restore.arg(restored.path("data")).arg("--from").arg(place.path("2.tar"));
    let output = run(restore).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(std::fs::read(restored.path("data/notes.txt")).expect("a file"), b"by hand");
    let process = restored.start().await;
    assert_eq!(read(process.address, "/").await.etag(), tag);
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_and_nothing_is_overwritten() {
    let (place, _process) = served().await;
    std::fs::create_dir(place.path("empty")).expect("a directory");
    std::fs::write(place.path("kept.tar"), "kept").expect("a file");
    std::fs::write(place.path("text"), "x".repeat(10_000)).expect("a file");
    let path = |name: &str| place.path(name).display().to_string();
    let table: &[(&[&str], i32, &str)] = &[
        (&["snapshot"], 64, "<DIR>"),
        (&["snapshot", &path("none")], 64, "holds no store"),
        (&["snapshot", &path("empty")], 64, "holds no store"),
        (&["snapshot", &path("data"), "--to", &path("kept.tar")], 64, "exists already"),
        (&["snapshot", &path("data"), "--to", &path("data/a.tar")], 64, "outside"),
        (&["snapshot", &path("data"), "--to", &path("none/a.tar")], 1, "none/a.tar"),
        (&["restore", &path("new"), "--from", &path("none.tar")], 64, "is not there"),
        (&["restore", &path("new"), "--from", &path("text")], 64, "no snapshot"),
        (&["restore", &path("new"), "--from", &path("kept.tar")], 64, "no snapshot"),
    ];
    for (arguments, code, part) in table {
        let output = run(sidecar(arguments)).await;
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(part), "{arguments:?}: {} lacks {part:?}", said(&output));
    }
    assert_eq!(std::fs::read_to_string(place.path("kept.tar")).expect("a file"), "kept");
    assert!(!place.path("new").exists(), "what is no snapshot changes nothing");

    let (stream, _) = rest(snapshot(&place), Vec::new()).await;
    for full in ["data", "tokens"] {
        let output = restore(&place.path(full), &stream).await;
        assert_eq!(output.status.code(), Some(64), "{full}: {}", said(&output));
        assert!(said(&output).contains("is not empty"), "{full}: {}", said(&output));
    }
    assert_eq!(std::fs::read_dir(place.path("tokens")).expect("a directory").count(), 1);
}

#[tokio::test]
async fn a_full_disk_fails_the_snapshot_and_leaves_no_file() {
    let (place, _process) = served().await;
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let mut taken = sidecar(&["snapshot"]);
    let taken = taken.arg(place.path("data")).stdout(full).spawn().expect("it starts");
    let output = tokio::time::timeout(PATIENCE, taken.wait_with_output());
    let output = output.await.expect("it ends in time").expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("No space left on device"), "{}", said(&output));

    std::fs::create_dir(place.path("small")).expect("a directory");
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    // 3 is what neither program ends with.
    let script = r#"mount -t tmpfs -o size=256k test "$2" || exit 3
        "$0" snapshot "$1" --to "$2/a.tar"; code=$?
        test -z "$(ls -A "$2")" || exit 3
        exit $code"#;
    unshare
        .args(["--mount", "--", "sh", "-c", script, env!("CARGO_BIN_EXE_stowage-sidecar")])
        .arg(place.path("data"))
        .arg(place.path("small"));
    let output = run(unshare).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("No space left on device"), "{}", said(&output));
}
