//! What a sync uses of the machine that it runs on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where programs are found and where a fetch is kept while it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Directories that hold `git` and `ssh`, as in `PATH`. Relative ones are passed over.
    pub search_path: OsString,
    /// A directory for the fetch; what a sync puts there, it takes away again.
    pub scratch: PathBuf,
}

impl Machine {
    /// As the environment says: `PATH` and `TMPDIR`.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            scratch: std::env::temp_dir(),
        }
    }

    /// A program's absolute path, so that nothing in a working directory is ever run.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.search_path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(program))
            .find(|path| is_executable(path))
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
