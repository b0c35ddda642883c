//! Names, labels and digests of what belongs to a source.
//!
//! A branch may hold `/`, and a source's name may be as long as any object's, so children are
//! known by a part of the name and a digest of all that tells them apart.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::kubernetes::{COMPONENT_SYNC, labels};

/// On the source: any new value asks for a sync now. The name is a part of the API.
pub const SYNC_REQUESTED_AT: &str = "stowage.dev/sync-requested-at";

/// Label of everything of one branch and Store: the name of their CronJob.
pub(super) const SYNC: &str = "stowage.dev/sync";
/// Annotation of Jobs and pods: the name of the source.
pub(super) const SOURCE: &str = "stowage.dev/source";
/// Annotation of Jobs and pods: the branch, as it is written.
pub(super) const BRANCH: &str = "stowage.dev/branch";
/// Annotation of Jobs: the digest of the configuration that they run with.
pub(super) const CONFIGURATION: &str = "stowage.dev/configuration";
/// Annotation of an immediate Job: the digest of what it was made for.
pub(super) const REQUEST: &str = "stowage.dev/request";

/// A CronJob's name has at most 52 characters, since what the controller adds for a Job must fit.
const CRON_JOB_NAME_MAX: usize = 52;
/// The API server's bound of a label's value.
const LABEL_MAX: usize = 63;

/// The first characters of a SHA-256 over all parts, each told from the next.
#[must_use]
pub(super) fn digest(parts: &[&str], chars: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut hex = HEXLOWER.encode(&hash.finalize());
    hex.truncate(chars);
    hex
}

/// The name of the CronJob of a branch and Store: `etl-1a2b3c4d`.
#[must_use]
pub(super) fn child_name(source: &str, branch: &str, store: &str) -> String {
    with_digest(source, &digest(&[source, branch, store], 8), CRON_JOB_NAME_MAX)
}

/// The name of the ConfigMap of one configuration. Another configuration has another ConfigMap, so
/// that a pod never starts with what its node still remembers of the old one.
#[must_use]
pub(super) fn config_map_name(child: &str, configuration: &str) -> String {
    format!("{child}-{configuration}")
}

/// The name of the immediate Job for a request; at most 63 characters.
#[must_use]
pub(super) fn job_name(child: &str, request: &str) -> String {
    let request: String = request.chars().take(10).collect();
    format!("{child}-{request}")
}

/// The Secret with the token that a Store takes from syncs.
#[must_use]
pub(super) fn publisher_secret(store: &str) -> String {
    format!("{store}-publisher")
}

/// The labels of everything that belongs to a source.
#[must_use]
pub(super) fn source_labels(source: &str) -> BTreeMap<String, String> {
    let instance = if source.len() <= LABEL_MAX {
        source.to_owned()
    } else {
        with_digest(source, &digest(&[source], 8), LABEL_MAX)
    };
    labels(COMPONENT_SYNC, &instance)
}

/// The labels of everything that belongs to one branch of it.
#[must_use]
pub(super) fn branch_labels(source: &str, child: &str) -> BTreeMap<String, String> {
    let mut labels = source_labels(source);
    labels.insert(SYNC.to_owned(), child.to_owned());
    labels
}

/// Selects what [`source_labels`] marks.
#[must_use]
pub(super) fn source_selector(source: &str) -> String {
    let labels = source_labels(source);
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

fn with_digest(name: &str, digest: &str, chars_max: usize) -> String {
    let kept: String = name.chars().take(chars_max - digest.len() - 1).collect();
    format!("{}-{digest}", kept.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_enough_and_tell_everything_apart() {
        let long = "a".repeat(253);
        let sources = ["etl", "team.etl", &long, &format!("{long}b")[1..]];
        let mut seen = std::collections::BTreeSet::new();
        for source in sources {
            for branch in ["main", "release/1.2", "release-1.2"] {
                for store in ["demo", "lake"] {
                    let child = child_name(source, branch, store);
                    assert!(child.len() <= 52, "{child}");
                    let job = job_name(&child, &"0".repeat(64));
                    assert!(job.len() <= 63, "{job}");
                    assert!(seen.insert(child), "{source} {branch} {store} has another's name");
                }
            }
            assert!(source_labels(source).values().all(|value| value.len() <= 63));
        }
        assert_eq!(child_name("etl", "main", "demo"), "etl-6167dfff");
    }

    #[test]
    fn a_cut_name_ends_in_a_letter_or_digit() {
        let source = format!("{}-.-{}", "a".repeat(41), "b".repeat(40));
        let child = child_name(&source, "main", "demo");
        assert!(child.starts_with(&format!("{}-", "a".repeat(41))), "{child}");
        assert!(!child.contains("--") && !child.contains('.'), "{child}");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest(&["ab", "c"], 16), digest(&["a", "bc"], 16));
        assert_ne!(digest(&["a"], 16), digest(&["a", ""], 16));
    }
}
