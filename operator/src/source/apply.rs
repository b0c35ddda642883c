//! Makes the cluster hold what was decided. Needs the API server.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use stowage_crds::RuntimeConfigSource;

use super::build::Children;
use super::decide::Decision;
use super::names::{SYNC, config_map_name};
use super::problem::Problem;
use super::reference::References;
use super::report::BranchJobs;
use super::validate::ValidatedSource;
use crate::context::Context;
use crate::kubernetes::{ApplyError, FIELD_MANAGER, Owner, ensure, remove};

/// The API of a source's namespace, and whose children they are.
pub(super) struct Applier<'a> {
    context: &'a Context,
    owner: Owner,
    config_maps: Api<ConfigMap>,
    cron_jobs: Api<CronJob>,
    jobs: Api<Job>,
}

impl<'a> Applier<'a> {
    /// For the children of a source.
    #[must_use]
    pub(super) fn new(context: &'a Context, source: &RuntimeConfigSource) -> Self {
        let namespace = source.namespace().unwrap_or_default();
        let client = &context.client;
        Self {
            context,
            // A live object has a name and a UID.
            owner: Owner::Controls(source.controller_owner_ref(&()).unwrap_or_default()),
            config_maps: Api::namespaced(client.clone(), &namespace),
            cron_jobs: Api::namespaced(client.clone(), &namespace),
            jobs: Api::namespaced(client.clone(), &namespace),
        }
    }

    /// Brings the children of one branch up to date, cuts off what is superseded, and makes the
    /// Job where it is wanted; says what keeps it from that where somebody has to change something.
    ///
    /// # Errors
    /// [`ApplyError`] where another try may end well.
    pub(super) async fn apply(
        &self,
        children: Children,
        decision: &Decision,
    ) -> Result<Option<Problem>, ApplyError> {
        let Children { config_map, cron_job, job } = children;
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
        if ensure(&self.config_maps, config_map, &self.owner).await?.written {
            self.context.metrics.wrote("ConfigMap");
        }
        if ensure(&self.cron_jobs, cron_job, &self.owner).await?.written {
            self.context.metrics.wrote("CronJob");
        }
        for name in superseded {
            self.delete_job(name).await?;
        }
        match job {
            Some(job) => self.create_job(job).await,
            None => Ok(()),
        }
    }

    /// Makes a Job; one of that name that is there already is the same one.
    async fn create_job(&self, mut job: Job) -> Result<(), ApplyError> {
        let name = job.name_any();
        if let Owner::Controls(reference) = &self.owner {
            job.metadata.owner_references = Some(vec![reference.clone()]);
        }
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match self.jobs.create(&parameters, &job).await {
            Ok(_) => {
                self.context.metrics.wrote("Job");
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let live = self.jobs.get_opt(&name).await.map_err(|e| failed(&name, e))?;
                match live {
                    Some(live) if self.owns(&live) => Ok(()),
                    _ => Err(ApplyError::NameTaken {
                        kind: "Job".to_owned(),
                        name,
                        owner: "somebody else".to_owned(),
                    }),
                }
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
                let message = status.message.clone();
                Err(ApplyError::Refused { kind: "Job".to_owned(), name, message })
            }
            Err(source) => Err(failed(&name, source)),
        }
    }

    fn owns(&self, job: &Job) -> bool {
        let Owner::Controls(us) = &self.owner else { return false };
        job.owner_references().iter().any(|owner| owner.uid == us.uid)
    }

    /// Ends a Job and its pods; it may be one of the schedule, which the CronJob owns.
    async fn delete_job(&self, name: &str) -> Result<(), ApplyError> {
        match self.jobs.delete(name, &DeleteParams::background()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(failed(name, source)),
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
            remove(&self.cron_jobs, name, &self.owner).await?;
        }
        for job in &references.jobs {
            let child = job.labels().get(SYNC).map(String::as_str).unwrap_or_default();
            let going = job.metadata.deletion_timestamp.is_some();
            if !children.contains(child) && !going {
                remove(&self.jobs, &job.name_any(), &self.owner).await?;
            }
        }
        for name in references.config_maps.iter().filter(|name| !config_maps.contains(*name)) {
            remove(&self.config_maps, name, &self.owner).await?;
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

fn failed(name: &str, source: kube::Error) -> ApplyError {
    ApplyError::Api { kind: "Job".to_owned(), name: name.to_owned(), source: Box::new(source) }
}
