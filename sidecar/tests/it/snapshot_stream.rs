//! The stream of a snapshot, and the socket that it is taken by, within the process: streams that
//! are cut or changed, servers that give up.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use stowage_sidecar::snapshot::{
    Observer, RestoreFailed, Session, SnapshotFailed, Socket, restore, write,
};
use stowage_store::{
    Key, Name, NameKind, NamespaceKey, OpenError, Patch, Preconditions, Store, VolumeOptions,
    VolumeStore,
};
use tempfile::TempDir;

use super::harness::eventually;

struct Nobody;

impl Observer for Nobody {
    fn progress(&mut self, _files: u64, _bytes: u64) {}
    fn skipped(&mut self, path: &str) {
        panic!("{path} is left out");
    }
}

fn document(name: &str) -> Key {
    Key::run_store(&Name::parse(NameKind::RunStore, name).expect("a name"))
}

async fn put(store: &VolumeStore, name: &str, length: usize) {
    let body = vec![b'x'; length];
    store.put(&document(name), body.into(), Preconditions::none()).await.expect("a put");
}

/// A directory whose path is longer than that of a socket may be.
fn deep() -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("deep".repeat(30)).join("deep".repeat(30));
    fs::create_dir_all(&path).expect("a directory");
    (directory, path)
}

fn take(path: &Path) -> Result<Vec<u8>, SnapshotFailed> {
    let mut stream = Vec::new();
    write(Session::open(path)?, &mut stream, (0, 0), &mut Nobody)?;
    Ok(stream)
}

/// All files below a directory but the store's own.
fn files(directory: &Path, found: &mut BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let modified = fs::metadata(&path).and_then(|it| it.modified()).expect("a time");
            found.insert(path.clone(), (fs::read(&path).expect("a file"), modified));
        }
    }
}

/// What a restore brings about, by the paths below the root; the times of the tree alone.
fn restored(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, Option<std::time::SystemTime>)> {
    let mut found = BTreeMap::new();
    files(directory, &mut found);
    let relative = |path: PathBuf| path.strip_prefix(directory).expect("below").to_owned();
    let is_tree = |path: &Path| !path.starts_with(".stowage");
    found
        .into_iter()
        .map(|(path, (content, time))| (relative(path), (content, time)))
        .filter(|(path, _)| path != Path::new(".stowage/lock"))
        .map(|(path, (content, time))| {
            let time = is_tree(&path).then_some(time);
            (path, (content, time))
        })
        .collect()
}

/// A small snapshot with a bit of everything.
async fn small() -> Vec<u8> {
    let (_directory, path) = deep();
    let store = VolumeStore::open(&path, &VolumeOptions::default()).expect("a store");
    put(&store, "a", 10).await;
    put(&store, &"long".repeat(24), 700).await;
    let namespace = NamespaceKey::shared(&Name::parse(NameKind::Namespace, "n").expect("a name"));
    store.patch(&namespace, Patch::default()).await.expect("a patch");
    store.shutdown().await;
    take(&path).expect("a snapshot")
}

/// The directory that a refused restore leaves is not served.
fn is_not_served(path: &Path) {
    if !path.exists() {
        return;
    }
    let refused = VolumeStore::open(path, &VolumeOptions::default()).expect_err("a part");
    assert!(matches!(refused, OpenError::Restoring { .. }), "{refused}");
}

#[tokio::test]
async fn a_stream_that_is_cut_anywhere_is_refused() {
    let stream = small().await;
    let lengths = (0..stream.len()).step_by(256).chain([1, 511, 513, stream.len() - 1]);
    for length in lengths {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("data");
        let refused = restore(&stream[..length], &path).expect_err("it is cut");
        let is_right = match refused {
            RestoreFailed::Cut => true,
            // Not even the mark at its beginning is there.
            RestoreFailed::NoSnapshot => length < 1536 && !path.exists(),
            _ => false,
        };
        assert!(is_right, "of {} bytes, {length}: {refused}", stream.len());
        is_not_served(&path);
    }
}

#[tokio::test]
async fn a_stream_that_is_changed_anywhere_is_refused_or_restored_as_it_was() {
    let stream = small().await;
    let directory = TempDir::new().expect("a directory");
    restore(&stream[..], &directory.path().join("data")).expect("it is sound");
    let expected = restored(&directory.path().join("data"));
    let mut refusals = 0;
    for place in (0..stream.len()).step_by(61) {
        let mut changed = stream.clone();
        changed[place] ^= 1 << (place % 8);
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("data");
        match restore(&changed[..], &path) {
            // Between the files there is padding.
            Ok(_) => assert_eq!(restored(&path), expected, "byte {place}"),
            Err(_) => {
                refusals += 1;
                is_not_served(&path);
            }
        }
    }
    assert!(refusals > 50, "{refusals} changes were found");
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_refused() {
    let stream = small().await;
    for path in ["../a", "/a", "run-stores/../../a", ".stowage/lock", ".stowage/tmp/a", "a//b"] {
        let mut builder = tar::Builder::new(Vec::new());
        let mut archive = tar::Archive::new(&stream[..]);
        for entry in archive.entries().expect("entries").take(2) {
            let entry = entry.expect("an entry");
            builder.append(&entry.header().clone(), entry).expect("the beginning");
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(1);
        header.set_cksum();
        let extensions = [("path", path.as_bytes()), ("mtime", &b"1.5"[..])];
        builder.append_pax_extensions(extensions).expect("a header");
        builder.append(&header, &b"x"[..]).expect("a file");
        let directory = TempDir::new().expect("a directory");
        let data = directory.path().join("data");
        let refused = restore(&builder.into_inner().expect("a tar")[..], &data);
        let refused = refused.expect_err("a path that leads elsewhere");
        assert!(matches!(refused, RestoreFailed::Damaged(_)), "{path}: {refused}");
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1, "{path}");
        is_not_served(&data);
    }
}

#[tokio::test]
async fn empty_stores_and_those_of_the_format_before_are_copied() {
    let (_directory, path) = deep();
    VolumeStore::open(&path, &VolumeOptions::default()).expect("a store").shutdown().await;
    let (_old_directory, old) = deep();
    fs::create_dir_all(old.join(".stowage")).expect("a directory");
    fs::write(old.join(".stowage/format"), "1\n").expect("a format");
    fs::create_dir_all(old.join("run-stores")).expect("a directory");
    fs::write(old.join("run-stores/a.json"), "1").expect("a document");
    for (path, expected) in [(path, None), (old, Some("1".to_owned()))] {
        let stream = take(&path).expect("a snapshot");
        let directory = TempDir::new().expect("a directory");
        let data = directory.path().join("data");
        restore(&stream[..], &data).expect("a restore");
        let store = VolumeStore::open(&data, &VolumeOptions::default()).expect("a store");
        let found = store.get(&document("a")).await.expect("a get");
        let found = found.map(|object| String::from_utf8_lossy(&object.body).into_owned());
        assert_eq!(found, expected);
        put(&store, "b", 10).await;
    }
}

/// Takes what it gets once it is told to.
struct Slow {
    begun: Option<SyncSender<()>>,
    go_on: Receiver<()>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(begun) = self.begun.take() {
            begun.send(()).expect("somebody waits");
            self.go_on.recv_timeout(Duration::from_secs(60)).expect("it is told to");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_that_is_written_meanwhile_gives_the_snapshot_up() {
    let (_directory, path) = deep();
    let options = VolumeOptions {
        segment_bytes: 1,
        journal_bytes: 1,
        snapshot_bytes: 500_000,
        checkpoint_after: Duration::from_millis(1),
        ..VolumeOptions::default()
    };
    let store = Arc::new(VolumeStore::open(&path, &options).expect("a store"));
    let socket = Socket::open(&path, &store).expect("a socket");
    put(&store, "a", 10).await;
    let (begun, has_begun) = sync_channel(1);
    let (go, go_on) = sync_channel(1);
    let taken = tokio::task::spawn_blocking({
        let path = path.clone();
        move || {
            let session = Session::open(&path)?;
            write(session, Slow { begun: Some(begun), go_on }, (0, 0), &mut Nobody)
        }
    });
    tokio::task::spawn_blocking(move || has_begun.recv_timeout(Duration::from_secs(60)))
        .await
        .expect("a thread")
        .expect("it begins");
    for _ in 0..100 {
        put(&store, "b", 20_000).await;
    }
    eventually("the journal is short again", async || {
        let segments = fs::read_dir(path.join(".stowage/journal")).expect("a journal");
        (segments.count() < 10).then_some(())
    })
    .await;
    go.send(()).expect("it waits");
    let failed = taken.await.expect("a thread").expect_err("it is given up").to_string();
    assert!(failed.contains("more was written meanwhile"), "{failed}");
    put(&store, "b", 20_000).await;
    let stream = tokio::task::spawn_blocking({
        let path = path.clone();
        move || take(&path)
    });
    stream.await.expect("a thread").expect("the next one");
    drop(socket);
    assert!(!path.join(".stowage/snapshot.sock").exists(), "the socket goes with the server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_only_so_many_snapshots_at_once() {
    let (_directory, path) = deep();
    let store = Arc::new(VolumeStore::open(&path, &VolumeOptions::default()).expect("a store"));
    let _socket = Socket::open(&path, &store).expect("a socket");
    tokio::task::spawn_blocking(move || {
        let sessions: Vec<_> = (0..8).map(|_| Session::open(&path).expect("a session")).collect();
        let refused = Session::open(&path).expect_err("a ninth").to_string();
        assert!(refused.contains("too many snapshots"), "{refused}");
        drop(sessions);
        let begun = std::time::Instant::now();
        while let Err(refused) = Session::open(&path) {
            assert!(begun.elapsed() < Duration::from_secs(20), "others have ended: {refused}");
            std::thread::sleep(Duration::from_millis(10));
        }
    })
    .await
    .expect("a thread");
}
