//! What runs, and how it gets from one plan to the next.

mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::addresses::{self, Place};
use super::data_dir::DataDir;
use super::diff::{self, Running, Steps};
use super::pending::NotKept;
use super::plan::{BranchKey, OnRemoval, Plan};
use super::resolution::Resolution;
use super::served::{self, Ended, Prepared, ServedStore};
use super::sources::{CONCURRENT_SYNCS_MAX, SyncedBranch, SyncsWhen};
use super::{bindings, departed, transitions};
use crate::exit::Failure;

/// How long until tokens that could not be renewed are tried again; a third of their life is left.
const RENEWAL_RETRY: Duration = Duration::from_secs(30);

/// What becomes of a step that fails because of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Everything is given up: the first start serves all or nothing.
    GiveUp,
    /// It is reported and tried again later; what else is served stays served.
    RetryLater,
}

/// Everything that runs in this process.
pub(crate) struct Supervisor {
    data: DataDir,
    chosen: BTreeMap<String, SocketAddr>,
    /// What was asked for last.
    plan: Plan,
    /// The place of every Store of the plan, also of those that are not served at present.
    places: BTreeMap<String, Place>,
    /// The tokens that were made, by Store.
    made: BTreeMap<String, String>,
    served: BTreeMap<String, ServedStore>,
    branches: BTreeMap<BranchKey, SyncedBranch>,
    sync_slots: Arc<Semaphore>,
    /// Cancelled once the first screen is shown: lines about syncs come after it.
    syncs_released: CancellationToken,
    ended: mpsc::UnboundedSender<Ended>,
    /// When tokens are to be renewed or taken back.
    due_at: Option<SystemTime>,
    /// Failures that were reported and are being retried, so that each is said once.
    reported: BTreeSet<String>,
}

impl Supervisor {
    /// A supervisor of nothing. `chosen` are the addresses given by flags, `ended` hears of
    /// Stores that end by themselves.
    pub(crate) fn new(
        data: DataDir,
        chosen: BTreeMap<String, SocketAddr>,
        ended: mpsc::UnboundedSender<Ended>,
    ) -> Self {
        Self {
            data,
            chosen,
            plan: Plan::default(),
            places: BTreeMap::new(),
            made: BTreeMap::new(),
            served: BTreeMap::new(),
            branches: BTreeMap::new(),
            sync_slots: Arc::new(Semaphore::new(CONCURRENT_SYNCS_MAX)),
            syncs_released: CancellationToken::new(),
            ended,
            due_at: None,
            reported: BTreeSet::new(),
        }
    }

    /// Makes what runs be what `next` says. Everything that can be refused is refused before
    /// anything is changed, and what can fail comes before what cannot be taken back:
    ///
    /// 1. Everything is read and checked.
    /// 2. At the first start, all ports are taken and all data is opened: one that comes to nothing
    ///    leaves the keys and bindings of the manifests before as they were. At a change this comes
    ///    later, because it may take the ports and data of Stores that have to stop first.
    /// 3. What is to be known from now on is kept, durably. Up to here a change has changed
    ///    nothing; from here on it holds, over a kill too: who has gone is not known any more. No
    ///    server takes, and no binding shows, a token that could be forgotten again.
    /// 4. Servers stop to take what is over: they are reconfigured, or stopped.
    /// 5. What has gone from the manifests goes from the disk, now that nobody takes it; bindings
    ///    before the keys of a Store that went with them, by which the next start finds what a kill
    ///    has left.
    /// 6. What is new is served, and what opens it is written for those who use it.
    ///
    /// # Errors
    /// [`Failure::Input`] where `next` cannot be served at all, [`Failure::Environment`] where it
    /// cannot be kept; with [`OnFailure::GiveUp`] also the first thing of the machine that stands in
    /// the way.
    pub(crate) async fn take_up(
        &mut self,
        next: Plan,
        on_failure: OnFailure,
    ) -> Result<(), NotKept> {
        let kept = self.places.iter().filter(|(name, _)| next.store(name).is_some());
        let kept = kept.map(|(name, place)| (name.clone(), *place)).collect();
        let places = addresses::assign(&next.store_names(), &self.chosen, &kept)?;
        transitions::check(&next, &self.plan, &self.data)?;
        let resolved = Resolution::of(&next, &self.data)?;
        let steps = diff::steps(&self.plan, &self.running(), &next);
        let departed = departed::departed(&next, &steps.unbind, &self.data);

        let mut prepared = None;
        if on_failure == OnFailure::GiveUp {
            let (stores, failures) = prepare(&steps.start, &next, &places, &self.data).await;
            if let Some(first) = failures.into_iter().next() {
                return Err(first.into());
            }
            prepared = Some(stores);
        }
        resolved.keep()?;
        self.stop_branches(&steps.stop_branches).await;
        self.reconfigure(&steps, &resolved);
        self.stop_stores(&steps.stop).await;
        departed.remove(&self.data);
        self.remove_data(&steps);
        let (prepared, mut failures) = match prepared {
            Some(stores) => (stores, Vec::new()),
            None => prepare(&steps.start, &next, &places, &self.data).await,
        };
        self.places = places;
        self.due_at = resolved.due_at();
        self.made = resolved.made();
        self.plan = next;
        self.serve(prepared, &resolved);
        failures.extend(self.write_bindings(&resolved).err());
        failures.extend(self.start_branches(&steps.start_branches));
        Ok(self.settle(failures, on_failure)?)
    }

    /// Tries again what could not be done before, and says whether less is missing now.
    ///
    /// # Errors
    /// As [`Self::take_up`].
    pub(crate) async fn retry(&mut self) -> Result<bool, NotKept> {
        let missing = self.reported.len();
        if missing == 0 {
            return Ok(false);
        }
        self.take_up(self.plan.clone(), OnFailure::RetryLater).await?;
        Ok(self.reported.len() < missing)
    }

    /// Renews tokens and takes those back that are over, where it is time. Where that fails, it is
    /// said, and tried again later.
    pub(crate) fn renew(&mut self) {
        if self.due_at.is_none_or(|due_at| SystemTime::now() < due_at) {
            return;
        }
        self.due_at = match self.renewed() {
            Ok(due_at) => due_at,
            Err(failure) => {
                error!("tokens of StoreNamespaces are not renewed: {failure}; trying again");
                SystemTime::now().checked_add(RENEWAL_RETRY)
            }
        };
    }

    /// Takes up what has changed with time, and says when there is something to renew again. Whether
    /// the plan may follow on what is kept is not looked at again: it did when it was taken up, and
    /// what is kept is of it. Of a later plan there can be a part, where that was not kept whole;
    /// nothing of it was handed out, and the plan that is served goes before it.
    fn renewed(&self) -> Result<Option<SystemTime>, NotKept> {
        let resolved = Resolution::of(&self.plan, &self.data)?;
        resolved.keep()?;
        for (name, served) in &self.served {
            if let Some(resolved) = resolved.stores.get(name) {
                served.reconfigure(Arc::clone(&resolved.settings));
            }
        }
        self.write_bindings(&resolved)?;
        Ok(resolved.due_at())
    }

    /// Lets the sources sync, now that a person knows what they are.
    pub(crate) fn release_syncs(&self) {
        self.syncs_released.cancel();
    }

    /// Syncs every branch now.
    pub(crate) fn sync_now(&self) {
        info!("syncing every source now ({})", self.branches.len());
        self.branches.values().for_each(SyncedBranch::sync_now);
    }

    /// Stops everything: syncs first, since they write; then the Stores, all at once.
    pub(crate) async fn shut_down(mut self) {
        join_all(std::mem::take(&mut self.branches).into_values().map(SyncedBranch::stop)).await;
        join_all(std::mem::take(&mut self.served).into_values().map(ServedStore::stop)).await;
    }

    fn running(&self) -> Running {
        Running {
            stores: self.served.keys().cloned().collect(),
            branches: self.branches.keys().cloned().collect(),
        }
    }

    async fn stop_branches(&mut self, keys: &[BranchKey]) {
        let stopping: Vec<_> = keys.iter().filter_map(|key| self.branches.remove(key)).collect();
        join_all(stopping.into_iter().map(SyncedBranch::stop)).await;
    }

    /// Hands their settings to those Stores that go on: where the manifests have changed them, and
    /// where there was something to keep. That can be without a change of the manifests, where one
    /// before was kept in part and taken back.
    fn reconfigure(&self, steps: &Steps, resolved: &Resolution) {
        for (name, served) in &self.served {
            let Some(resolved) = resolved.stores.get(name) else { continue };
            let has_changed = steps.reconfigure.contains(name);
            if has_changed || !resolved.pending.is_empty() {
                served.reconfigure(Arc::clone(&resolved.settings));
            }
            if has_changed {
                info!("store {name}: settings taken up");
            }
        }
    }

    async fn stop_stores(&mut self, names: &[String]) {
        let stopping: Vec<_> = names.iter().filter_map(|name| self.served.remove(name)).collect();
        join_all(stopping.into_iter().map(ServedStore::stop)).await;
        for name in names {
            info!("store {name}: stopped; its ports are free");
        }
    }

    /// What could not be removed is reported and left: it is in nobody's way.
    fn remove_data(&self, steps: &Steps) {
        for (name, policy) in &steps.remove {
            let path = self.data.store(name);
            let shown = path.display();
            match policy {
                OnRemoval::Retain => {
                    info!(
                        "store {name}: removed; its data stays in {shown} (deletionPolicy Retain)"
                    );
                }
                OnRemoval::Delete => match served::delete(name, &self.data) {
                    Ok(()) => info!("store {name}: removed with its data (deletionPolicy Delete)"),
                    Err(e) => error!("store {name}: its data in {shown} cannot be removed: {e}"),
                },
            }
        }
    }

    fn serve(&mut self, prepared: Vec<(String, Prepared)>, resolved: &Resolution) {
        for (name, store) in prepared {
            let Some(resolved) = resolved.stores.get(&name) else { continue };
            let served = store.serve(Arc::clone(&resolved.settings), self.ended.clone());
            // With port 0 this is the first time that the ports are known; they stay.
            self.places.insert(name.clone(), served.place());
            info!("store {name}: serving at {}", addresses::url(served.place().main));
            self.served.insert(name, served);
        }
    }

    fn write_bindings(&self, resolved: &Resolution) -> Result<(), Failure> {
        for (name, served) in &self.served {
            let (Some(store), Some(resolved)) = (self.plan.store(name), resolved.stores.get(name))
            else {
                continue;
            };
            for (namespace, token) in store.namespaces.iter().zip(&resolved.namespace_tokens) {
                let directory = self.data.binding(&namespace.name);
                bindings::write(&directory, namespace, served.place().main, token)?;
            }
        }
        Ok(())
    }

    fn start_branches(&mut self, keys: &[BranchKey]) -> Vec<Failure> {
        let mut failures = Vec::new();
        for key in keys {
            let (Some(plan), Some(served)) =
                (self.plan.branches.get(key), self.served.get(&key.store))
            else {
                continue;
            };
            let when = SyncsWhen {
                released: self.syncs_released.clone(),
                slots: Arc::clone(&self.sync_slots),
            };
            match SyncedBranch::start(self.subject(key), plan, served, when) {
                Ok(branch) => drop(self.branches.insert(key.clone(), branch)),
                Err(failure) => failures.push(failure),
            }
        }
        failures
    }

    /// How lines about a branch start; they name the Store only where it takes that to tell two
    /// of them apart.
    fn subject(&self, key: &BranchKey) -> String {
        let BranchKey { source, branch, store } = key;
        let same = |other: &&BranchKey| other.source == *source && other.branch == *branch;
        if self.plan.branches.keys().filter(same).count() > 1 {
            format!("source {source}/{branch} in {store}")
        } else {
            format!("source {source}/{branch}")
        }
    }

    fn settle(&mut self, failures: Vec<Failure>, on_failure: OnFailure) -> Result<(), Failure> {
        if let (OnFailure::GiveUp, Some(first)) = (on_failure, failures.first()) {
            return Err(first.clone());
        }
        let now: BTreeSet<String> = failures.iter().map(Failure::to_string).collect();
        for message in now.difference(&self.reported) {
            error!("{message}; trying again until it works");
        }
        self.reported = now;
        Ok(())
    }
}

/// Takes the ports of Stores and opens their data; also says what stands in the way.
async fn prepare(
    names: &[String],
    plan: &Plan,
    places: &BTreeMap<String, Place>,
    data: &DataDir,
) -> (Vec<(String, Prepared)>, Vec<Failure>) {
    let (mut prepared, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        let (Some(store), Some(place)) = (plan.store(name), places.get(name)) else { continue };
        match served::prepare(store, *place, data).await {
            Ok(store) => prepared.push((name.clone(), store)),
            Err(failure) => failures.push(failure),
        }
    }
    (prepared, failures)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::up::examples::suspended;
    use crate::up::kept_keys;

    fn supervisor(root: &std::path::Path) -> Supervisor {
        let data = DataDir::open(root).unwrap();
        Supervisor::new(data, BTreeMap::new(), mpsc::unbounded_channel().0)
    }

    #[tokio::test]
    async fn what_cannot_be_read_of_one_store_changes_nothing_of_another() {
        let root = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(root.path());
        let plan = suspended(&[("a", &["cart", "menu"]), ("b", &["shop"])]);
        supervisor.take_up(plan, OnFailure::GiveUp).await.unwrap();
        let kept = |supervisor: &Supervisor| {
            ["a", "b"].map(|store| kept_keys::names(&supervisor.data.signing_key(store)).unwrap())
        };
        let before = kept(&supervisor);
        // What is to be read of a StoreNamespace that is new cannot be.
        fs::create_dir_all(supervisor.data.binding("new").join("token")).unwrap();
        for first in [&["cart"] as &[&str], &[]] {
            let next = suspended(&[("a", first), ("b", &["shop", "new"])]);
            let refused = supervisor.take_up(next, OnFailure::RetryLater).await;
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("read the token in"), "{refused}");
            assert_eq!(kept(&supervisor), before, "nothing of either is changed");
        }
    }
}
