//! What came of a case.

use crate::case::Case;
use crate::profile::Profile;

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as expected.
    Pass,
    /// The server answered, and not as expected.
    Fail {
        /// Which step it was, as a sentence.
        step: String,
        /// What was expected.
        expected: String,
        /// What came.
        found: String,
    },
    /// The server does not offer what the case is about; says what.
    NotApplicable(String),
    /// The server did not answer, so nothing can be said.
    Error(String),
}

/// A case and what came of it.
#[derive(Debug, Clone)]
pub struct Result {
    /// The case.
    pub case: Case,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Result {
    /// Whether this makes the run a failure: a case that MUST hold, or that Stowage's contract
    /// demands, does not, or it is unknown.
    #[must_use]
    pub fn is_fatal(&self, profile: Profile) -> bool {
        match self.outcome {
            Outcome::Fail { .. } => self.case.level(profile).is_binding(),
            Outcome::Error(_) => true,
            Outcome::Pass | Outcome::NotApplicable(_) => false,
        }
    }
}
