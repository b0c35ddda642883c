//! What runs, and how it gets from one plan to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::addresses::{self, Place};
use super::announce::{self, Shown};
use super::credentials::{self, Resolved};
use super::data_dir::DataDir;
use super::diff::{self, Running, Steps};
use super::plan::{BranchKey, OnRemoval, Plan};
use super::ready_file::{ReadyFile, ReadyNamespace, ReadyStore};
use super::served::{self, Ended, ServedStore};
use super::sources::{CONCURRENT_SYNCS_MAX, SyncedBranch, SyncsWhen};
use super::{bindings, departed, namespace_tokens, transitions};
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
    /// anything is changed.
    ///
    /// # Errors
    /// [`Failure::Input`] where `next` cannot be served at all; with [`OnFailure::GiveUp`] also
    /// the first thing of the machine that stands in the way.
    pub(crate) async fn take_up(
        &mut self,
        next: Plan,
        on_failure: OnFailure,
    ) -> Result<(), Failure> {
        let kept = self.places.iter().filter(|(name, _)| next.store(name).is_some());
        let kept = kept.map(|(name, place)| (name.clone(), *place)).collect();
        let places = addresses::assign(&next.store_names(), &self.chosen, &kept)?;
        transitions::check(&next, &self.data)?;
        let resolved = self.resolve(&next)?;
        let steps = diff::steps(&self.plan, &self.running(), &next);
        let departed = departed::departed(&next, &steps.unbind, &self.data);
        self.keep(&next, &resolved)?;
        departed.remove(&self.data);
        self.places = places;
        self.due_at = due_at(&resolved);
        self.made = resolved
            .iter()
            .filter_map(|(store, resolved)| Some((store.clone(), resolved.made.clone()?)))
            .collect();

        self.stop_branches(&steps.stop_branches).await;
        for name in &steps.reconfigure {
            if let (Some(served), Some(resolved)) = (self.served.get(name), resolved.get(name)) {
                served.reconfigure(Arc::clone(&resolved.settings));
                info!("store {name}: settings taken up");
            }
        }
        self.stop_stores(&steps.stop).await;
        self.remove_data(&steps);
        self.plan = next;
        let mut failures = self.start_stores(&steps.start, &resolved, on_failure).await;
        failures.extend(self.write_bindings(&resolved).err());
        failures.extend(self.start_branches(&steps.start_branches));
        self.settle(failures, on_failure)
    }

    /// Tries again what could not be done before, and says whether less is missing now.
    ///
    /// # Errors
    /// As [`Self::take_up`].
    pub(crate) async fn retry(&mut self) -> Result<bool, Failure> {
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
        let renewed = self.resolve(&self.plan).and_then(|resolved| {
            self.keep(&self.plan, &resolved)?;
            for (name, served) in &self.served {
                if let Some(resolved) = resolved.get(name) {
                    served.reconfigure(Arc::clone(&resolved.settings));
                }
            }
            self.write_bindings(&resolved)?;
            Ok(due_at(&resolved))
        });
        self.due_at = match renewed {
            Ok(due_at) => due_at,
            Err(failure) => {
                error!("tokens of StoreNamespaces are not renewed: {failure}; trying again");
                SystemTime::now().checked_add(RENEWAL_RETRY)
            }
        };
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

    /// The health address of every Store that is served.
    pub(crate) fn management(&self) -> Vec<(String, SocketAddr)> {
        let addresses = self.served.iter();
        addresses.map(|(name, store)| (name.clone(), store.place().management)).collect()
    }

    /// What the ready file says.
    pub(crate) fn ready_file(&self) -> ReadyFile {
        let mut table = ReadyFile::default();
        for (name, served) in &self.served {
            let Some(store) = self.plan.store(name) else { continue };
            let Place { main, management } = served.place();
            table.stores.insert(
                name.clone(),
                ReadyStore {
                    url: addresses::url(main),
                    management: addresses::url(management),
                    contracts: store.config.contracts.clone(),
                },
            );
            for namespace in &store.namespaces {
                let entry = ReadyNamespace {
                    store: name.clone(),
                    contract: namespace.contract.into(),
                    uri: bindings::uri(namespace, main),
                    binding: self.data.binding(&namespace.name),
                };
                table.namespaces.insert(namespace.name.clone(), entry);
            }
        }
        table
    }

    /// The first screen.
    pub(crate) fn screen(&self) -> String {
        let shown: Vec<_> =
            self.plan.store_names().into_iter().filter_map(|n| self.shown(n)).collect();
        announce::screen(&self.plan, &shown, &self.data.root().display().to_string())
    }

    /// The names of the Stores that are served.
    pub(crate) fn served_names(&self) -> BTreeSet<String> {
        self.served.keys().cloned().collect()
    }

    /// What to paste for some Stores.
    pub(crate) fn paste(&self, names: &BTreeSet<String>) -> String {
        let shown: Vec<_> = names.iter().filter_map(|name| self.shown(name)).collect();
        announce::paste(&shown)
    }

    fn shown(&self, name: &str) -> Option<Shown<'_>> {
        Some(Shown {
            store: self.plan.store(name)?,
            place: self.served.get(name).map(ServedStore::place),
            made: self.made.get(name).map(String::as_str),
        })
    }

    /// The settings and tokens of every Store of a plan that is served.
    fn resolve(&self, plan: &Plan) -> Result<BTreeMap<String, Resolved>, Failure> {
        let now = seconds_now();
        let stores = plan.stores.iter().filter(|store| !store.suspended);
        stores
            .map(|store| Ok((store.name.clone(), credentials::resolve(store, &self.data, now)?)))
            .collect()
    }

    /// Keeps what is known of the StoreNamespaces from now on, also of those of suspended Stores.
    fn keep(&self, plan: &Plan, resolved: &BTreeMap<String, Resolved>) -> Result<(), Failure> {
        for store in &plan.stores {
            match resolved.get(&store.name) {
                Some(resolved) => resolved.pending.commit()?,
                None => namespace_tokens::remember(store, &self.data, seconds_now())?.commit()?,
            }
        }
        Ok(())
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

    /// Takes all ports and opens all data before the first Store is served.
    async fn start_stores(
        &mut self,
        names: &[String],
        resolved: &BTreeMap<String, Resolved>,
        on_failure: OnFailure,
    ) -> Vec<Failure> {
        let mut prepared = Vec::new();
        let mut failures = Vec::new();
        for name in names {
            let (Some(plan), Some(place), Some(resolved)) =
                (self.plan.store(name), self.places.get(name), resolved.get(name))
            else {
                continue;
            };
            match served::prepare(plan, *place, &self.data).await {
                Ok(store) => prepared.push((name, store, Arc::clone(&resolved.settings))),
                Err(failure) => failures.push(failure),
            }
        }
        if on_failure == OnFailure::GiveUp && !failures.is_empty() {
            return failures;
        }
        for (name, store, settings) in prepared {
            let served = store.serve(settings, self.ended.clone());
            // With port 0 this is the first time that the ports are known; they stay.
            self.places.insert(name.clone(), served.place());
            info!("store {name}: serving at {}", addresses::url(served.place().main));
            self.served.insert(name.clone(), served);
        }
        failures
    }

    fn write_bindings(&self, resolved: &BTreeMap<String, Resolved>) -> Result<(), Failure> {
        for (name, served) in &self.served {
            let (Some(store), Some(resolved)) = (self.plan.store(name), resolved.get(name)) else {
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

/// Since 1970.
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// When the first of some Stores has something to renew.
fn due_at(resolved: &BTreeMap<String, Resolved>) -> Option<SystemTime> {
    let first = resolved.values().filter_map(|resolved| resolved.due_at).min()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(first))
}
