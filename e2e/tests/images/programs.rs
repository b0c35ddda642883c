//! The programs of an image run: in its own root directory, as its own user, with nothing else.

use std::process::{Command, Output};

use crate::archive::Image;

/// Runs a program in the image's root, with a mount namespace of its own for `/dev/null`.
fn run(image: &Image, arguments: &[&str]) -> (bool, String) {
    const SCRIPT: &str = "cd \"$0\" && mkdir -p dev && touch dev/null && \
        mount --bind /dev/null dev/null && \
        exec env -i PATH=/usr/local/bin:/usr/bin:/bin \
        /usr/sbin/chroot --userspec=65532:65532 --groups= . \"$@\"";
    let Output { status, stdout, stderr } = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"])
        .arg(SCRIPT)
        .arg(image.root())
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.success(), said)
}

#[test]
fn binaries_run_in_their_images() {
    for (name, program) in [
        ("stowage-operator", "stowage-operator"),
        ("stowage-sidecar", "stowage-sidecar"),
        ("stowage-sync", "stowage-sidecar"),
        ("stowage-git-server", "stowage-git-server"),
    ] {
        let (success, said) = run(
            &Image::open(name),
            &["/usr/local/bin/PROGRAM".replace("PROGRAM", program).as_str(), "--version"],
        );
        assert!(success, "{name}: {said}");
        assert_eq!(said.trim(), format!("{program} {}", env!("CARGO_PKG_VERSION")), "{name}");
    }
}

/// The libraries of git, of its HTTPS helper and of ssh are all there: each gets as far as the
/// network, where nobody answers.
#[test]
fn git_reaches_the_network_from_the_sync_image() {
    let image = Image::open("stowage-sync");
    // Without one, the container runtime chooses.
    let path = "PATH=/usr/local/bin:/usr/bin:/bin";
    assert!(image.config["Env"].as_array().unwrap().contains(&path.into()), "{}", image.config);
    for (url, expected) in [
        ("https://127.0.0.1:1/x.git", "Failed to connect to 127.0.0.1 port 1"),
        ("http://127.0.0.1:1/x.git", "Failed to connect to 127.0.0.1 port 1"),
        ("ssh://git@127.0.0.1:1/x.git", "connect to host 127.0.0.1 port 1: Connection refused"),
    ] {
        let (success, said) = run(&image, &["git", "ls-remote", url]);
        assert!(!success && said.contains(expected), "{url}: `{expected}` is not in:\n{said}");
    }
    let (success, said) = run(&image, &["git", "init", "--quiet", "/tmp/repository"]);
    assert_eq!((success, said.as_str()), (true, ""), "git init");
}
