//! Reads an image's archive, in the format of `docker save`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tar::{Archive, EntryType};
use tempfile::TempDir;

/// An image that was unpacked.
pub(crate) struct Image {
    pub(crate) name: &'static str,
    /// What its configuration says: `User`, `Entrypoint`, `Labels`, `Env`.
    pub(crate) config: Value,
    /// The names that it goes by.
    pub(crate) tags: Vec<String>,
    /// Bytes of all layers' files.
    pub(crate) bytes: u64,
    root: TempDir,
}

/// The directory that `make images` writes to.
fn images() -> PathBuf {
    let cache = std::env::var_os("STOWAGE_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
        home("XDG_CACHE_HOME")
            .or_else(|| home("HOME").map(|home| home.join(".cache")))
            .unwrap()
            .join("stowage")
    });
    cache.join("images")
}

/// The bill of materials that stands beside an archive.
pub(crate) fn bill_beside(name: &str) -> Value {
    let text = fs::read_to_string(images().join(format!("{name}.cdx.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

impl Image {
    /// Unpacks the archive of that name.
    pub(crate) fn open(name: &'static str) -> Self {
        let path = images().join(format!("{name}.tar"));
        let files = read_all(&path);
        let json = |file: &str| -> Value { serde_json::from_slice(&files[file]).unwrap() };
        let manifest = json("manifest.json")[0].clone();
        let root = tempfile::tempdir().unwrap();
        let mut bytes = 0;
        for layer in manifest["Layers"].as_array().unwrap() {
            bytes += unpack(&files[layer.as_str().unwrap()], root.path());
        }
        let tags = manifest["RepoTags"].as_array().unwrap().iter();
        Self {
            name,
            config: json(manifest["Config"].as_str().unwrap())["config"].clone(),
            tags: tags.map(|tag| tag.as_str().unwrap().to_owned()).collect(),
            bytes,
            root,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Every path of the image but its directories, from `/`.
    pub(crate) fn paths(&self) -> Vec<String> {
        fn walk(directory: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), root, found);
                } else {
                    let path = entry.path();
                    found.push(format!("/{}", path.strip_prefix(root).unwrap().display()));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.root(), self.root(), &mut found);
        found.sort();
        found
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        let file = self.root().join(path.trim_start_matches('/'));
        fs::read(file).unwrap_or_else(|error| panic!("{} has no {path}: {error}", self.name))
    }
}

fn read_all(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = File::open(path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make images` first", path.display()));
    let mut archive = Archive::new(file);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if entry.header().entry_type() == EntryType::Symlink {
            // A layer may stand once in the archive and be linked to from where old readers look.
            let target = entry.link_name().unwrap().unwrap().to_string_lossy().into_owned();
            let target = target.trim_start_matches("../").to_owned();
            files.insert(name, files[&target].clone());
        } else {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(name, content);
        }
    }
    files
}

/// Unpacks one layer over what is there, and gives the bytes of its files.
fn unpack(layer: &[u8], root: &Path) -> u64 {
    let mut archive = Archive::new(layer);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    let mut bytes = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().into_owned();
        let file_name = name.file_name().map(|name| name.to_string_lossy().into_owned());
        if let Some(gone) = file_name.as_deref().and_then(|name| name.strip_prefix(".wh.")) {
            let gone = root.join(&name).with_file_name(gone);
            fs::remove_file(&gone).or_else(|_| fs::remove_dir_all(&gone)).unwrap();
            continue;
        }
        bytes += entry.size();
        assert!(entry.unpack_in(root).unwrap(), "{} leads out of the image", name.display());
    }
    bytes
}
