//! What can go wrong in a store, in the terms of its caller.

use std::io;

use crate::EntityTag;

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why an operation was not carried out. A write that returns [`StoreError::Indeterminate`] may
/// or may not have been applied; with any other error, it was not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A precondition does not hold; the write was not applied.
    #[error("the precondition does not hold for the current state")]
    PreconditionFailed {
        /// The tag of the current representation, `None` where there is none.
        current: Option<EntityTag>,
    },
    /// The write would take the namespace over its quota.
    #[error("the namespace's quota is {limit} {quota}, and the write needs {needed}")]
    QuotaExceeded {
        /// Which quota.
        quota: Quota,
        /// Its value.
        limit: u64,
        /// What the namespace would hold after the write.
        needed: u64,
    },
    /// The volume is full. Reads and deletes still work.
    #[error("the volume is full")]
    OutOfSpace,
    /// What is stored does not check out; it is neither served nor overwritten.
    #[error("{key} is damaged: {reason}")]
    Corrupt {
        /// The key, as its path in the layout.
        key: String,
        /// What does not check out.
        reason: String,
    },
    /// The store takes no more work: it is shutting down, or an earlier failure left it not
    /// knowing what is durable. A write that gets this was not applied.
    #[error("the store takes no more work: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
    /// The write was under way when the store failed: it was applied as a whole or not at all,
    /// and only a restart finds out which. Only writes get this.
    #[error(
        "it is unknown whether the write was applied ({reason}): read the current state before writing again"
    )]
    Indeterminate {
        /// What happened.
        reason: String,
    },
    /// The medium refused.
    #[error("input/output error: {0}")]
    Io(#[from] io::Error),
}

impl StoreError {
    /// What the medium's refusal of a write means.
    pub(crate) fn from_io(error: impl Into<io::Error>) -> Self {
        let error = error.into();
        if is_full(&error) { Self::OutOfSpace } else { Self::Io(error) }
    }

    /// Whether it is the fault of the one file that was read, so that a list can go on without it:
    /// it is damaged, or may not or cannot be read. What may pass by itself, or is the whole
    /// store's, is not.
    #[must_use]
    pub fn is_of_one(&self) -> bool {
        match self {
            Self::Corrupt { .. } => true,
            Self::Io(error) => is_of_one(error),
            _ => false,
        }
    }
}

/// Whether the file, or the directory, is what the medium refuses, and others may be read.
pub(crate) fn is_of_one(error: &io::Error) -> bool {
    use rustix::io::Errno;
    // The last two are what file systems say of what they find damaged themselves.
    [Errno::ACCESS, Errno::PERM, Errno::IO, Errno::BADMSG, Errno::UCLEAN]
        .iter()
        .any(|it| error.raw_os_error() == Some(it.raw_os_error()))
}

/// Whether the volume, or what the user may take of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether the process, or the machine, may open no more files now. It passes.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|it| error.raw_os_error() == Some(it.raw_os_error()))
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Bytes of the encoded snapshot.
    Bytes,
    /// Keys.
    Keys,
}

impl std::fmt::Display for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Keys => "keys",
        })
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_list_goes_on_without_what_is_one_file_s_fault() {
        let table = [
            (Errno::ACCESS, true),
            (Errno::PERM, true),
            (Errno::IO, true),
            (Errno::UCLEAN, true),
            (Errno::MFILE, false),
            (Errno::NFILE, false),
            (Errno::NOMEM, false),
            (Errno::STALE, false),
        ];
        for (errno, expected) in table {
            let error = StoreError::from_io(errno);
            assert_eq!(error.is_of_one(), expected, "{error}");
        }
        let failed = StoreError::Unavailable { reason: "a sync failed".into() };
        assert!(!failed.is_of_one(), "the store has failed");
        assert!(!StoreError::OutOfSpace.is_of_one());
        let damaged = StoreError::Corrupt { key: "a".into(), reason: "b".into() };
        assert!(damaged.is_of_one());
    }
}
