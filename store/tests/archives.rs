//! Archives in a directory: what of them outlives the process, and what is left behind.

#[path = "support/archives.rs"]
mod archives;
#[path = "support/deadline.rs"]
mod deadline;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use stowage_store::{
    ArchiveKey, EntityTag, Preconditions, Store, StoreError, VolumeOptions, VolumeStore,
};
use tempfile::TempDir;

use archives::{archive, content, site, upload};
use deadline::in_time;

const PATH: &str = "sites/s/artifacts/1.tar.gz";

fn open(path: &Path) -> VolumeStore {
    VolumeStore::open(path, &VolumeOptions::default()).expect("a store")
}

async fn publish(store: &dyn Store, key: &ArchiveKey, content: &Bytes) -> EntityTag {
    let put = upload(store, key, [content.clone()], Preconditions::none()).await;
    put.expect("an upload").tag
}

async fn tag(store: &dyn Store, key: &ArchiveKey) -> Option<EntityTag> {
    store.archive(key).await.expect("an archive or none").map(|archive| archive.info.tag)
}

fn temporary_files(directory: &TempDir) -> Vec<PathBuf> {
    let entries = directory.path().join(".stowage/tmp").read_dir().expect("it is there");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// Removal goes on behind the back of whoever gives an upload up.
async fn nothing_is_left(directory: &TempDir) {
    let swept = async {
        while !temporary_files(directory).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time("what is abandoned is removed", swept).await;
}

fn set_time(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).expect("a file").set_modified(time).expect("a time");
}

/// Whether the archive at a key is the only one of its second, and that second.
async fn second(store: &dyn Store, key: &ArchiveKey) -> (bool, i64) {
    let archive = store.archive(key).await.expect("a look").expect("it is there");
    (archive.has_own_second, archive.info.modified.as_second())
}

#[tokio::test]
async fn a_second_stands_for_one_archive_where_nothing_else_was_published_in_it() {
    let directory = TempDir::new().expect("a temporary directory");
    let store = open(directory.path());
    let (key, bytes) = (archive("s", "1"), content(10, 1));
    publish(&store, &key, &bytes).await;
    let (is_only, mut before) = second(&store, &key).await;
    assert!(is_only, "it is the first one");
    let (mut replaced, mut returned) = (false, false);
    let both = async {
        while !(replaced && returned) {
            for removes in [false, true] {
                if removes {
                    let deleted = store.delete_archive(&key, Preconditions::none()).await;
                    assert!(deleted.expect("a delete").is_some());
                }
                publish(&store, &key, &bytes).await;
                let (is_only, now) = second(&store, &key).await;
                assert_eq!(is_only, now != before, "{removes} {now} after {before}");
                let seen = if removes { &mut returned } else { &mut replaced };
                *seen |= now == before;
                before = now;
            }
        }
    };
    in_time("one is replaced, and one is removed and comes again, within a second", both).await;
    store.shutdown().await;
    let store = open(directory.path());
    assert!(!second(&store, &key).await.0, "what was before the start nobody knows");
}

#[tokio::test]
async fn an_archive_is_a_file_that_others_can_read_and_replace() {
    let directory = TempDir::new().expect("a temporary directory");
    let (key, first) = (archive("s", "1"), content(300_000, 1));
    let store = open(directory.path());
    let published = publish(&store, &key, &first).await;
    let path = directory.path().join(PATH);
    assert!(fs::read(&path).expect("the file") == first, "it is its bytes");
    let mode = fs::metadata(&path).expect("the file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "other users cannot read it");
    drop(store);

    let store = open(directory.path());
    assert_eq!(tag(&store, &key).await, Some(published.clone()), "a restart keeps the tag");
    drop(store);

    // Other bytes of the same length, put there by hand.
    fs::write(&path, content(300_000, 2)).expect("an edit");
    let store = open(directory.path());
    let edited = tag(&store, &key).await.expect("it is there");
    assert_ne!(edited, published, "an edit has a tag of its own");
    let stale = upload(&store, &key, [first.clone()], Preconditions::matches(&published)).await;
    assert!(matches!(stale, Err(StoreError::PreconditionFailed { .. })), "{stale:?}");
    drop(store);

    fs::remove_file(&path).expect("a removal");
    fs::write(directory.path().join("sites/s/artifacts/README"), "not an archive").expect("a file");
    fs::create_dir(directory.path().join("sites/s/artifacts/2.tar.gz")).expect("a directory");
    let store = open(directory.path());
    assert_eq!(tag(&store, &key).await, None);
    assert!(store.archives(&site("s"), None, 10).await.expect("a list").is_empty());
    let odd = store.archive(&archive("s", "2")).await;
    assert!(matches!(odd, Err(StoreError::Corrupt { .. })), "{odd:?}");
}

#[tokio::test]
async fn a_tag_is_never_given_twice_whatever_the_time_of_the_file() {
    let directory = TempDir::new().expect("a temporary directory");
    let (key, content) = (archive("s", "1"), content(10, 1));
    let path = directory.path().join(PATH);
    let mut seen = vec![publish(&open(directory.path()), &key, &content).await];
    let hour = Duration::from_secs(3_600);
    for time in [SystemTime::now() - hour, SystemTime::UNIX_EPOCH, SystemTime::now() + hour] {
        set_time(&path, time);
        let store = open(directory.path());
        let found = store.archive(&key).await.expect("a read").expect("it is there").info;
        seen.push(found.tag);
        let mut last = found.modified;
        for _ in 0..2 {
            seen.push(publish(&store, &key, &content).await);
            let next = store.archive(&key).await.expect("a read").expect("it is there").info;
            assert!(next.modified > last, "{} follows {last}", next.modified);
            last = next.modified;
        }
        let uploads =
            (0..4).map(|_| upload(&store, &key, [content.clone()], Preconditions::none()));
        for put in futures_util::future::join_all(uploads).await {
            seen.push(put.expect("an upload").tag);
        }
    }
    let all = seen.len();
    seen.sort_by_cached_key(ToString::to_string);
    seen.dedup();
    assert_eq!(seen.len(), all, "each upload and each time has a tag of its own");
}

#[tokio::test]
async fn an_upload_that_comes_to_nothing_leaves_nothing() {
    let directory = TempDir::new().expect("a temporary directory");
    let store = open(directory.path());
    let key = archive("s", "1");
    publish(&store, &key, &content(10, 1)).await;
    assert_eq!(
        temporary_files(&directory),
        Vec::<PathBuf>::new(),
        "what was published has its name"
    );

    let pieces = || (0..5).map(|i| content(1 << 20, i));
    let lost = upload(&store, &key, pieces(), Preconditions::absent()).await;
    assert!(matches!(lost, Err(StoreError::PreconditionFailed { .. })), "{lost:?}");
    assert_eq!(
        temporary_files(&directory),
        Vec::<PathBuf>::new(),
        "what has lost is gone with the answer"
    );

    let mut abandoned = store.upload(&key).await.expect("an upload");
    for piece in pieces() {
        abandoned.write(piece).await.expect("a write");
    }
    assert_eq!(temporary_files(&directory).len(), 1, "it stands on the disk");
    drop(abandoned);
    nothing_is_left(&directory).await;

    let begin = store.upload(&key);
    drop(tokio::time::timeout(Duration::ZERO, begin).await);
    nothing_is_left(&directory).await;

    let mut open_at_the_end = store.upload(&key).await.expect("an upload");
    open_at_the_end.write(content(3 << 20, 1)).await.expect("a write");
    in_time("a shutdown", store.shutdown()).await;
    assert_eq!(temporary_files(&directory), Vec::<PathBuf>::new(), "a shutdown removes it");
    drop(open_at_the_end);
}

#[tokio::test]
async fn an_upload_whose_write_was_dropped_half_way_cannot_be_published() {
    let directory = TempDir::new().expect("a temporary directory");
    let store = open(directory.path());
    let mut broken = store.upload(&archive("s", "1")).await.expect("an upload");
    let long = content(40 << 20, 1);
    // It has to wait for the disk before it is done.
    assert!(
        futures_util::FutureExt::now_or_never(broken.write(long)).is_none(),
        "a write of 40 MiB ended at once"
    );
    let result = broken.publish(Preconditions::none()).await;
    assert!(matches!(result, Err(StoreError::Io(_))), "{result:?}");
    assert_eq!(tag(&store, &archive("s", "1")).await, None);
    nothing_is_left(&directory).await;
}

#[tokio::test]
async fn what_stands_in_the_way_of_an_archive_is_named_and_harms_nothing_else() {
    let directory = TempDir::new().expect("a temporary directory");
    fs::create_dir(directory.path().join("sites")).expect("a directory");
    fs::write(directory.path().join("sites/s"), "not a directory").expect("a file");
    let store = open(directory.path());
    let blocked = upload(&store, &archive("s", "1"), [content(9, 1)], Preconditions::none()).await;
    match blocked {
        Err(error @ StoreError::Corrupt { .. }) => {
            assert!(error.to_string().starts_with("sites/s/artifacts is damaged: "), "{error}");
        }
        other => panic!("expected that the file is named, got {other:?}"),
    }
    assert_eq!(temporary_files(&directory), Vec::<PathBuf>::new());
    publish(&store, &archive("t", "1"), &content(9, 1)).await;

    // A directory that is taken away under the store.
    fs::remove_dir_all(directory.path().join("sites/t")).expect("a removal");
    let lost = upload(&store, &archive("t", "1"), [content(9, 1)], Preconditions::none()).await;
    assert!(matches!(lost, Err(StoreError::Io(_))), "{lost:?}");
    publish(&store, &archive("t", "1"), &content(9, 1)).await;
    store.check().await.expect("a sound store");
}

#[test]
fn an_archive_far_larger_than_the_memory_goes_in_and_out() {
    let is_long = std::env::var_os("STOWAGE_LONG").is_some_and(|value| value == "1");
    let length: u64 = if is_long { 1 << 30 } else { 128 << 20 };
    let directory = TempDir::new().expect("a temporary directory");
    let output = Command::new(env!("CARGO_BIN_EXE_stowage-store-child"))
        .arg("large-archive")
        .args([directory.path(), Path::new(&length.to_string())])
        .output()
        .expect("a process of its own");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let growth: u64 = said.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
    assert!(growth < 16 << 20, "{growth} bytes for an archive of {length}");
    let file = directory.path().join("sites/s/artifacts/1.tar.gz");
    assert_eq!(fs::metadata(file).expect("the file").len(), length);
}
