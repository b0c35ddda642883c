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
