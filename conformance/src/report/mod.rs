//! A run, written for people and for programs.

pub mod junit;
pub mod table;

use crate::outcome::Outcome;
use crate::run::Report;

/// How many cases came out in each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// As expected.
    pub passed: usize,
    /// Not as expected, where it binds (MUST, contract).
    pub failed: usize,
    /// Not as expected, where it does not bind (SHOULD, MAY).
    pub advice: usize,
    /// The server does not offer it.
    pub not_applicable: usize,
    /// The server did not answer.
    pub errors: usize,
}

impl Counts {
    /// Counts the results of a run.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let mut counts = Self::default();
        for result in &report.results {
            let count = match result.outcome {
                Outcome::Pass => &mut counts.passed,
                Outcome::NotApplicable(_) => &mut counts.not_applicable,
                Outcome::Error(_) => &mut counts.errors,
                Outcome::Fail { .. } if result.is_fatal(report.profile) => &mut counts.failed,
                Outcome::Fail { .. } => &mut counts.advice,
            };
            *count += 1;
        }
        counts
    }
}

/// One line: what came of the run.
#[must_use]
pub fn summary(report: &Report) -> String {
    let counts = Counts::of(report);
    let verdict = if report.conforms() { "conforms" } else { "does not conform" };
    format!(
        "{} {verdict} ({}): {} passed, {} failed, {} SHOULD or MAY not followed, {} not applicable, {} errors",
        report.url,
        report.profile,
        counts.passed,
        counts.failed,
        counts.advice,
        counts.not_applicable,
        counts.errors
    )
}
