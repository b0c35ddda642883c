//! The children of a source: pure functions, one kind a file.

mod config_map;
mod cron_job;
mod job;
mod pod;

pub(in crate::source) use pod::CONTAINER;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::branch_labels;
use super::problem::Remedy;
use super::validate::{SyncPlan, ValidatedBranch, ValidatedSource};
use crate::options::Options;

/// What one branch needs in the cluster. Destructured without `..` where it is applied, so that a
/// new child that nobody applies does not compile.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resources {
    /// The configuration of its syncs.
    pub config_map: ConfigMap,
    /// Its schedule.
    pub cron_job: CronJob,
    /// The Job that answers the present request; whether it is made is another decision.
    pub job: Option<Job>,
}

/// What all builders look at.
struct Parts<'a> {
    source: &'a ValidatedSource,
    branch: &'a ValidatedBranch,
    plan: &'a SyncPlan,
    options: &'a Options,
}

/// The children of a branch; `None` where its spec gives no configuration.
#[must_use]
pub(super) fn build(
    source: &ValidatedSource,
    branch: &ValidatedBranch,
    options: &Options,
) -> Option<Resources> {
    let plan = branch.plan.as_ref()?;
    let parts = Parts { source, branch, plan, options };
    Some(Resources {
        config_map: config_map::build(&parts),
        cron_job: cron_job::build(&parts),
        job: branch.request.as_deref().map(|request| job::build(&parts, request)),
    })
}

impl Parts<'_> {
    fn metadata(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.source.namespace.clone()),
            labels: Some(branch_labels(&self.source.name, &self.branch.child)),
            ..ObjectMeta::default()
        }
    }

    /// Whether the schedule rests: as the source says, or because every sync would fail the same
    /// way until somebody changes something.
    fn rests(&self) -> bool {
        let stuck =
            self.branch.problem.as_ref().is_some_and(|problem| problem.remedy == Remedy::Change);
        self.source.suspend || stuck
    }
}

#[cfg(test)]
mod tests;
