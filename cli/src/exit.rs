//! How a command ends: what the person is told, and the exit code.

use std::process::ExitCode;

/// `EX_USAGE` of sysexits.h: what was given is wrong, and trying again will not help.
pub const WRONG_INPUT: u8 = 64;

/// What shells report for a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked. The text is for a person: what is wrong and what
/// to do about it, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Flags or manifests are wrong.
    #[error("{0}")]
    Input(String),
    /// The machine stands in the way: a port or a directory in use, no permission, a full disk.
    #[error("{0}")]
    Environment(String),
    /// A second SIGINT did not wait for the requests under way.
    #[error("ended at once; requests and syncs under way were cut off")]
    Interrupted,
}

impl Failure {
    /// The exit code that scripts see.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::from(WRONG_INPUT),
            Self::Environment(_) => ExitCode::FAILURE,
            Self::Interrupted => ExitCode::from(INTERRUPTED),
        }
    }
}

/// A file system error as a sentence: what was being done, and what the system said.
pub(crate) fn io_failure(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "; give this user the right to write there",
        std::io::ErrorKind::StorageFull => "; make room on that disk",
        _ => "",
    };
    Failure::Environment(format!("cannot {doing} {}: {error}{hint}", path.display()))
}
