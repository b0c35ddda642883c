//! What `stowage up` does where it may not do everything: directories without permission.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use tokio::process::Command;

use crate::support::{ADMIN, Place, eventually, store, store_with_token};

/// Nobody may do everything, but root.
const NOBODY: u32 = 65534;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// `up` on a place as a user whom permissions hold for. Root runs the program as nobody, from where
/// nobody can reach it.
fn command(place: &Place) -> Command {
    set_mode(&place.path(""), 0o755);
    let binary = place.path("stowage");
    let built = Path::new(env!("CARGO_BIN_EXE_stowage"));
    // A file that was just written may be open in a process that another test starts.
    std::fs::hard_link(built, &binary)
        .or_else(|_| std::fs::copy(built, &binary).map(drop))
        .unwrap();
    let mut command = Command::new(&binary);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.args(place.up_arguments()).args(["--listen", "127.0.0.1:0"]);
    command
}

/// Makes what is there belong to the user of [`command`].
fn give(paths: &[&Path]) {
    if rustix::process::geteuid().is_root() {
        paths.iter().for_each(|path| chown(path, Some(NOBODY), Some(NOBODY)).unwrap());
    }
}

#[tokio::test]
async fn a_directory_without_permission_is_named() {
    let place = Place::new(&[("a.yaml", &store("demo", ""))]);
    std::fs::create_dir(place.data()).unwrap();
    set_mode(&place.data(), 0o555);
    let output = command(&place).output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let said = ["data", "Permission denied", "give this user the right"];
    assert!(said.iter().all(|words| stderr.contains(words)), "{stderr}");
}

#[tokio::test]
async fn a_directory_of_somebody_else_beside_the_bindings_ends_no_start() {
    let place = Place::new(&[("a.yaml", &store_with_token("demo", ADMIN))]);
    let bindings = place.data().join("bindings");
    let theirs = bindings.join("theirs");
    let ours = bindings.join("zebra");
    for directory in [&theirs, &ours] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let half_written = ours.join(".stowage-x1");
    std::fs::write(&half_written, "secret").unwrap();
    give(&[&place.path(""), &place.data(), &bindings, &theirs, &ours]);
    set_mode(&theirs, 0o000);
    let mut up = place.start(command(&place));
    up.wait_ready().await;
    up.wait_for("bindings/theirs").await;
    eventually("the others are swept", || async { (!half_written.exists()).then_some(()) }).await;
    assert!(up.stop().await.success());
    set_mode(&theirs, 0o700);
}
