//! Makes the cluster hold what was decided. Needs the API server.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource, ResourceExt};
use stowage_crds::RuntimeConfigSource;

use super::build::Resources;
use super::decide::Decision;
use super::names::{SYNC, config_map_name};
use super::problem::Problem;
use super::reference::References;
use super::report::BranchJobs;
use super::validate::ValidatedSource;
use crate::context::Context;
use crate::kubernetes::{ApplyError, Children, Owner};

/// The children of a source.
pub(super) struct Applier<'a> {
    children: Children<'a>,
}

impl<'a> Applier<'a> {
    /// For the children of a source.
    #[must_use]
    pub(super) fn new(context: &'a Context, source: &RuntimeConfigSource) -> Self {
        // A live object has a name and a UID.
        let owner = Owner::Controls(source.controller_owner_ref(&()).unwrap_or_default());
        let namespace = source.namespace().unwrap_or_default();
        Self { children: Children::new(context, &namespace, owner) }
    }

    /// Brings the children of one branch up to date, cuts off what is superseded, and makes the
    /// Job where it is wanted; says what keeps it from that where somebody has to change something.
    ///
    /// # Errors
    /// [`ApplyError`] where another try may end well.
    pub(super) async fn apply(
        &self,
        resources: Resources,
        decision: &Decision,
    ) -> Result<Option<Problem>, ApplyError> {
        let Resources { config_map, cron_job, job } = resources;
        let job = job.filter(|_| decision.create);
        match self.apply_all(config_map, cron_job, job, &decision.superseded).await {
            Ok(()) => Ok(None),
            Err(error @ ApplyError::NameTaken { .. }) => {
                Ok(Some(Problem::change("NameTaken", error.to_string())))
            }
            Err(error @ ApplyError::Refused { .. }) => {
                Ok(Some(Problem::change("Refused", error.to_string())))
            }
            Err(error @ ApplyError::Leaving { .. }) => {
                Ok(Some(Problem::time("Replacing", error.to_string())))
            }
            Err(error @ ApplyError::Api { .. }) => Err(error),
        }
    }

    async fn apply_all(
        &self,
        config_map: ConfigMap,
        cron_job: CronJob,
        job: Option<Job>,
        superseded: &[String],
    ) -> Result<(), ApplyError> {
        self.children.ensure(config_map).await?;
        self.children.ensure(cron_job).await?;
        for name in superseded {
            // It may be one of the schedule, which the CronJob owns.
            self.children.delete::<Job>(name).await?;
        }
        match job {
            Some(job) => self.children.create(job).await,
            None => Ok(()),
        }
    }

    /// Removes what no branch needs any more: the children of branches that were taken out of the
    /// spec, and configurations that no Job runs with.
    ///
    /// # Errors
    /// [`ApplyError::Api`].
    pub(super) async fn remove_unreferenced(
        &self,
        source: &ValidatedSource,
        references: &References,
        jobs: &[BranchJobs],
    ) -> Result<(), ApplyError> {
        // A spec that gives no configuration says nothing about what may go.
        if source.branches.iter().any(|branch| branch.plan.is_none()) {
            return Ok(());
        }
        let children: BTreeSet<&str> =
            source.branches.iter().map(|branch| branch.child.as_str()).collect();
        let config_maps = needed_config_maps(source, jobs);
        for name in references.cron_jobs.iter().filter(|name| !children.contains(name.as_str())) {
            self.children.remove::<CronJob>(name).await?;
        }
        for job in &references.jobs {
            let child = job.labels().get(SYNC).map(String::as_str).unwrap_or_default();
            let going = job.metadata.deletion_timestamp.is_some();
            if !children.contains(child) && !going {
                self.children.remove::<Job>(&job.name_any()).await?;
            }
        }
        for name in references.config_maps.iter().filter(|name| !config_maps.contains(*name)) {
            self.children.remove::<ConfigMap>(name).await?;
        }
        Ok(())
    }
}

fn needed_config_maps(source: &ValidatedSource, jobs: &[BranchJobs]) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    for (branch, jobs) in source.branches.iter().zip(jobs) {
        let present = branch.plan.as_ref().map(|plan| &plan.digest);
        let running = jobs.running.iter().filter_map(|job| job.configuration.as_ref());
        let names = present.into_iter().chain(running);
        needed.extend(names.map(|digest| config_map_name(&branch.child, digest)));
    }
    needed
}
