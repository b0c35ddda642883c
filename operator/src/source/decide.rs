//! Which Jobs are made and which are cut off. Pure.

use super::report::BranchJobs;
use super::validate::ValidatedBranch;

/// What is to be done about the Jobs of a branch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// Whether the Job for the present request is to be made.
    pub create: bool,
    /// Whether the present request needs no Job any more: one was made.
    pub handled: bool,
    /// Running Jobs to be cut off.
    pub superseded: Vec<String>,
}

/// Decides on a branch. `handled` is the request that a Job was made for last, and `attempted` the
/// configuration of the last finished one.
///
/// A running Job with another configuration is cut off: it would publish what nobody wants any
/// more, and a wrong configuration may keep it busy for as long as it may take. One with the same
/// configuration is waited for: it may have fetched before what the request is about, and requests
/// that come faster than a sync takes must not keep every sync from ending. A scheduled Job is
/// waited for by nobody: two syncs at once are safe.
#[must_use]
pub(super) fn decide(
    branch: &ValidatedBranch,
    jobs: &BranchJobs,
    handled: Option<&str>,
    attempted: Option<&str>,
) -> Decision {
    let (Some(request), Some(plan)) = (branch.request.as_deref(), &branch.plan) else {
        return Decision::default();
    };
    let is_present = |configuration: &Option<String>| configuration.as_ref() == Some(&plan.digest);
    let superseded = jobs.running.iter().filter(|job| !is_present(&job.configuration));
    let superseded = superseded.map(|job| job.name.clone()).collect();
    if jobs.requests.iter().any(|made_for| made_for == request) {
        return Decision { create: false, handled: true, superseded };
    }
    // A Job that was removed before anybody saw how it ended.
    let lost =
        attempted != Some(plan.digest.as_str()) && !jobs.configurations.contains(&plan.digest);
    let wanted = handled != Some(request) || lost;
    let busy = jobs.running.iter().any(|job| job.immediate && is_present(&job.configuration));
    Decision { create: wanted && !busy, handled: false, superseded }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::report::RunningJob;
    use super::super::schedule::Schedule;
    use super::super::validate::SyncPlan;
    use super::*;

    fn branch(request: Option<&str>) -> ValidatedBranch {
        ValidatedBranch {
            name: "main".into(),
            store: "demo".into(),
            child: "etl-1".into(),
            problem: None,
            plan: Some(SyncPlan {
                configuration: String::new(),
                digest: "new".into(),
                schedule: Schedule::every(Duration::from_secs(60), 0),
                timeout_secs: 60,
                credentials: None,
                schema: None,
                repository_bytes_max: 1,
                configs_bytes_max: 1,
            }),
            request: request.map(str::to_owned),
        }
    }

    fn running(name: &str, configuration: &str, immediate: bool) -> RunningJob {
        RunningJob {
            name: name.into(),
            configuration: Some(configuration.into()),
            immediate,
            problem: None,
            started: true,
        }
    }

    fn jobs(running: Vec<RunningJob>, requests: &[&str]) -> BranchJobs {
        BranchJobs {
            configurations: running.iter().filter_map(|job| job.configuration.clone()).collect(),
            running,
            requests: requests.iter().map(|request| (*request).to_owned()).collect(),
            newest: None,
        }
    }

    #[test]
    fn a_job_is_made_once_for_each_request_and_older_ones_end_or_are_waited_for() {
        let none = || jobs(Vec::new(), &[]);
        let old = || running("old", "old", true);
        let cut =
            |create| Decision { create, superseded: vec!["old".into()], ..Decision::default() };
        let create = || Decision { create: true, ..Decision::default() };
        let handled = || Decision { handled: true, ..Decision::default() };
        let nothing = Decision::default;
        // What is the case, request, Jobs, handled, attempted, decision.
        let table = [
            ("the first one", Some("1"), none(), None, None, create()),
            ("something is missing", None, none(), None, None, nothing()),
            ("it was made", Some("1"), jobs(Vec::new(), &["1"]), None, None, handled()),
            ("it is done", Some("1"), none(), Some("1"), Some("new"), nothing()),
            ("another request", Some("2"), none(), Some("1"), Some("new"), create()),
            ("its Job was lost", Some("1"), none(), Some("1"), Some("old"), create()),
            (
                "another configuration runs",
                Some("2"),
                jobs(vec![old()], &["1"]),
                Some("1"),
                None,
                cut(true),
            ),
            (
                "another configuration runs by the schedule",
                Some("2"),
                jobs(vec![running("old", "old", false)], &[]),
                Some("1"),
                None,
                cut(true),
            ),
            (
                "the same configuration runs",
                Some("2"),
                jobs(vec![running("same", "new", true)], &["1"]),
                Some("1"),
                Some("new"),
                nothing(),
            ),
            (
                "the same configuration runs by the schedule",
                Some("2"),
                jobs(vec![running("same", "new", false)], &[]),
                Some("1"),
                Some("new"),
                create(),
            ),
            (
                "what runs is left where nothing is asked for",
                None,
                jobs(vec![old()], &["1"]),
                Some("1"),
                None,
                nothing(),
            ),
        ];
        for (case, request, jobs, handled, attempted, expected) in table {
            let decision = decide(&branch(request), &jobs, handled, attempted);
            assert_eq!(decision, expected, "{case}");
        }
    }
}
