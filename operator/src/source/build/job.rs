//! One sync of a branch.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};

use super::{Parts, pod};
use crate::source::names::{BRANCH, CONFIGURATION, REQUEST, SOURCE, job_name};

/// `EX_TEMPFAIL`, by which a sync says that another try may end well.
const TRY_AGAIN: i32 = 75;
/// How often a sync is tried again. The schedule comes anyway; this is for those with a long one.
const RETRIES: i32 = 2;
/// What a Job may take beside its tries: to find a node, to pull the image, and to wait between
/// the tries (10 s and 20 s, by the Job controller).
const MARGIN_SECS: i64 = 150;
/// How long an immediate Job stays when it is done, for its logs.
const KEPT_SECS: i32 = 600;

/// The Job that answers a request at once.
pub(super) fn build(parts: &Parts<'_>, request: &str) -> Job {
    let mut metadata = parts.metadata(job_name(&parts.branch.child, request));
    let mut annotations = annotations(parts);
    annotations.insert(REQUEST.to_owned(), request.to_owned());
    metadata.annotations = Some(annotations);
    let spec = JobSpec { ttl_seconds_after_finished: Some(KEPT_SECS), ..spec(parts) };
    Job { metadata, spec: Some(spec), status: None }
}

pub(super) fn annotations(parts: &Parts<'_>) -> BTreeMap<String, String> {
    BTreeMap::from([
        (SOURCE.to_owned(), parts.source.name.clone()),
        (BRANCH.to_owned(), parts.branch.name.clone()),
        (CONFIGURATION.to_owned(), parts.plan.digest.clone()),
    ])
}

/// What may pass by itself is tried again, and a node that is emptied is nobody's fault; anything
/// else ends the Job, since a second try would end the same.
pub(super) fn spec(parts: &Parts<'_>) -> JobSpec {
    let deadline =
        parts.plan.timeout_secs.saturating_mul(i64::from(RETRIES) + 1).saturating_add(MARGIN_SECS);
    JobSpec {
        backoff_limit: Some(RETRIES),
        active_deadline_seconds: Some(deadline),
        pod_failure_policy: Some(PodFailurePolicy {
            rules: vec![
                PodFailurePolicyRule {
                    action: "Ignore".to_owned(),
                    on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                        type_: "DisruptionTarget".to_owned(),
                        status: "True".to_owned(),
                    }]),
                    ..PodFailurePolicyRule::default()
                },
                PodFailurePolicyRule {
                    action: "FailJob".to_owned(),
                    on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                        container_name: Some(pod::CONTAINER.to_owned()),
                        operator: "NotIn".to_owned(),
                        values: vec![0, TRY_AGAIN],
                    }),
                    ..PodFailurePolicyRule::default()
                },
            ],
        }),
        template: pod::template(parts),
        ..JobSpec::default()
    }
}
