//! Writes without end, and a line for each one that was acknowledged.

use std::path::Path;
use std::sync::Arc;

use stowage_store::{Patch, Preconditions, Store, VolumeOptions, VolumeStore};
use tokio::task::JoinSet;

use crate::archives::{archive, upload};
use crate::keys::{document, namespace, set};
use crate::writes::{WRITERS, document_after, padded};

/// Returns never: it is killed, or panics at the first write that is refused.
pub(crate) async fn run(directory: &Path, first: u64) {
    let store = VolumeStore::open(directory, &VolumeOptions::default());
    let store = Arc::new(store.expect("the directory opens after a kill"));
    let mut writers = JoinSet::new();
    for i in 0..WRITERS {
        writers.spawn(write_on(Arc::clone(&store), i, first));
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("every write is taken");
    }
}

/// Prints `document <writer> <sequence>`, `member <writer> <sequence> <version>` or
/// `archive <writer> <sequence>` after each write.
async fn write_on(store: Arc<VolumeStore>, writer: usize, first: u64) {
    let key = document(&writer.to_string());
    let archived = archive("s", &writer.to_string());
    for sequence in first.. {
        match document_after(sequence) {
            Some(body) => {
                store.put(&key, body.into(), Preconditions::none()).await.expect("a put");
            }
            None => {
                store.delete(&key, Preconditions::none()).await.expect("a delete");
            }
        }
        println!("document {writer} {sequence}");
        let operations = vec![set(&writer.to_string(), &format!("\"{}\"", padded(sequence)))];
        let patch = Patch { operations, ..Patch::default() };
        let patched = store.patch(&namespace("shared"), patch).await.expect("a patch");
        println!("member {writer} {sequence} {}", patched.namespace.version());
        match document_after(sequence) {
            Some(body) => {
                let pieces = [body.into()];
                upload(&*store, &archived, pieces, Preconditions::none()).await.expect("an upload");
            }
            None => {
                store.delete_archive(&archived, Preconditions::none()).await.expect("a delete");
            }
        }
        println!("archive {writer} {sequence}");
    }
}
