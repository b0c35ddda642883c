//! Archives through the Service, on a volume whose pod is taken away in the middle of uploads.

use std::fs;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use reqwest::Method;
use reqwest::blocking::{Body, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::http::Caller;
use crate::support::namespace::Namespace;
use crate::support::node::Process;
use crate::support::{SOON, eventually, release, stores};

const MI: usize = 1 << 20;
const LENGTH: usize = 48 * MI;
/// Of the archive that is replaced again and again.
const SMALL: usize = 4 * MI;
/// How much of a held upload is sent at first.
const SENT: usize = LENGTH / 2;

const KEPT: &str = "/sites/blog/artifacts/kept";
const REPLACED: &str = "/sites/blog/artifacts/replaced";

/// How a pod's server ends.
#[derive(Debug, Clone, Copy)]
enum End {
    ForcedDeletion,
    Kill,
}

/// An archive that is whole or is not: every KiB says whose it is, and where it stands.
fn content(number: u64, length: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(length);
    for place in 0..length as u64 / 1024 {
        content.extend((number << 32 | place).to_le_bytes().repeat(128));
    }
    content
}

fn upload(caller: &Caller, path: &str, body: impl Into<Body>) -> Result<(u16, Value), String> {
    let request = caller.request(Method::PUT, path).timeout(SOON);
    let answer = request.body(body).send().map_err(|error| format!("{error:?}"))?;
    let status = answer.status().as_u16();
    let body = answer.bytes().map_err(|error| format!("{error:?}"))?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn download(caller: &Caller, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = caller.request(Method::GET, path).timeout(SOON);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().unwrap()
}

fn header(answer: &Response, name: &str) -> String {
    let value = answer.headers().get(name).unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    value.to_str().unwrap().to_owned()
}

/// Asserts that all of an archive is read, under this entity tag.
fn is_whole(caller: &Caller, path: &str, expected: &[u8], tag: &str) {
    let answer = download(caller, path, &[]);
    assert_eq!((answer.status().as_u16(), header(&answer, "etag").as_str()), (200, tag), "{path}");
    assert_eq!(header(&answer, "content-length"), expected.len().to_string(), "{path}");
    let found = answer.bytes().unwrap();
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    assert_eq!((found.len(), differs), (expected.len(), None), "{path}: length and first change");
}

fn tag(caller: &Caller, path: &str) -> String {
    let answer = caller.request(Method::HEAD, path).send().unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    header(&answer, "etag")
}

/// Ranges, as somebody reads on who lost the connection.
fn ranges_are_served(caller: &Caller, expected: &[u8], tag: &str) {
    let middle = LENGTH / 3;
    let part = format!("bytes={middle}-{}", middle + MI - 1);
    let answer = download(caller, KEPT, &[("range", &part), ("if-range", tag)]);
    assert_eq!(answer.status().as_u16(), 206);
    let says = format!("bytes {middle}-{}/{LENGTH}", middle + MI - 1);
    assert_eq!(header(&answer, "content-range"), says);
    assert!(answer.bytes().unwrap() == expected[middle..middle + MI], "other bytes than {part}");

    let answer = download(caller, KEPT, &[("range", "bytes=-1000")]);
    assert_eq!(answer.status().as_u16(), 206);
    assert!(answer.bytes().unwrap() == expected[LENGTH - 1000..], "other bytes than the last 1000");

    let answer = download(caller, KEPT, &[("range", &part), ("if-range", "\"another\"")]);
    assert_eq!(answer.status().as_u16(), 200, "a part of what was replaced is of no use");
}

fn versions(caller: &Caller) -> Vec<Value> {
    let list = caller.get("/sites/blog/versions?all=true").unwrap().json();
    let versions = list["versions"].as_array().unwrap().clone();
    assert_eq!(list["count"], versions.len(), "{list}");
    versions
}

fn version(caller: &Caller, build: &str) -> Value {
    let versions = versions(caller);
    let found = versions.iter().find(|version| version["build_id"] == build);
    found.unwrap_or_else(|| panic!("no build {build} in {versions:?}")).clone()
}

/// The names and lengths of the files in a directory of the pod's volume.
fn files(process: Process, directory: &str) -> Result<Vec<(String, u64)>, String> {
    let path = process.root().join("data").join(directory);
    let read = || {
        let entries = fs::read_dir(&path)?.map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()))
        });
        entries.collect::<io::Result<Vec<_>>>()
    };
    read().map_err(|error| format!("{}: {error}", path.display()))
}

fn server(uid: &str) -> Result<Process, String> {
    match Process::of_pod(uid, "stowage-sidecar")[..] {
        [process] => Ok(process),
        ref other => Err(format!("the pod runs {other:?}")),
    }
}

/// An upload that comes to a halt half way, until the other end of `go_on` is dropped.
struct Held {
    content: io::Cursor<Vec<u8>>,
    go_on: Receiver<()>,
}

impl Read for Held {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let before_halt = SENT.saturating_sub(usize::try_from(self.content.position()).unwrap());
        if before_halt == 0 {
            // Nobody sends anything: this is when the other end is gone.
            let _ = self.go_on.recv();
            return self.content.read(buffer);
        }
        let end = buffer.len().min(before_halt);
        self.content.read(&mut buffer[..end])
    }
}

/// Replaces an archive until the server is gone; gives the last number that was acknowledged, and
/// the one that was not.
fn replace(caller: &Caller, first: u64, acknowledged: &AtomicU64) -> (u64, u64) {
    for number in first.. {
        match upload(caller, REPLACED, content(number, SMALL)) {
            Ok((201, _)) => acknowledged.store(number, Ordering::Relaxed),
            Ok((status, said)) => {
                assert!(status >= 500, "{status} {said}");
                return (number - 1, number);
            }
            Err(_) => return (number - 1, number),
        }
    }
    unreachable!("an endless range")
}

/// Ends the server while one upload is half way and others come one after the other, and waits for
/// the next one. Gives what [`replace`] does.
fn end_during_uploads(namespace: &Namespace, caller: &Caller, end: End, first: u64) -> (u64, u64) {
    let uid = stores::uid(&stores::pod(namespace, "demo").unwrap());
    let process = server(&uid).unwrap();
    let acknowledged = AtomicU64::new(0);
    thread::scope(|scope| {
        let (hold, go_on) = channel::<()>();
        let held = Held { content: io::Cursor::new(content(99, LENGTH)), go_on };
        let held = Body::sized(held, LENGTH as u64);
        let cut = scope.spawn(move || upload(caller, KEPT, held));
        let replaced = scope.spawn(|| replace(caller, first, &acknowledged));
        eventually("half of an upload is on the volume", SOON, || {
            let temporary = files(process, ".stowage/tmp")?;
            let largest = temporary.iter().map(|(_, length)| *length).max().unwrap_or(0);
            if largest >= (SENT - 4 * MI) as u64 { Ok(()) } else { Err(format!("{temporary:?}")) }
        });
        eventually("the other one is replaced", SOON, || {
            let number = acknowledged.load(Ordering::Relaxed);
            if number >= first + 2 { Ok(()) } else { Err(number) }
        });
        match end {
            End::ForcedDeletion => {
                namespace.kubectl(&["delete", "pod/demo-0", "--grace-period=0", "--force"]);
            }
            End::Kill => process.kill(),
        }
        eventually("another server has taken over", SOON, || {
            if Process::of_pod(&uid, "stowage-sidecar").contains(&process) {
                return Err("the one before is there".to_owned());
            }
            server(&stores::uid(&stores::pod(namespace, "demo")?)).map(drop)
        });
        stores::ready(namespace, "demo");
        // The rest goes to a server that is gone.
        drop(hold);
        match cut.join().unwrap() {
            Ok((status, said)) => assert!(matches!(status, 408 | 500..), "{status} {said}"),
            Err(error) => println!("{end:?}: the held upload failed: {error}"),
        }
        replaced.join().unwrap()
    })
}

#[test]
fn archives_are_whole_after_their_pod_ended_during_uploads() {
    let _cluster = release::shared();
    let namespace = Namespace::create("artifacts");
    namespace.apply(&stores::tokens(&[("admin", stores::TOKEN)]));
    namespace.apply(&stores::manifest("demo", &json!({"contracts": ["artifacts"]})));
    let mut caller = stores::ready(&namespace, "demo");
    assert_eq!(
        caller.get("/api/storage?ns=cart").unwrap().status,
        404,
        "only artifacts are served"
    );

    let kept = content(1, LENGTH);
    let (status, said) = upload(&caller, KEPT, kept.clone()).unwrap();
    assert_eq!(status, 201, "{said}");
    let sum: String = Sha256::digest(&kept).iter().map(|byte| format!("{byte:02x}")).collect();
    let (length, sum) = (json!(LENGTH), json!(sum));
    assert_eq!((&said["size_bytes"], &said["sha256"]), (&length, &sum), "{said}");
    let entry = json!({"build_id": "kept", "action": "build", "status": "success"});
    let logged = caller.send(Method::POST, "/sites/blog/logs", &[], Some(entry.to_string()));
    assert_eq!(logged.unwrap().status, 201);
    let listed = version(&caller, "kept");
    assert_eq!((&listed["size_bytes"], &listed["status"]), (&length, &json!("success")));
    let kept_tag = tag(&caller, KEPT);
    is_whole(&caller, KEPT, &kept, &kept_tag);
    ranges_are_served(&caller, &kept, &kept_tag);

    let mut next = 2;
    for end in [End::ForcedDeletion, End::Kill, End::ForcedDeletion] {
        let (acknowledged, open) = end_during_uploads(&namespace, &caller, end, next);
        next = open + 1;
        // Without connections to the server that is gone.
        caller = stores::ready(&namespace, "demo");

        is_whole(&caller, KEPT, &kept, &kept_tag);
        ranges_are_served(&caller, &kept, &kept_tag);
        assert_eq!(version(&caller, "kept"), listed, "after {end:?}");
        let found = download(&caller, REPLACED, &[]).bytes().unwrap();
        let is_either = [acknowledged, open].iter().any(|number| found == content(*number, SMALL));
        assert!(is_either, "after {end:?}: neither the archive {acknowledged} nor {open}");

        let uid = stores::uid(&stores::pod(&namespace, "demo").unwrap());
        let process = server(&uid).unwrap();
        eventually("no temporary file is left", SOON, || {
            let left = files(process, ".stowage/tmp")?;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
        let mut stored = files(process, "sites/blog/artifacts").unwrap();
        stored.sort();
        let expected = [("kept.tar.gz", LENGTH as u64), ("replaced.tar.gz", SMALL as u64)];
        let expected = expected.map(|(name, length)| (name.to_owned(), length));
        assert_eq!(stored, expected, "after {end:?}");
        println!("{end:?}: {acknowledged} acknowledged, {open} left open");
    }

    // What was broken off is sent again.
    let again = content(99, LENGTH);
    assert_eq!(upload(&caller, KEPT, again.clone()).unwrap().0, 201);
    let again_tag = tag(&caller, KEPT);
    assert_ne!(again_tag, kept_tag);
    is_whole(&caller, KEPT, &again, &again_tag);
}
