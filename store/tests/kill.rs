//! A process that writes is killed at random instants; what it had acknowledged is there.
//!
//! A kill leaves the kernel's memory alone, so this shows that no instant leaves the tree half
//! changed. That a sync comes before the answer is shown by the tests beside the engine.

#[path = "support/archives.rs"]
#[expect(dead_code, reason = "it is the other process that uploads")]
mod archives;
#[path = "support/keys.rs"]
#[expect(dead_code, reason = "it is the other process that sets members")]
mod keys;
#[path = "support/writes.rs"]
mod writes;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use stowage_store::{Store, VolumeOptions, VolumeStore};
use tempfile::TempDir;

use archives::archive;
use keys::{document, namespace};
use writes::{WRITERS, document_after, padded};

const ROUNDS: u64 = 50;

/// Sequence numbers of a round start here times its number, so that none comes twice.
const ROUND: u64 = 1_000_000;

fn random(below: u64) -> u64 {
    RandomState::new().hash_one(()) % below
}

/// What a killed process had acknowledged.
#[derive(Debug, Clone, Copy, Default)]
struct Acknowledged {
    document: u64,
    member: u64,
    archive: u64,
}

/// What the directory must hold.
#[derive(Debug, Default)]
struct Known {
    writers: [Acknowledged; WRITERS],
    version: u64,
    writes: u64,
}

impl Known {
    /// Takes a line of the process in: `document <writer> <sequence>`,
    /// `member <writer> <sequence> <version>` or `archive <writer> <sequence>`.
    fn acknowledge(&mut self, line: &str) {
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let mut number = || words.next()?.parse::<u64>().ok();
        match (kind, number(), number(), number()) {
            ("document", Some(writer), Some(sequence), None) => {
                self.writers[writer as usize].document = sequence;
            }
            ("archive", Some(writer), Some(sequence), None) => {
                self.writers[writer as usize].archive = sequence;
            }
            ("member", Some(writer), Some(sequence), Some(version)) => {
                self.writers[writer as usize].member = sequence;
                self.version = self.version.max(version);
            }
            _ => panic!("expected an acknowledgement, got {line:?}"),
        }
        self.writes += 1;
    }

    /// Compares with what stands in the directory. Of each writer's one write may have been
    /// under way: `next` after what it had acknowledged. It becomes known, if it was applied.
    fn check(&mut self, directory: &Path, first: u64) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let store = VolumeStore::open(directory, &VolumeOptions::default());
            let store = store.expect("the killed process holds no lock, and what it left opens");
            let next = |known: u64| if known < first { first } else { known + 1 };
            let members = store.namespace(&namespace("shared")).await.expect("a whole namespace");
            assert!(
                (self.version..=self.version + WRITERS as u64).contains(&members.version()),
                "version {} after {} was acknowledged",
                members.version(),
                self.version
            );
            self.version = members.version();
            for (i, writer) in self.writers.iter_mut().enumerate() {
                let read = store.get(&document(&i.to_string())).await.expect("a whole document");
                let read = read.map(|object| String::from_utf8_lossy(&object.body).into_owned());
                let candidates = [writer.document, next(writer.document)];
                let found = candidates.into_iter().find(|n| document_after(*n) == read);
                writer.document = found.unwrap_or_else(|| {
                    let read = read.map(|text| text.chars().take(60).collect::<String>());
                    panic!("document {i}: expected write {candidates:?}, got {read:?}")
                });

                let read = whole_archive(&store, i).await;
                let candidates = [writer.archive, next(writer.archive)];
                let found = candidates.into_iter().find(|n| document_after(*n) == read);
                writer.archive = found.unwrap_or_else(|| {
                    let read = read.map(|text| text.chars().take(60).collect::<String>());
                    panic!("archive {i}: expected write {candidates:?}, got {read:?}")
                });

                let read = members.get(&i.to_string());
                let member = |n: u64| (n > 0).then(|| format!("\"{}\"", padded(n)));
                let candidates = [writer.member, next(writer.member)];
                let found = candidates
                    .into_iter()
                    .find(|n| member(*n).as_deref().map(str::as_bytes) == read.map(|v| &v[..]));
                writer.member = found.unwrap_or_else(|| {
                    let text = read.map(|value| String::from_utf8_lossy(value).into_owned());
                    let read = text.map(|text| text.chars().take(60).collect::<String>());
                    panic!("member {i}: expected write {candidates:?}, got {read:?}")
                });
            }
            store.shutdown().await;
        });
        check_files(directory);
    }
}

/// The text of a writer's archive.
async fn whole_archive(store: &VolumeStore, writer: usize) -> Option<String> {
    let archive = store.archive(&archive("s", &writer.to_string())).await.expect("a read")?;
    let text = archive.content.read(0, 1 << 20).await.expect("a whole archive");
    assert_eq!(text.len() as u64, archive.info.length);
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Nothing stands in the tree that no write has put there.
fn check_files(directory: &Path) {
    let names = |path: &str| -> BTreeSet<String> {
        let Ok(entries) = directory.join(path).read_dir() else { return BTreeSet::new() };
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        entries.map(name).collect()
    };
    assert_eq!(names(".stowage/tmp"), BTreeSet::new(), "temporary files are swept at the start");
    let expected: BTreeSet<String> = (0..WRITERS).map(|i| format!("{i}.json")).collect();
    assert!(names("run-stores").is_subset(&expected), "{:?}", names("run-stores"));
    let archives: BTreeSet<String> = (0..WRITERS).map(|i| format!("{i}.tar.gz")).collect();
    let found = names("sites/s/artifacts");
    assert!(found.is_subset(&archives), "{found:?}");
    assert!(names("kv").is_subset(&["shared.json".into()].into()), "{:?}", names("kv"));
}

/// Lets a process write, kills it, and returns the lines that it had printed by then.
fn write_and_kill(directory: &Path, first: u64) -> Vec<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stowage-store-child"))
        .arg("write")
        .arg(directory)
        .arg(first.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a second process");
    let stdout = BufReader::new(child.stdout.take().expect("its output"));
    let (lines, received) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    let mut seen = wait_for_the_instant(&received);
    child.kill().expect("a signal");
    let status = child.wait().expect("its end");
    assert_eq!(status.signal(), Some(9), "it wrote until it was killed: {status}");
    // What it had printed when it was killed was acknowledged.
    reader.join().expect("the reader ends with the process");
    seen.extend(received.try_iter());
    seen
}

/// Most often after a random number of writes, and then a random instant later; sometimes at
/// any instant from the start of the process on.
fn wait_for_the_instant(received: &Receiver<String>) -> Vec<String> {
    let mut seen = Vec::new();
    if random(5) > 0 {
        let deadline = Instant::now() + Duration::from_secs(120);
        let enough = 1 + random(60) as usize;
        while seen.iter().filter(|line: &&String| line.starts_with("document")).count() < enough {
            let left = deadline.saturating_duration_since(Instant::now());
            seen.push(received.recv_timeout(left).expect("the process writes on"));
        }
    }
    let instant = Instant::now() + Duration::from_micros(random(20_000));
    loop {
        match received.recv_timeout(instant.saturating_duration_since(Instant::now())) {
            Ok(line) => seen.push(line),
            Err(RecvTimeoutError::Timeout) => return seen,
            Err(RecvTimeoutError::Disconnected) => panic!("the process ended by itself: {seen:?}"),
        }
    }
}

#[test]
fn after_50_kills_every_acknowledged_write_is_there_and_none_is_half_there() {
    let directory = TempDir::new().expect("a temporary directory");
    let mut known = Known::default();
    for round in 1..=ROUNDS {
        let first = round * ROUND + 1;
        for line in write_and_kill(directory.path(), first) {
            known.acknowledge(&line);
        }
        known.check(directory.path(), first);
    }
    assert!(known.writes > ROUNDS, "only {} writes in {ROUNDS} rounds", known.writes);
}
