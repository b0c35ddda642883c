//! What people are told by Events: what changed, once. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use stowage_config::{Outcome, SyncReport};
use stowage_crds::{BranchStatus, RuntimeConfigSourceStatus};

use super::stage::Stages;
use super::status::{BranchNow, is_new};
use crate::kubernetes::Severity;

/// An Event to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    /// Whether somebody should look.
    pub severity: Severity,
    /// One CamelCase word.
    pub reason: String,
    /// A sentence.
    pub note: String,
}

/// What to tell of the step from one status to the next.
#[must_use]
pub(super) fn announcements(
    before: &RuntimeConfigSourceStatus,
    after: &RuntimeConfigSourceStatus,
    now: &[BranchNow],
) -> Vec<Announcement> {
    let mut told: Vec<Announcement> = after
        .branches
        .iter()
        .zip(now)
        .filter_map(|(after, now)| {
            let before = before
                .branches
                .iter()
                .find(|before| before.name == after.name && before.store == after.store);
            of_attempt(before, after, now)
        })
        .collect();
    // What a sync reported is told above.
    if now.iter().any(|now| now.problem.is_some()) {
        told.extend(of_problem(&before.conditions, &after.conditions));
    }
    told
}

fn of_attempt(
    before: Option<&BranchStatus>,
    after: &BranchStatus,
    now: &BranchNow,
) -> Option<Announcement> {
    let attempt = now.attempt.as_ref()?;
    if before.is_some_and(|before| !is_new(before, attempt)) {
        return None;
    }
    let same = |field: fn(&BranchStatus) -> &Option<String>| {
        before.is_some_and(|before| field(before) == field(after))
    };
    let (name, store) = (&after.name, &after.store);
    match &attempt.result {
        Ok(SyncReport { outcome: Outcome::Published | Outcome::Unchanged, .. }) => {
            let recovered = before.is_some_and(|b| b.reason.is_some() && !Stages::of(b).done());
            if same(|branch| &branch.digest) && !recovered {
                return None;
            }
            let files = after.files.unwrap_or_default();
            let noun = if files == 1 { "config" } else { "configs" };
            let new = after.revision.as_deref().map(short).unwrap_or_default();
            let old = before.and_then(|before| before.revision.as_deref()).map(short);
            // The same commit comes again where the Store lost its data.
            let old = old.filter(|old| *old != new);
            let old = old.map(|old| format!(" in place of {old}")).unwrap_or_default();
            let note = format!("Branch {name} is served by {store} at {new}{old}: {files} {noun}.");
            Some(Announcement::normal("SyncPublished", note))
        }
        Ok(report) if report.outcome == Outcome::Invalid => {
            let invalid_before = before.map(|before| &before.invalid);
            if same(|branch| &branch.reason) && invalid_before == Some(&after.invalid) {
                return None;
            }
            let note = format!("Branch {name} at {}: {}", revision(after), invalid(after));
            Some(Announcement::warning("SyncInvalid", note))
        }
        Ok(_) | Err(_) => {
            if same(|branch| &branch.reason) && same(|branch| &branch.attempted_configuration) {
                return None;
            }
            let reason = after.reason.as_deref().unwrap_or_default();
            let message = after.message.as_deref().unwrap_or_default();
            let note = format!("Branch {name} into {store}: {reason}: {message}");
            Some(Announcement::warning("SyncFailed", note))
        }
    }
}

/// Something that is missing or in the way, when it comes up.
fn of_problem(before: &[Condition], after: &[Condition]) -> Option<Announcement> {
    let find = |conditions: &'_ [Condition], kind: &str| -> Option<Condition> {
        conditions.iter().find(|condition| condition.type_ == kind).cloned()
    };
    let stalled = find(after, "Stalled")?;
    let known = find(before, "Stalled")
        .is_some_and(|b| b.reason == stalled.reason && b.message == stalled.message);
    (!known).then(|| Announcement::warning(&stalled.reason, stalled.message))
}

impl Announcement {
    fn normal(reason: &str, note: String) -> Self {
        Self { severity: Severity::Normal, reason: reason.to_owned(), note }
    }

    fn warning(reason: &str, note: String) -> Self {
        Self { severity: Severity::Warning, reason: reason.to_owned(), note }
    }
}

/// The first file with its first fault, and how many more there are.
fn invalid(branch: &BranchStatus) -> String {
    let message = branch.message.as_deref().unwrap_or_default();
    let Some(file) = branch.invalid.first() else { return message.to_owned() };
    let fault = file.errors.first().map(|error| {
        let place = if error.at.is_empty() { "its root" } else { &error.at };
        format!(" at {place}: {}", error.message.trim_end_matches('.'))
    });
    format!("{} is invalid{}. {message}", file.file, fault.unwrap_or_default())
}

fn revision(branch: &BranchStatus) -> String {
    branch.attempted_revision.as_deref().map(short).unwrap_or_default()
}

fn short(revision: &str) -> String {
    revision.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_fault_is_told_with_its_place() {
        let cases = [
            (
                json!([{"at": "/runtime/memory", "message": "too much"}]),
                " at /runtime/memory: too much.",
            ),
            (json!([{"at": "3:7", "message": "not YAML."}]), " at 3:7: not YAML."),
            (json!([{"at": "", "message": "no runtime"}]), " at its root: no runtime."),
            (json!([]), "."),
        ];
        for (errors, expected) in cases {
            let branch: BranchStatus = serde_json::from_value(json!({
                "name": "main", "store": "demo", "message": "1 file is invalid",
                "invalid": [{"file": "a.yaml", "errors": errors}],
            }))
            .unwrap();
            assert_eq!(invalid(&branch), format!("a.yaml is invalid{expected} 1 file is invalid"));
        }
    }
}
