//! What a sync did, as lines for a person.

use std::io::Write;

use stowage_sync::{Outcome, SyncReport};

/// A commit as Git shortens it; a revision that is shorter stays whole.
fn short(revision: &str) -> &str {
    revision.get(..7).unwrap_or(revision)
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// Turns the reports of one branch into lines. Remembers what it said last, so that an interval
/// sync that finds nothing new says nothing.
#[derive(Debug)]
pub(crate) struct SyncLog {
    /// What every line starts with, such as `source etl/main`.
    subject: String,
    environment: Option<String>,
    /// The commit whose set is served, as far as this process knows.
    served: Option<String>,
    quiet_revision: Option<String>,
}

impl SyncLog {
    pub(crate) fn new(subject: String, environment: Option<String>) -> Self {
        Self { subject, environment, served: None, quiet_revision: None }
    }

    /// Prints a report to standard output, where a person looks for it; the log has it at
    /// `debug`, with what a program wants to know.
    pub(crate) fn record(&mut self, report: &SyncReport) {
        tracing::debug!(
            outcome = ?report.outcome,
            reason = report.reason,
            revision = report.revision,
            files = report.files,
            duration_ms = report.duration_ms,
            "{}",
            self.subject
        );
        let mut out = std::io::stdout().lock();
        for line in self.lines(report) {
            // A closed standard output is no reason to stop syncing.
            let _ = writeln!(out, "{line}");
        }
        let _ = out.flush();
    }

    fn lines(&mut self, report: &SyncReport) -> Vec<String> {
        let revision = report.revision.as_deref().unwrap_or("an unknown commit");
        let environment = match &self.environment {
            Some(environment) => format!(" ({environment})"),
            None => String::new(),
        };
        let subject = &self.subject;
        let files = count(report.files);
        let at = short(revision);
        let lines = match report.outcome {
            Outcome::Published => {
                vec![format!("{subject}: published {files} at {at}{environment}")]
            }
            Outcome::Unchanged if self.quiet_revision == report.revision => Vec::new(),
            Outcome::Unchanged => {
                vec![format!("{subject}: unchanged, {files} at {at}{environment}")]
            }
            Outcome::Invalid => {
                let invalid = report.invalid.len();
                let verb = if invalid == 1 { "is" } else { "are" };
                let first = format!(
                    "{subject}: refused {at}{environment}, {} {verb} invalid; {}",
                    count(invalid),
                    self.what_stays()
                );
                let reasons = report.invalid.iter().flat_map(|file| {
                    file.errors.iter().map(move |error| {
                        format!(
                            "{subject}: {} at {}: {}",
                            file.file,
                            place(&error.at),
                            error.message
                        )
                    })
                });
                std::iter::once(first).chain(reasons).collect()
            }
            Outcome::Failed => vec![format!(
                "{subject}: not synced{environment}: {}; {}",
                report.message.trim_end_matches('.'),
                self.what_stays()
            )],
            Outcome::Unknown => vec![format!(
                "{subject}: not known to be synced{environment}: {}; the next sync settles it",
                report.message.trim_end_matches('.'),
            )],
        };
        match report.outcome {
            Outcome::Published | Outcome::Unchanged => {
                self.served = report.revision.clone();
                self.quiet_revision = report.revision.clone();
            }
            Outcome::Invalid | Outcome::Failed => self.quiet_revision = None,
            Outcome::Unknown => {
                self.served = None;
                self.quiet_revision = None;
            }
        }
        lines
    }

    fn what_stays(&self) -> String {
        match &self.served {
            Some(revision) => format!("the set of {} stays", short(revision)),
            None => "what was served before stays".to_owned(),
        }
    }
}

/// The empty JSON pointer means the whole document; a person would read it as a gap.
fn place(at: &str) -> &str {
    if at.is_empty() { "its root" } else { at }
}

#[cfg(test)]
mod tests {
    use stowage_sync::{FileError, InvalidFile};

    use super::*;

    fn report(outcome: Outcome, revision: Option<&str>, files: usize) -> SyncReport {
        SyncReport {
            repo_id: "etl".to_owned(),
            branch: "main".to_owned(),
            outcome,
            reason: String::new(),
            message: "the repository does not exist; check the url.".to_owned(),
            revision: revision.map(str::to_owned),
            files,
            etag: None,
            invalid: Vec::new(),
            duration_ms: 1,
        }
    }

    #[test]
    fn each_report_is_a_clear_line() {
        let mut log = SyncLog::new("source etl/main".to_owned(), Some("production".to_owned()));
        let mut invalid = report(Outcome::Invalid, Some("ccccccccc"), 2);
        let error = |at: &str, message: &str| FileError { at: at.into(), message: message.into() };
        invalid.invalid = vec![InvalidFile {
            file: "a/runtime.yaml".to_owned(),
            errors: vec![
                error("/steps/0", "\"x\" is not an integer"),
                error("", "is not an object"),
            ],
        }];
        let steps: Vec<(SyncReport, &[&str])> = vec![
            (
                report(Outcome::Failed, None, 0),
                &["source etl/main: not synced (production): the repository does not exist; \
                   check the url; what was served before stays"],
            ),
            (
                report(Outcome::Published, Some("1a2b3c4d5e"), 3),
                &["source etl/main: published 3 files at 1a2b3c4 (production)"],
            ),
            (report(Outcome::Unchanged, Some("1a2b3c4d5e"), 3), &[]),
            (
                report(Outcome::Unchanged, Some("bbbbbbbbb"), 1),
                &["source etl/main: unchanged, 1 file at bbbbbbb (production)"],
            ),
            (
                invalid,
                &[
                    "source etl/main: refused ccccccc (production), 1 file is invalid; the set \
                     of bbbbbbb stays",
                    "source etl/main: a/runtime.yaml at /steps/0: \"x\" is not an integer",
                    "source etl/main: a/runtime.yaml at its root: is not an object",
                ],
            ),
            (
                report(Outcome::Unchanged, Some("bbbbbbbbb"), 1),
                &["source etl/main: unchanged, 1 file at bbbbbbb (production)"],
            ),
            (
                report(Outcome::Unknown, Some("ddddddddd"), 1),
                &["source etl/main: not known to be synced (production): the repository does \
                   not exist; check the url; the next sync settles it"],
            ),
            (
                report(Outcome::Failed, None, 0),
                &["source etl/main: not synced (production): the repository does not exist; \
                   check the url; what was served before stays"],
            ),
        ];
        for (report, expected) in steps {
            assert_eq!(log.lines(&report), expected, "{:?}", report.outcome);
        }
    }
}
