//! What a plan comes to with what is kept: all that is to be read for it is read here, and all that
//! is to be written is known then.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::credentials::{self, Resolved};
use super::data_dir::DataDir;
use super::namespace_tokens;
use super::pending::{self, NotKept, Pending};
use super::plan::Plan;
use crate::exit::Failure;

/// The settings and tokens of a plan, and what is to be kept of them.
pub(crate) struct Resolution {
    /// By the Store, of those that are to be served.
    pub(crate) stores: BTreeMap<String, Resolved>,
    /// What is to be kept of those that are not: their StoreNamespaces are there as well.
    suspended: Vec<Pending>,
}

impl Resolution {
    /// Reads what there is to be read; nothing is written.
    ///
    /// # Errors
    /// As [`credentials::resolve`].
    pub(crate) fn of(plan: &Plan, data: &DataDir) -> Result<Self, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut resolution = Self { stores: BTreeMap::new(), suspended: Vec::new() };
        for store in &plan.stores {
            if store.suspended {
                resolution.suspended.extend(namespace_tokens::remember(store, data, now)?);
            } else {
                let resolved = credentials::resolve(store, data, now)?;
                resolution.stores.insert(store.name.clone(), resolved);
            }
        }
        Ok(resolution)
    }

    /// Keeps what is to be known from now on, of all Stores or of none.
    ///
    /// # Errors
    /// As [`pending::commit`].
    pub(crate) fn keep(&self) -> Result<(), NotKept> {
        let served = self.stores.values().flat_map(|resolved| &resolved.pending);
        pending::commit(served.chain(&self.suspended))
    }

    /// The tokens that were made, by Store.
    pub(crate) fn made(&self) -> BTreeMap<String, String> {
        let made = self.stores.iter();
        made.filter_map(|(store, resolved)| Some((store.clone(), resolved.made.clone()?))).collect()
    }

    /// When the first of the Stores has something to renew.
    pub(crate) fn due_at(&self) -> Option<SystemTime> {
        let first = self.stores.values().filter_map(|resolved| resolved.due_at).min()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(first))
    }
}
