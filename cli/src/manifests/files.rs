//! Which files are read, and their texts.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::problem::Problem;

/// The largest file, in bytes: far above what an API server takes of one resource.
const FILE_BYTES_MAX: u64 = 10 << 20;
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// The files that paths name, in order, each once.
pub(super) fn list(paths: &[PathBuf], problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        let found = if path.is_dir() { directory(path) } else { Ok(vec![path.clone()]) };
        match found {
            Ok(found) => files.extend(found),
            Err(problem) => problems.push(*problem),
        }
    }
    let mut seen = Vec::new();
    files.retain(|file| {
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        let first = !seen.contains(&real);
        seen.push(real);
        first
    });
    files
}

fn directory(path: &Path) -> Result<Vec<PathBuf>, Box<Problem>> {
    let unreadable = |e: io::Error| whole(path, cannot_read("directory", &e));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let extension = file.extension().unwrap_or_default().to_string_lossy();
        let wanted = EXTENSIONS.contains(&&*extension) && !name.starts_with('.');
        if !wanted || file.is_dir() {
            continue;
        }
        // Opening a named pipe would wait for somebody to write into it.
        if file.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let message = "it is not a regular file: move it elsewhere, or give it another ending";
            return Err(whole(&file, message.to_owned()));
        }
        files.push(file);
    }
    if files.is_empty() {
        let message = "there is no .yaml, .yml or .json file here: put manifests into it, such as \
                       a Store (directories in it are not read)";
        return Err(whole(path, message.to_owned()));
    }
    files.sort();
    Ok(files)
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Box<Problem>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|e| whole(path, cannot_read("file", &e)))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!(
            "it is larger than {} MB: split it, or take out what is no manifest",
            FILE_BYTES_MAX >> 20
        );
        return Err(whole(path, message));
    }
    // Text that is still being written begins empty, and is no reason to take anything away.
    if bytes.trim_ascii().is_empty() {
        let message = "it is empty: put a manifest into it, or remove it";
        return Err(whole(path, message.to_owned()));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("it is not UTF-8 (from line {line} on): save it as UTF-8");
        whole(path, message)
    })
}

fn cannot_read(what: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no such {what}: check the path"),
        io::ErrorKind::PermissionDenied => {
            format!("this {what} cannot be read: give this user the right to read it")
        }
        _ => format!("this {what} cannot be read: {error}"),
    }
}

fn whole(path: &Path, message: String) -> Box<Problem> {
    let file = path.to_owned();
    Box::new(Problem { file, line: 0, column: 0, field: String::new(), message })
}
