//! The schedule of a branch.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Parts, job};
use crate::source::names::branch_labels;

/// How many finished Jobs of the schedule stay, for their logs.
const HISTORY: i32 = 1;

pub(super) fn build(parts: &Parts<'_>) -> CronJob {
    let schedule = &parts.plan.schedule;
    let deadline = i64::try_from(schedule.starting_deadline().as_secs()).unwrap_or(i64::MAX);
    CronJob {
        metadata: parts.metadata(parts.branch.child.clone()),
        spec: Some(CronJobSpec {
            schedule: schedule.cron.clone(),
            time_zone: Some("Etc/UTC".to_owned()),
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(deadline),
            successful_jobs_history_limit: Some(HISTORY),
            failed_jobs_history_limit: Some(HISTORY),
            suspend: Some(parts.rests()),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(branch_labels(&parts.source.name, &parts.branch.child)),
                    annotations: Some(job::annotations(parts)),
                    ..ObjectMeta::default()
                }),
                spec: Some(job::spec(parts)),
            },
        }),
        status: None,
    }
}
