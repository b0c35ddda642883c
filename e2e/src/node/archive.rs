//! The two images that a node cannot do without, made from the host's static busybox: there is no
//! registry to pull them from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::command::{CommandError, output};

/// What holds a pod's namespaces.
pub(super) const PAUSE: &str = "stowage.test/pause:1";
/// A shell with the usual programs, for the volume provisioner and for tests.
pub const BUSYBOX: &str = "stowage.test/busybox:1";
/// Longer than any cluster lives; busybox counts in 32 bits.
const FOREVER: &str = "2147483647";

/// What kept an image from being made.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is no busybox.
    #[error("there is no busybox in PATH: install busybox-static")]
    NoBusybox,
    /// It did not list its programs.
    #[error(transparent)]
    Busybox(#[from] CommandError),
    /// The archive could not be written.
    #[error("cannot write an image: {0}")]
    Write(#[from] io::Error),
}

/// Writes an archive with both images, in the format that `docker save` writes and `ctr images
/// import` reads.
pub(super) fn write(path: &Path) -> Result<(), ArchiveError> {
    let pause = json!({"Entrypoint": ["/bin/busybox", "sleep", FOREVER]});
    write_images(path, &[(PAUSE, pause), (BUSYBOX, shell())])
}

/// Writes an archive with the image [`BUSYBOX`] under a name of the caller's.
///
/// # Errors
/// Where there is no static busybox, or the archive cannot be written.
pub fn write_busybox_as(name: &str, path: &Path) -> Result<(), ArchiveError> {
    write_images(path, &[(name, shell())])
}

fn shell() -> Value {
    json!({"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]})
}

fn write_images(path: &Path, images: &[(&str, Value)]) -> Result<(), ArchiveError> {
    let busybox = find_busybox().ok_or(ArchiveError::NoBusybox)?;
    let names = output(Command::new(&busybox).arg("--list"))?;
    let layer = layer(&fs::read(&busybox)?, names.lines())?;

    let mut archive = tar::Builder::new(fs::File::create(path)?);
    add(&mut archive, "layer.tar", 0o644, &layer)?;
    let mut manifest = Vec::new();
    for (number, (name, config)) in images.iter().enumerate() {
        let file = format!("{number}.json");
        let content = config_file(config, &layer).to_string();
        add(&mut archive, &file, 0o644, content.as_bytes())?;
        manifest.push(json!({"Config": file, "RepoTags": [name], "Layers": ["layer.tar"]}));
    }
    add(&mut archive, "manifest.json", 0o644, json!(manifest).to_string().as_bytes())?;
    archive.finish()?;
    Ok(())
}

fn find_busybox() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("busybox")).find(|file| file.exists())
}

/// One layer: the program, a link for each of its names, and the users that pods run as.
fn layer<'a>(busybox: &[u8], names: impl Iterator<Item = &'a str>) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, "bin/busybox", 0o755, busybox)?;
    for name in names.filter(|&name| name != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        archive.append_link(&mut header, format!("bin/{name}"), "busybox")?;
    }
    let users = b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n";
    add(&mut archive, "etc/passwd", 0o644, users)?;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o1777);
    archive.append_data(&mut header, "tmp/", io::empty())?;
    archive.into_inner()
}

fn add<W: io::Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, name, content)
}

/// The configuration of an image with one layer (OCI image specification, "Image Configuration").
fn config_file(config: &Value, layer: &[u8]) -> Value {
    let digest = HEXLOWER.encode(&Sha256::digest(layer));
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    })
}
