//! Works on a store that is much larger than its memory, and says the most that the process took.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stowage_store::{Preconditions, Prefix, Store, VolumeOptions, VolumeStore};

use tokio::task::JoinSet;

use crate::keys::document;

/// Together eight times the memory.
const DOCUMENTS: usize = 4_096;
const BODY: usize = 32 << 10;

/// 16 MiB of memory; and where nothing comes into the tree, more than twice that before a kill.
fn options(checkpoint_after: Duration, dirty_bytes: u64) -> VolumeOptions {
    VolumeOptions {
        cache_bytes: 8 << 20,
        dirty_bytes,
        segment_bytes: 4 << 20,
        journal_bytes: 256 << 20,
        checkpoint_after,
        ..VolumeOptions::default()
    }
}

/// `fill`: leaves all documents in the journal and nearly none in the tree, as a kill would.
/// `start`: starts on that, reads all, writes all again and lists them; prints the peak.
pub(crate) async fn run(directory: &Path, part: &str) {
    if part == "fill" {
        let options = options(Duration::from_secs(3_600), 1 << 30);
        let store = Arc::new(VolumeStore::open(directory, &options).expect("a new store"));
        write_all(&store).await;
        // Without the last words of a shutdown.
        std::process::exit(0);
    }
    let options = options(Duration::from_millis(100), 8 << 20);
    let store = Arc::new(VolumeStore::open(directory, &options).expect("it opens"));
    let after_the_start = peak();
    for number in 0..DOCUMENTS {
        let read = store.get(&document(&number.to_string())).await.expect("a read");
        assert_eq!(read.expect("it is there").body.len(), BODY, "document {number}");
    }
    write_all(&store).await;
    let listed = store.list(&Prefix::run_stores(), None, DOCUMENTS + 1).await.expect("a list");
    assert_eq!(listed.len(), DOCUMENTS, "all are listed");
    say(after_the_start, peak());
}

async fn write_all(store: &Arc<VolumeStore>) {
    for first in (0..DOCUMENTS).step_by(64) {
        let mut puts = JoinSet::new();
        for number in first..first + 64 {
            let store = Arc::clone(store);
            puts.spawn(async move {
                let body = vec![b'x'; BODY].into();
                store.put(&document(&number.to_string()), body, Preconditions::none()).await
            });
        }
        for put in puts.join_all().await {
            put.expect("a put");
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is how this program answers")]
fn say(after_the_start: u64, at_the_end: u64) {
    println!("{after_the_start} {at_the_end}");
}

/// The most memory that this process had at once, in KiB (`VmHWM` of proc(5)).
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says so");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}
