//! One reconcile, step by step.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use stowage_crds::{RuntimeConfigSource, RuntimeConfigSourceStatus};

use super::announce::announcements;
use super::apply::Applier;
use super::build::build;
use super::decide::{Decision, decide};
use super::dereference::dereference;
use super::problem::Problem;
use super::report::{BranchJobs, RunningJob, branch_jobs};
use super::status::{BranchNow, branch_after, branch_before, status};
use super::validate::{ValidatedBranch, validate};
use crate::context::Context;
use crate::kubernetes::{Failure, current, write_status};

/// When to look again at a sync that does not start: what its node says comes without a change of
/// anything that is watched.
const STARTING: Duration = Duration::from_secs(15);
/// When to look again where an object of somebody else is in the way.
const IN_THE_WAY: Duration = Duration::from_secs(30);

/// Brings one source up to date.
///
/// # Errors
/// [`Failure`] where another try may end well.
pub(super) async fn reconcile(
    source: Arc<RuntimeConfigSource>,
    context: &Context,
) -> Result<Action, Failure> {
    let Some(source) = current(&context.client, &*source).await? else {
        return Ok(Action::await_change());
    };
    let references = dereference(&context.client, &source).await?;
    let validated = validate(&source, &references, context.options.allow_insecure_git_urls);
    let applier = Applier::new(context, &source);

    let mut branches_now = Vec::with_capacity(validated.branches.len());
    let mut branches_jobs = Vec::with_capacity(validated.branches.len());
    for branch in &validated.branches {
        let jobs =
            branch_jobs(&branch.child, &references.jobs, &references.pods, &references.events);
        let mut now = observe(branch, &jobs);
        let known = branch_after(branch_before(&source, &branch.name, &branch.store), &now);
        let decision = if validated.suspend {
            Decision::default()
        } else {
            let attempted = known.attempted_configuration.as_deref();
            decide(branch, &jobs, known.handled_request.as_deref(), attempted)
        };
        let refused = match build(&validated, branch, &context.options) {
            Some(resources) => applier.apply(resources, &decision).await?,
            None => None,
        };
        if refused.is_none() && (decision.create || decision.handled) {
            now.handled.clone_from(&branch.request);
        }
        now.problem = refused.or(now.problem);
        branches_now.push(now);
        branches_jobs.push(jobs);
    }
    applier.remove_unreferenced(&validated, &references, &branches_jobs).await?;
    update_status(&source, &branches_now, context).await?;
    Ok(next_look(&branches_now, &branches_jobs))
}

/// What is known of a branch before anything is done about it.
fn observe(branch: &ValidatedBranch, jobs: &BranchJobs) -> BranchNow {
    let configuration = branch.plan.as_ref().map(|plan| plan.digest.clone());
    let stuck = jobs
        .running
        .iter()
        .filter(|job| job.configuration == configuration)
        .find_map(|job| job.problem.clone());
    BranchNow {
        name: branch.name.clone(),
        store: branch.store.clone(),
        configuration,
        problem: branch.problem.clone().or(stuck),
        handled: None,
        attempt: jobs.newest.clone(),
    }
}

/// Writes the status where it differs, then tells what changed.
async fn update_status(
    source: &RuntimeConfigSource,
    branches: &[BranchNow],
    context: &Context,
) -> Result<(), Failure> {
    let before = source.status.clone().unwrap_or_default();
    let after = status(source, branches, Timestamp::now());
    if before == after {
        return Ok(());
    }
    if !write_status::<RuntimeConfigSource>(context, source, &after).await? {
        return Ok(());
    }
    count(&before, &after, context);
    for told in announcements(&before, &after, branches) {
        tracing::info!(
            source = source.name_any(),
            namespace = source.namespace(),
            reason = told.reason,
            note = told.note
        );
        context.tell(source, told.severity, &told.reason, "Sync", &told.note).await;
    }
    Ok(())
}

fn count(before: &RuntimeConfigSourceStatus, after: &RuntimeConfigSourceStatus, context: &Context) {
    for branch in &after.branches {
        let known = before.branches.iter().any(|before| {
            before.name == branch.name && before.store == branch.store && before.job == branch.job
        });
        if let (false, Some(reason)) = (known, &branch.reason) {
            context.metrics.synced(reason);
        }
    }
}

/// Most of what may come is watched; some is not.
fn next_look(branches: &[BranchNow], jobs: &[BranchJobs]) -> Action {
    let in_the_way = |problem: &Problem| {
        matches!(problem.reason.as_str(), "NameTaken" | "Refused" | "Replacing")
    };
    let starting = |job: &RunningJob| !job.started;
    if jobs.iter().flat_map(|jobs| &jobs.running).any(starting) {
        Action::requeue(STARTING)
    } else if branches.iter().filter_map(|branch| branch.problem.as_ref()).any(in_the_way) {
        Action::requeue(IN_THE_WAY)
    } else {
        Action::await_change()
    }
}
