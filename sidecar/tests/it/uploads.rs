//! Contract 5: archives as they stream in and out, and what breaks off on the way.

use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::harness::{ADMIN, Server, Setup, eventually};
use super::process::Place;
use super::raw::{Connection, Request, get, head, put};

const PATH: &str = "/sites/blog/artifacts/b-1";
const MI: usize = 1 << 20;

/// Bytes of one number, so that a reader can tell whose they are.
fn content(number: usize, length: usize) -> Vec<u8> {
    let mut bytes = format!("archive {number:08} ").into_bytes().repeat(length / 17 + 1);
    bytes.truncate(length);
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn admin(request: Request) -> Request {
    request.header("Authorization", &format!("Bearer {ADMIN}"))
}

/// Every file below a directory that begins with a text.
fn files_with(dir: &Path, text: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).expect("a directory").flatten().map(|entry| entry.path()) {
        let mut start = vec![0; text.len()];
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if File::open(&path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
            && start == text
        {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_behind() {
    let server = Server::start().await;
    let whole = admin(put(PATH, content(1, 4 * MI))).bytes();
    for sent in [0, 1, 2 * MI, 4 * MI - 1] {
        let mut connection = Connection::open(server.address).await;
        connection.send(&whole[..whole.len() - 4 * MI + sent]).await;
        // So that the server has got to the body: it holds a file by then.
        if sent >= MI {
            eventually("the server writes it", async || {
                (!files_with(&server.data(), b"archive 00000001").is_empty()).then_some(())
            })
            .await;
        }
        drop(connection);
        eventually("nothing of it is left", async || {
            files_with(&server.data(), b"archive 00000001").is_empty().then_some(())
        })
        .await;
        assert_eq!(server.send(&get(PATH)).await.status, 404, "after {sent} bytes");
    }

    // One that ends in the middle of its chunks, and one whose chunks are none.
    for end in [&b""[..], b"nonsense\r\n"] {
        let mut connection = Connection::open(server.address).await;
        let head = format!("PUT {PATH} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.send(head.as_bytes()).await;
        connection.send(b"11\r\narchive 00000001 \r\n").await;
        connection.send(end).await;
        connection.half_close().await;
        if let Some(answer) = connection.answer(false).await {
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
        eventually("nothing of it is left", async || {
            files_with(&server.data(), b"archive 00000001").is_empty().then_some(())
        })
        .await;
        assert_eq!(server.send(&get(PATH)).await.status, 404);
    }
}

#[tokio::test]
async fn a_chunked_upload_is_stored_whole() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    let head = format!("PUT {PATH} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(head.as_bytes()).await;
    let piece = content(2, 100_000);
    for _ in 0..10 {
        connection.send(format!("{:x}\r\n", piece.len()).as_bytes()).await;
        connection.send(&piece).await;
        connection.send(b"\r\n").await;
    }
    connection.send(b"0\r\n\r\n").await;
    let answer = connection.answer(false).await.expect("an answer");
    let whole = piece.repeat(10);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["size_bytes"], whole.len());
    assert_eq!(answer.json()["sha256"], sha256(&whole));
    assert!(server.send(&get(PATH)).await.body == whole, "the bytes are those that were sent");
}

#[tokio::test]
async fn the_limit_holds_while_it_streams_and_says_itself() {
    let setup = || Setup::default().config("limits: {maxArtifactBytes: 1Mi}");
    let server = setup().start().await;
    assert_eq!(server.send(&put(PATH, content(1, MI))).await.status, 201, "exactly the limit");

    // Declared: not a byte of it is waited for.
    let mut connection = Connection::open(server.address).await;
    let declared = put(PATH, "").header("Content-Length", "1048577");
    connection.send(&declared.bytes()).await;
    assert_eq!(connection.answer(false).await.expect("an answer").status, 413);

    // Not declared: in the middle of the stream.
    let mut connection = Connection::open(server.address).await;
    let head = format!("PUT {PATH} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(head.as_bytes()).await;
    let piece = content(2, 64 << 10);
    for _ in 0..17 {
        connection.send(format!("{:x}\r\n", piece.len()).as_bytes()).await;
        connection.send(&piece).await;
        connection.send(b"\r\n").await;
    }
    let answer = connection.answer(false).await.expect("an answer before the end");
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["limit"], MI);
    assert!(answer.text().contains("1048576 bytes"), "{}", answer.text());
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    connection.send(b"0\r\n\r\n").await;
    assert!(connection.ends().await, "the connection is not left half-read");

    let read = server.send(&get(PATH)).await;
    assert_eq!(sha256(&read.body), sha256(&content(1, MI)), "what stood there still does");
    assert!(files_with(&server.data(), b"archive 00000002").is_empty(), "nothing of it is left");
}

#[tokio::test]
async fn a_refusal_comes_before_the_body_is_asked_for() {
    let server = Server::start().await;
    assert_eq!(server.send(&put(PATH, "x")).await.status, 201);
    let large = || put(PATH, "").header("Content-Length", "1073741824");
    let refused = [
        ("it exists", large().header("If-None-Match", "*"), 412),
        ("another stands there", large().header("If-Match", "\"other\""), 412),
        ("a malformed digest", large().header("Content-Digest", "x"), 400),
        ("too large", put(PATH, "").header("Content-Length", "99999999999999"), 413),
    ];
    for (name, request, status) in &refused {
        for expect in [true, false] {
            let request = request.clone();
            let request = if expect { request.header("Expect", "100-continue") } else { request };
            let mut connection = Connection::open(server.address).await;
            connection.send(&request.bytes()).await;
            let answer = connection.answer(false).await.expect("an answer without a body");
            assert_eq!(answer.status, *status, "{name}, Expect: {expect}");
        }
    }
    let mut connection = Connection::open(server.address).await;
    let wanted = put("/artifacts/blog/b-2", "").header("Content-Length", "5");
    let wanted = wanted.header("If-None-Match", "*").header("Expect", "100-continue");
    connection.send(&wanted.bytes()).await;
    assert_eq!(connection.answer(true).await.expect("an interim answer").status, 100);
    connection.send(b"12345").await;
    assert_eq!(connection.answer(false).await.expect("an answer").status, 201);
}

#[tokio::test]
async fn a_client_that_writes_all_of_a_large_archive_first_still_reads_the_refusal() {
    let server = Setup::default().config("limits: {maxArtifactBytes: 200Mi}").start().await;
    assert_eq!(server.send(&put(PATH, "x")).await.status, 201);
    let piece = vec![b'x'; MI];
    for (condition, length, status) in [("*", 150, 412), ("\"other\"", 250, 413)] {
        let mut connection = Connection::open(server.address).await;
        let request = put(PATH, "").header("If-None-Match", condition);
        let request = request.header("Content-Length", &(length * MI).to_string());
        connection.send(&request.bytes()).await;
        for _ in 0..length {
            let written = connection.send(&piece).await;
            assert!(written, "a client that cannot write its body never looks for an answer");
        }
        let answer = connection.answer(false).await.expect("the answer, not a reset");
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn a_condition_is_decided_again_when_the_upload_is_there() {
    let server = Server::start().await;
    let first = server.send(&put(PATH, "first")).await.etag();
    let conditional = |body: &str| put(PATH, body).header("If-Match", &first);
    let mut slow = Connection::open(server.address).await;
    let bytes = conditional("slow!").bytes();
    slow.send(&bytes[..bytes.len() - 1]).await;
    // The early look found nothing against it, or has not come yet: either way it is decided
    // against what stands there at the end.
    let quick = server.send(&conditional("quick")).await;
    assert_eq!(quick.status, 201);
    slow.send(&bytes[bytes.len() - 1..]).await;
    let lost = slow.answer(false).await.expect("an answer");
    assert_eq!((lost.status, lost.etag()), (412, quick.etag()));
    assert_eq!(server.send(&get(PATH)).await.text(), "quick");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_first_uploads_exactly_one_is_taken() {
    let server = Server::start().await;
    for round in 0..10 {
        let path = format!("/sites/blog/artifacts/race-{round}");
        let uploads = (0..8).map(|number| {
            let request = put(&path, content(number, 300_000)).header("If-None-Match", "*");
            let address = server.address;
            async move { (number, request.send(address).await) }
        });
        let answers = futures_util::future::join_all(uploads).await;
        let mut won = Vec::new();
        for (number, answer) in &answers {
            match answer.status {
                201 => won.push((number, answer.etag())),
                412 => {}
                other => panic!("round {round}: expected 201 or 412, got {other}"),
            }
        }
        let [(number, etag)] = won.as_slice() else {
            panic!("round {round}: expected exactly one 201, got {won:?}")
        };
        let lost = answers.iter().filter(|(_, answer)| answer.status == 412);
        assert!(lost.into_iter().all(|(_, answer)| answer.etag() == *etag), "the winner's tag");
        let read = server.send(&get(&path)).await;
        assert!(read.body == content(**number, 300_000), "round {round}: the winner's bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_during_replacements_gets_one_whole_version() {
    const LENGTH: usize = 3 * MI;
    let server = Server::start().await;
    assert_eq!(server.send(&put(PATH, content(0, LENGTH))).await.status, 201);
    let done = tokio_util::sync::CancellationToken::new();
    let address = server.address;
    let readers = (0..3).map(|_| {
        let done = done.clone();
        tokio::spawn(async move {
            let mut seen = std::collections::BTreeMap::new();
            loop {
                // One more after the last replacement, so that every reader sees something.
                let last = done.is_cancelled();
                let read = get(PATH).send(address).await;
                assert_eq!((read.status, read.body.len()), (200, LENGTH));
                let number: usize = read.text()[8..16].parse().expect("its number");
                assert!(read.body == content(number, LENGTH), "a mixture of two versions");
                let tag = read.etag();
                assert_eq!(seen.entry(number).or_insert_with(|| tag.clone()), &tag);
                if last {
                    return seen.len();
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for number in 1..=12 {
        assert_eq!(server.send(&put(PATH, content(number, LENGTH))).await.status, 201);
    }
    done.cancel();
    for reader in readers {
        assert!(reader.await.expect("a reader ends well") >= 1);
    }
}

#[tokio::test]
async fn a_reader_of_what_is_deleted_reads_on_and_one_that_leaves_disturbs_nobody() {
    const LENGTH: usize = 32 * MI;
    let server = Server::start().await;
    assert_eq!(server.send(&put(PATH, content(1, LENGTH))).await.status, 201);
    // Neither takes more than its head and what the kernel buffers.
    let mut slow = Connection::open(server.address).await;
    slow.send(&get(PATH).bytes()).await;
    let head_of = slow.head().await.expect("an answer's head");
    assert_eq!(head_of.status, 200);
    let mut leaving = Connection::open(server.address).await;
    leaving.send(&get(PATH).bytes()).await;
    leaving.head().await.expect("an answer's head");
    drop(leaving);
    assert_eq!(server.send(&super::raw::delete(PATH)).await.status, 204);
    assert_eq!(server.send(&get(PATH)).await.status, 404);
    let body = slow.body(LENGTH).await.expect("all of it");
    assert!(body == content(1, LENGTH), "what it began to read");
}

/// The most memory that a process has held so far, in bytes.
fn high_water(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
    let kib = line.split_whitespace().nth(1).and_then(|n| n.parse::<usize>().ok());
    kib.expect("a number") * 1024
}

/// Sends an archive of so many times the same piece, and gives its SHA-256.
async fn upload_large(address: SocketAddr, path: &str, piece: &[u8], times: usize) -> String {
    let mut connection = Connection::open(address).await;
    let length = (piece.len() * times).to_string();
    let request = admin(Request::new("PUT", path)).header("Content-Length", &length);
    connection.send(&request.bytes()).await;
    let mut hash = Sha256::new();
    for _ in 0..times {
        assert!(connection.send(piece).await, "the server takes all of it");
        hash.update(piece);
    }
    let answer = connection.answer(false).await.expect("an answer");
    let expected: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["sha256"], expected);
    expected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_whatever_the_archives_size() {
    const LARGE: usize = 256;
    let place = Place::new();
    let process = place.start().await;
    let piece = content(3, MI);
    // What a first upload and a first download need once.
    upload_large(process.address, PATH, &piece, 2).await;
    admin(get(PATH)).send(process.address).await;
    let before = high_water(process.pid());
    let expected = upload_large(process.address, PATH, &piece, LARGE).await;
    let after_upload = high_water(process.pid());

    let mut connection = Connection::open(process.address).await;
    connection.send(&admin(get(PATH)).bytes()).await;
    connection.head().await.expect("an answer's head");
    let mut hash = Sha256::new();
    for _ in 0..LARGE {
        hash.update(connection.body(MI).await.expect("all of it"));
    }
    let read: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(read, expected);
    let after_download = high_water(process.pid());
    let grown = |after: usize| after.saturating_sub(before) / MI;
    assert!(grown(after_upload) <= 16, "an upload took {} MiB", grown(after_upload));
    assert!(grown(after_download) <= 16, "a download took {} MiB", grown(after_download));
    assert!(process.terminate().await.0.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_an_upload_loses_only_that_one() {
    let place = Place::new();
    for round in 1..=5 {
        let process = place.start().await;
        let kept = format!("/artifacts/blog/kept-{round}");
        let answer = admin(put(&kept, content(round, MI))).send(process.address).await;
        assert_eq!(answer.status, 201);
        let cut = admin(put("/artifacts/blog/cut", content(99_999_999, 8 * MI))).bytes();
        let mut connection = Connection::open(process.address).await;
        connection.send(&cut[..cut.len() - 1]).await;
        eventually("the server writes it", async || {
            (!files_with(&place.path("data"), b"archive 99999999").is_empty()).then_some(())
        })
        .await;
        process.kill().await;
        assert!(
            !files_with(&place.path("data"), b"archive 99999999").is_empty(),
            "the kill came before the upload's end, and nobody has cleaned up yet"
        );
    }
    let process = place.start().await;
    let answer = admin(get("/artifacts/blog/cut")).send(process.address).await;
    assert_eq!(answer.status, 404, "it was never acknowledged");
    for round in 1..=5 {
        let target = format!("/artifacts/blog/kept-{round}");
        let answer = admin(get(&target)).send(process.address).await;
        assert!(answer.body == content(round, MI), "{target} was acknowledged");
        let answer = admin(head(&target)).send(process.address).await;
        assert_eq!(answer.header("content-length"), Some(MI.to_string()));
    }
    eventually("the orphans are gone", async || {
        files_with(&place.path("data"), b"archive 99999999").is_empty().then_some(())
    })
    .await;
    assert!(process.terminate().await.0.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_does_not_hold_others_up() {
    let server = Server::start().await;
    assert_eq!(server.send(&put("/", "1")).await.status, 200);
    let done = tokio_util::sync::CancellationToken::new();
    let (address, finished) = (server.address, done.clone());
    let upload = tokio::spawn(async move {
        upload_large(address, PATH, &content(4, MI), 64).await;
        finished.cancel();
    });
    let mut during = 0;
    while !done.is_cancelled() {
        let small = tokio::time::timeout(Duration::from_secs(5), server.send(&get("/"))).await;
        assert_eq!(small.expect("an answer while the upload goes on").text(), "1");
        during += 1;
    }
    upload.await.expect("the upload ends well");
    assert!(during > 1, "requests were answered meanwhile: {during}");
}

#[tokio::test]
async fn a_digest_may_stand_behind_a_chunked_body() {
    let server = Server::start().await;
    let sent = async |digest: &str| {
        let request = format!(
            "PUT {PATH} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\
             Trailer: Content-Digest\r\n\r\na\r\n0123456789\r\n0\r\n\
             Content-Digest: sha-256=:{digest}:\r\n\r\n"
        );
        let mut connection = Connection::open(server.address).await;
        connection.send(request.as_bytes()).await;
        connection.answer(false).await.expect("an answer")
    };
    let wrong = sent("RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=").await;
    assert_eq!((wrong.status, &wrong.json()["error"]), (400, &"digest_mismatch".into()));
    assert_eq!(server.send(&get(PATH)).await.status, 404);
    let right = sent("hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=").await;
    assert_eq!(right.status, 201, "{}", right.text());
}

/// `Trailer` is a SHOULD (RFC 9110 §6.6.2), and over h2c few send it.
#[tokio::test]
async fn a_digest_behind_the_body_counts_although_nobody_announced_it() {
    const SHA256: &str = "sha-256=:x3Xnt1ft5jDNCqERO9ECZhqziCnKUqZCKreChi8mhkY=:";
    const OTHER: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const SHA512: &str = "sha-512=:ErAyJqbYvpxujNXlXcbHkgyqo53xSquS1ePqk0DRyKTT0LjkMU8fbvExukvxzrkYarh8gBrw1clbG++4ztriuQ==:";
    let server = Server::start().await;
    // An archive is not kept to be hashed again, so by what it was not hashed it cannot be checked.
    let table = [
        (PATH, OTHER, 400, "digest_mismatch"),
        (PATH, SHA512, 400, "invalid_header"),
        (PATH, "nonsense", 400, "invalid_header"),
        (PATH, SHA256, 201, "success"),
        ("/run-stores/d", OTHER, 400, "digest_mismatch"),
        ("/run-stores/d", &SHA512.replace("ErAy", "AAAA"), 400, "digest_mismatch"),
        ("/run-stores/d", SHA512, 200, "1234567890"),
        ("/run-stores/d", SHA256, 200, "1234567890"),
    ];
    for (path, digest, status, part) in table {
        let head = format!("PUT {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
        let body = format!("a\r\n1234567890\r\n0\r\nContent-Digest: {digest}\r\n\r\n");
        let mut connection = Connection::open(server.address).await;
        connection.send((head + &body).as_bytes()).await;
        let answer = connection.answer(false).await.expect("an answer");
        assert_eq!(answer.status, status, "{path} {digest}: {}", answer.text());
        assert!(answer.text().contains(part), "{path} {digest}: {}", answer.text());
        let stands = server.send(&get(path)).await.status;
        assert_eq!(stands, if status == 400 { 404 } else { 200 }, "after {path} {digest}");
    }
}

#[tokio::test]
async fn only_so_many_uploads_go_on_at_once_and_the_next_waits_for_its_turn() {
    let server = Server::start().await;
    let mut open = Vec::new();
    for number in 0..64 {
        let request = put(&format!("/artifacts/blog/{number}"), "").header("Content-Length", "1");
        let mut connection = Connection::open(server.address).await;
        // The server asks for the body once it is this one's turn.
        connection.send(&request.header("Expect", "100-continue").bytes()).await;
        assert_eq!(connection.answer(true).await.expect("an interim answer").status, 100);
        open.push(connection);
    }
    let mut next = Connection::open(server.address).await;
    next.send(&put("/artifacts/blog/next", "x").bytes()).await;
    let waits = tokio::time::timeout(Duration::from_millis(300), next.head()).await;
    assert!(waits.is_err(), "expected it to wait, got {waits:?}");
    assert_eq!(server.send(&get("/health")).await.status, 200, "others are not held up");
    drop(open.pop());
    let head = next.head().await.expect("an answer once one of them has left");
    assert_eq!(head.status, 201);
    for connection in &mut open {
        connection.send(b"x").await;
        assert_eq!(connection.answer(false).await.expect("an answer").status, 201);
    }
}

#[tokio::test]
async fn an_upload_that_is_under_way_when_the_server_ends_is_finished() {
    let server = Server::start().await;
    let mut connection = Connection::open(server.address).await;
    let bytes = put(PATH, content(1, 2 * MI)).bytes();
    connection.send(&bytes[..bytes.len() - 1]).await;
    eventually("the server writes it", async || {
        (!files_with(&server.data(), b"archive 00000001").is_empty()).then_some(())
    })
    .await;
    server.shutdown.cancel();
    connection.send(&bytes[bytes.len() - 1..]).await;
    let answer = connection.answer(false).await.expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert!(server.ended().await.is_ok());
}

#[tokio::test]
async fn metrics_count_archives_by_template_and_their_bytes() {
    let server = Server::start().await;
    assert_eq!(server.send(&put(PATH, content(1, MI))).await.status, 201);
    assert_eq!(server.send(&get(PATH)).await.status, 200);
    let metrics = get("/metrics").send(server.management).await.text();
    for line in [
        r#"stowage_http_requests_total{route="/sites/{site}/artifacts/{build}",method="PUT",status="201"} 1"#,
        r#"stowage_http_requests_total{route="/sites/{site}/artifacts/{build}",method="GET",status="200"} 1"#,
        "stowage_http_request_body_bytes_total 1048576",
    ] {
        assert!(metrics.lines().any(|l| l == line), "no line {line:?} in\n{metrics}");
    }
    let sent =
        metrics.lines().find_map(|l| l.strip_prefix("stowage_http_response_body_bytes_total "));
    let sent: usize = sent.and_then(|n| n.parse().ok()).expect("a number");
    assert!((MI..MI + 1_000).contains(&sent), "the archive and one answer more, not {sent}");
}
