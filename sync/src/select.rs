//! Which files of a tree are configs: by pattern, mode, name and size, without reading any.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use stowage_config::{FileError, InvalidFile, SyncLimits};

use crate::name::is_name_byte;
use crate::parse::Format;
use crate::text::shorten;

const PATH_BYTES_MAX: usize = 1024;
const SEGMENT_BYTES_MAX: usize = 128;
const TREE_DEPTH_MAX: usize = 64;
const TREE_ENTRIES_MAX: u64 = 1_000_000;
const PATTERNS_MAX: usize = 100;

/// Why no set can be made of a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    #[error("the pattern {pattern:?} in include cannot be used: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("include names no pattern, or more than {PATTERNS_MAX}: write at least one")]
    Patterns,
    #[error(
        "no file of the branch matches the include patterns ({0}), so the set that is served \
         stays: correct the patterns, or DELETE the set from its store to stop serving it"
    )]
    NoFiles(String),
    #[error("more than {0} files match the include patterns: narrow them or raise the limit")]
    TooManyFiles(u64),
    #[error("the configs weigh more than {0} bytes in all: narrow the patterns or raise the limit")]
    TooManyBytes(u64),
    #[error("the tree has more than {TREE_ENTRIES_MAX} files: move the configs elsewhere")]
    TooManyEntries,
    #[error("the tree is nested deeper than {TREE_DEPTH_MAX} directories: flatten it")]
    TooDeep,
    #[error("git lists the tree in a way that is not understood")]
    Listing,
}

/// Checked include patterns.
#[derive(Debug, Clone)]
pub(crate) struct Patterns {
    globs: GlobSet,
    spelling: String,
}

impl Patterns {
    /// Compiles the patterns; `*` stops at `/`, `**` does not.
    ///
    /// # Errors
    /// [`SelectError::Pattern`] names the pattern and what is wrong with it.
    pub(crate) fn parse(patterns: &[String]) -> Result<Self, SelectError> {
        if patterns.is_empty() || patterns.len() > PATTERNS_MAX {
            return Err(SelectError::Patterns);
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(parse_pattern(pattern)?);
        }
        let globs = set.build().map_err(|e| SelectError::Pattern {
            pattern: e.glob().unwrap_or_default().to_owned(),
            reason: e.kind().to_string(),
        })?;
        Ok(Self { globs, spelling: shorten(&patterns.join(", "), 300) })
    }
}

fn parse_pattern(pattern: &str) -> Result<globset::Glob, SelectError> {
    let refuse = |reason: &str| SelectError::Pattern {
        pattern: shorten(pattern, 100),
        reason: reason.to_owned(),
    };
    if pattern.is_empty() || pattern.len() > PATH_BYTES_MAX {
        return Err(refuse("it is empty or longer than 1024 bytes"));
    }
    if pattern.starts_with('/') || pattern.starts_with("./") {
        return Err(refuse("paths begin at the root of the repository without / or ./"));
    }
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map_err(|e| refuse(&e.kind().to_string()))
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) path: String,
    /// The object's id, in hexadecimal digits.
    pub(crate) id: String,
    pub(crate) size_bytes: u64,
    pub(crate) format: Format,
}

/// What a tree holds for a source.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// By path, bytewise.
    pub(crate) files: Vec<Blob>,
    /// What matches and cannot be served.
    pub(crate) invalid: Vec<InvalidFile>,
    /// The schema, where it stands in the repository and is a file.
    pub(crate) schema: Option<Blob>,
}

/// Takes the records of `git ls-tree -r -z -l` one by one.
#[derive(Debug)]
pub(crate) struct Selector<'a> {
    patterns: &'a Patterns,
    limits: &'a SyncLimits,
    schema_path: Option<&'a str>,
    selection: Selection,
    entries: u64,
    total_bytes: u64,
}

impl<'a> Selector<'a> {
    /// The file at `schema_path` is the schema and never a config, whatever the patterns say.
    pub(crate) fn new(
        patterns: &'a Patterns,
        limits: &'a SyncLimits,
        schema_path: Option<&'a str>,
    ) -> Self {
        let selection = Selection::default();
        Self { patterns, limits, schema_path, selection, entries: 0, total_bytes: 0 }
    }

    /// Looks at one record, without the NUL at its end.
    ///
    /// # Errors
    /// [`SelectError`] where a limit is reached; what is wrong with one file is kept instead.
    pub(crate) fn consider(&mut self, record: &[u8]) -> Result<(), SelectError> {
        self.entries += 1;
        if self.entries > TREE_ENTRIES_MAX {
            return Err(SelectError::TooManyEntries);
        }
        let entry = Entry::parse(record).ok_or(SelectError::Listing)?;
        if entry.path.iter().filter(|b| **b == b'/').count() >= TREE_DEPTH_MAX {
            return Err(SelectError::TooDeep);
        }
        if self.schema_path.is_some_and(|path| path.as_bytes() == entry.path) {
            // A link's content would be the name of its target.
            self.selection.schema = entry.to_blob(Format::Yaml).ok().filter(|_| entry.is_regular());
            return Ok(());
        }
        let shown = String::from_utf8_lossy(entry.path);
        if !self.patterns.globs.is_match(as_path(entry.path)) {
            return Ok(());
        }
        match check(&entry, self.limits.max_file_bytes.bytes()) {
            Ok(blob) => {
                self.total_bytes = self.total_bytes.saturating_add(blob.size_bytes);
                self.selection.files.push(blob);
            }
            Err(message) => self.selection.invalid.push(InvalidFile {
                file: shorten(&shown, PATH_BYTES_MAX),
                errors: vec![FileError { at: String::new(), message }],
            }),
        }
        let selected = self.selection.files.len() + self.selection.invalid.len();
        if selected as u64 > self.limits.max_files {
            return Err(SelectError::TooManyFiles(self.limits.max_files));
        }
        if self.total_bytes > self.limits.max_total_bytes.bytes() {
            return Err(SelectError::TooManyBytes(self.limits.max_total_bytes.bytes()));
        }
        Ok(())
    }

    /// What was found.
    ///
    /// # Errors
    /// [`SelectError::NoFiles`] where nothing matched: a wrong pattern must not empty a set.
    pub(crate) fn finish(mut self) -> Result<Selection, SelectError> {
        if self.selection.files.is_empty() && self.selection.invalid.is_empty() {
            return Err(SelectError::NoFiles(self.patterns.spelling.clone()));
        }
        self.selection.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(self.selection)
    }
}

fn as_path(bytes: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt as _;
    std::path::Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Whether a matching entry can be served; the message says why not.
fn check(entry: &Entry<'_>, bytes_max: u64) -> Result<Blob, String> {
    match entry.mode {
        _ if entry.is_regular() => {}
        b"120000" => return Err("it is a symbolic link: commit the file itself".to_owned()),
        b"160000" => return Err("it is a submodule, which is not fetched".to_owned()),
        _ => return Err("it is no regular file".to_owned()),
    }
    let path = check_path(entry.path)?;
    let format = Format::of(path).ok_or(
        "its name ends in neither .yaml, .yml nor .json: rename it, or narrow the include patterns",
    )?;
    let blob = entry.to_blob(format)?;
    if blob.size_bytes > bytes_max {
        return Err(format!(
            "it has {} bytes and the limit is {bytes_max}: split it or raise the limit",
            blob.size_bytes
        ));
    }
    Ok(blob)
}

/// The store's rule for a config's path.
fn check_path(path: &[u8]) -> Result<&str, String> {
    let fits = |segment: &[u8]| {
        !matches!(segment, b"" | b"." | b"..")
            && segment.len() <= SEGMENT_BYTES_MAX
            && segment.iter().all(|b| is_name_byte(*b))
    };
    let valid = path.len() <= PATH_BYTES_MAX && path.split(|b| *b == b'/').all(fits);
    std::str::from_utf8(path).ok().filter(|_| valid).ok_or_else(|| {
        format!(
            "its path cannot be served: it may have {PATH_BYTES_MAX} bytes, {SEGMENT_BYTES_MAX} \
             between two /, all of them letters, digits or . _ : @ + ~ -"
        )
    })
}

/// A record of the listing: `<mode> SP <type> SP <id> SP+ <size> TAB <path>`.
struct Entry<'a> {
    mode: &'a [u8],
    id: &'a [u8],
    /// Digits, or `-` where it is no file.
    size: &'a [u8],
    path: &'a [u8],
}

impl<'a> Entry<'a> {
    fn parse(record: &'a [u8]) -> Option<Self> {
        let tab = record.iter().position(|b| *b == b'\t')?;
        let (head, path) = (record.get(..tab)?, record.get(tab + 1..)?);
        let mut words = head.split(|b| *b == b' ').filter(|word| !word.is_empty());
        let (mode, _kind, id, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (words.next().is_none() && !path.is_empty()).then_some(Self { mode, id, size, path })
    }

    fn is_regular(&self) -> bool {
        matches!(self.mode, b"100644" | b"100755")
    }

    fn to_blob(&self, format: Format) -> Result<Blob, String> {
        let unknown = || "git does not say its size".to_owned();
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| unknown());
        Ok(Blob {
            path: text(self.path)?.to_owned(),
            id: text(self.id)?.to_owned(),
            size_bytes: text(self.size)?.parse().map_err(|_| unknown())?,
            format,
        })
    }
}

#[cfg(test)]
mod tests;
