//! What is in an image, and what is not.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};

use crate::archive::{Image, bill_beside};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An image, its binary, and the most bytes that it may have: on a public base, those with git bring
/// a Debian.
const IMAGES: [(&str, &str, u64); 4] = [
    ("stowage-operator", "stowage-operator", 30_000_000),
    ("stowage-sidecar", "stowage-sidecar", 30_000_000),
    ("stowage-sync", "stowage-sidecar", 300_000_000),
    ("stowage-git-server", "stowage-git-server", 300_000_000),
];

/// Those that bring nothing but their binary.
const COMMANDLESS: [&str; 2] = ["stowage-operator", "stowage-sidecar"];

#[test]
fn images_run_their_binary_as_an_ordinary_user() {
    for (name, binary, bytes_max) in IMAGES {
        let image = Image::open(name);
        let program = format!("/usr/local/bin/{binary}");
        assert_eq!(image.config["User"], "65532:65532", "{name}");
        assert_eq!(image.config["Entrypoint"], json!([program]), "{name}");
        let file = image.root().join(program.trim_start_matches('/')).metadata().unwrap();
        assert_eq!(file.permissions().mode() & 0o7777, 0o755, "{name}: mode of {program}");
        assert_eq!((file.uid(), file.gid()), (0, 0), "{name}: owner of {program}");
        println!("{name}: {:.1} MB", image.bytes as f64 / 1e6);
        assert!(image.bytes <= bytes_max, "{name} has {} bytes", image.bytes);
    }
}

#[test]
fn images_say_what_they_are() {
    for (name, ..) in IMAGES {
        let image = Image::open(name);
        let label =
            |key: &str| image.config["Labels"][format!("org.opencontainers.image.{key}")].clone();
        assert_eq!(label("title"), name);
        assert_eq!(label("version"), VERSION, "{name}");
        assert_eq!(label("licenses"), "Apache-2.0", "{name}");
        for key in ["source", "revision", "description"] {
            let text = label(key);
            assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{name}: {key} is {text}");
        }
        assert_eq!(image.tags.len(), 1, "{name}: {:?}", image.tags);
        assert!(image.tags[0].contains(&format!("/{name}:")), "{name}: {:?}", image.tags);
    }
}

#[test]
fn operator_and_sidecar_hold_nothing_that_runs_commands() {
    let forbidden = [
        "sh", "bash", "dash", "ash", "zsh", "busybox", "perl", "python3", "apt", "apt-get", "dpkg",
        "git", "ssh", "openssl", "curl", "wget",
    ];
    for name in COMMANDLESS {
        for path in Image::open(name).paths() {
            let program = path.rsplit('/').next().unwrap();
            // The package lists of a base are files of the packages' names.
            let listed = path.starts_with("/var/lib/dpkg/status.d/");
            assert!(listed || !forbidden.contains(&program), "{name} holds {path}");
        }
    }
}

#[test]
fn nothing_in_operator_and_sidecar_gains_rights_or_can_be_changed() {
    for name in COMMANDLESS {
        let image = Image::open(name);
        for path in image.paths() {
            let file = image.root().join(path.trim_start_matches('/')).symlink_metadata().unwrap();
            if !file.is_symlink() {
                let mode = file.permissions().mode();
                assert_eq!(mode & 0o6000, 0, "{name}: {path} is setuid or setgid");
                assert_eq!(mode & 0o002, 0, "{name}: everyone may write {path}");
            }
        }
        let tmp = image.root().join("tmp").metadata().unwrap().permissions().mode();
        assert_eq!(tmp & 0o7777, 0o1777, "{name}: /tmp");
    }
}

#[test]
fn images_know_authorities_and_their_user() {
    for (name, ..) in IMAGES {
        let image = Image::open(name);
        let authorities = image.read("/etc/ssl/certs/ca-certificates.crt");
        let begins = b"-----BEGIN CERTIFICATE-----";
        let count = authorities.windows(begins.len()).filter(|window| window == begins).count();
        assert!(count > 50, "{name} trusts {count} authorities");
        let users = String::from_utf8(image.read("/etc/passwd")).unwrap();
        // ssh refuses to run as a user without a name.
        assert!(
            users.lines().any(|line| line.split(':').nth(2) == Some("65532")),
            "{name}: {users}"
        );
    }
}

#[test]
fn each_image_brings_its_bill_of_materials() {
    for (name, binary, _) in IMAGES {
        let image = Image::open(name);
        let read = |file: &str| -> Value {
            serde_json::from_slice(&image.read(&format!("/usr/share/sbom/{file}"))).unwrap()
        };
        let bill = read(&format!("{binary}.cdx.json"));
        assert_eq!(bill["bomFormat"], "CycloneDX", "{name}");
        assert_eq!(bill["metadata"]["component"]["name"], binary, "{name}");
        assert_eq!(bill["metadata"]["component"]["version"], VERSION, "{name}");
        assert_eq!(bill, bill_beside(name), "{name}: the one beside the archive is another");
        let components: Vec<&str> = bill["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|component| component["name"].as_str().unwrap())
            .collect();
        for expected in ["tokio", "clap"] {
            assert!(components.contains(&expected), "{name}: {expected} is not listed");
        }
        // What is in the workspace counts too; the Git server uses none of it.
        let own = components.contains(&"stowage-config");
        assert_eq!(own, name != "stowage-git-server", "{name}: stowage-config is listed: {own}");
        assert!(!components.contains(&"proptest"), "{name} lists what only tests use");
        assert!(!bill.to_string().contains("/tmp/"), "{name} names a directory of the build");
    }
}
