//! What a store does on a file system that is mounted read-only.

use std::path::Path;
use std::process::Command;

use stowage_store::{OpenError, Preconditions, Store};

use crate::keys::document;
use crate::open_uncached;

/// Writes, looks at the refusal while the file system is read-only, and reads again.
pub(crate) async fn run(root: &Path) {
    let store = open_uncached(root).expect("a store");
    let body = "x".repeat(10).into();
    store.put(&document("a"), body, Preconditions::none()).await.expect("a put");
    store.shutdown().await;
    drop(store);

    remount(root, "remount,bind,ro");
    let error = open_uncached(root).expect_err("nothing can be written");
    assert!(matches!(error, OpenError::NoPermission { .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("own it, on a file system that is mounted for writing"),
        "{error}"
    );

    remount(root, "remount,bind,rw");
    let store = open_uncached(root).expect("a store");
    assert!(store.get(&document("a")).await.expect("a get").is_some());
}

fn remount(root: &Path, options: &str) {
    let status = Command::new("mount").args(["-o", options]).arg(root).status();
    assert!(status.expect("mount").success(), "mount -o {options}");
}
