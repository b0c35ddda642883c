//! The commands of the section "A Store on a cluster" of docs/operations.md do what it says, as they
//! are written.

use serde_json::json;

use crate::support::namespace::Namespace;
use crate::support::pages::{Shell, blocks};
use crate::support::{SOON, eventually, release, repository, stores};

#[test]
fn a_token_is_rotated_and_a_backup_restored() {
    let written = blocks("docs/operations.md", "A Store on a cluster");
    let [rotate, backup, restore] = written.as_slice() else {
        panic!("the page rotates, backs up and restores, in a block each: {written:#?}");
    };
    let _cluster = release::shared();
    let namespace = Namespace::create("operations");
    let store = stores::demo(&namespace);
    // What a backup writes does not belong into the repository.
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(repository("examples"), directory.path().join("examples")).unwrap();
    let shell = Shell::of(&namespace).within(directory.path().to_owned());

    let handed_on = || namespace.get("secret/demo-publisher")["data"]["token"].clone();
    let before = handed_on();
    shell.run(rotate);
    eventually("another token is handed on", SOON, || match handed_on() {
        token if token == before => Err("it is still the old one"),
        _ => Ok(()),
    });

    assert_eq!(store.put("/run-stores/nightly", &[], &json!({"run": 1})).unwrap().status, 200);
    assert_eq!(store.set("cart", "apples", &json!(3)).unwrap().status, 201);
    let tag = store.get("/run-stores/nightly").unwrap().etag;
    shell.run(backup);
    assert_eq!(store.put("/run-stores/nightly", &[], &json!({"run": 2})).unwrap().status, 200);
    assert_eq!(store.put("/run-stores/later", &[], &json!({})).unwrap().status, 200);
    assert_eq!(store.set("cart", "pears", &json!(1)).unwrap().status, 200);
    shell.run(restore);
    stores::reached(&store);
    let restored = store.get("/run-stores/nightly").unwrap();
    assert_eq!((restored.body.as_str(), restored.etag), (r#"{"run":1}"#, tag));
    assert_eq!(store.get("/run-stores/later").unwrap().status, 404);
    assert_eq!(store.keys("cart").unwrap(), json!({"apples": 3}));
}
