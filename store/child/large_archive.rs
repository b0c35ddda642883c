//! An archive far larger than the memory that goes into it.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use stowage_store::{Preconditions, Store, VolumeOptions, VolumeStore};

use crate::archives::archive;

/// What comes in at a time, about what a connection gives.
const PIECE: usize = 64 << 10;

/// Uploads so many bytes and reads them back; prints by how many bytes the most memory that was
/// resident has grown, and the seconds that upload and download took.
pub(crate) async fn run(root: &Path, length: u64) {
    let store = VolumeStore::open(root, &VolumeOptions::default()).expect("a store");
    let key = archive("s", "1");
    let piece = Bytes::from(vec![7; PIECE]);
    let before = resident_bytes_max();
    let began = Instant::now();
    let mut upload = store.upload(&key).await.expect("an upload");
    let mut left = length;
    while left > 0 {
        let next = piece.slice(..PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
        left -= next.len() as u64;
        upload.write(next).await.expect("a write");
    }
    upload.publish(Preconditions::none()).await.expect("it is published");
    let uploaded = began.elapsed();

    let began = Instant::now();
    let archive = store.archive(&key).await.expect("a read").expect("it is there");
    let mut offset = 0;
    loop {
        let piece = archive.content.read(offset, PIECE).await.expect("a piece");
        if piece.is_empty() {
            break;
        }
        offset += piece.len() as u64;
    }
    assert_eq!(offset, length, "all of it is read back");
    let growth = resident_bytes_max() - before;
    println!("{growth} {:.3} {:.3}", uploaded.as_secs_f64(), began.elapsed().as_secs_f64());
}

/// The most bytes of memory that this process had at a time.
fn resident_bytes_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a mark");
    let kibibytes = line.trim().trim_end_matches("kB").trim();
    kibibytes.parse::<u64>().expect("a number") << 10
}
