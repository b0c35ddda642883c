//! Why a command did not do what it was asked.

use std::process::ExitCode;

/// `EX_USAGE` of sysexits.h: what was given is wrong, and trying again will not help.
pub const WRONG_INPUT: u8 = 64;

/// What a command ends with that found its data damaged.
pub(super) const DAMAGED: u8 = 2;

/// A sentence for a person: what is wrong and what to do about it, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong; trying again will not help.
    #[error("{0}")]
    Configuration(String),
    /// The machine stands in the way: a port or a directory in use, no permission, a full disk.
    #[error("{0}")]
    Environment(String),
    /// What was given is damaged or cut.
    #[error("{0}")]
    Damaged(String),
}

impl Failure {
    /// The exit code that scripts and Kubernetes see.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::from(WRONG_INPUT),
            Self::Environment(_) => ExitCode::FAILURE,
            Self::Damaged(_) => ExitCode::from(DAMAGED),
        }
    }
}
