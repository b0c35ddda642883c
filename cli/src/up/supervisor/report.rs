//! What is told of what runs.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Supervisor;
use crate::up::addresses::{self, Place};
use crate::up::announce::{self, Shown};
use crate::up::bindings;
use crate::up::ready_file::{ReadyFile, ReadyNamespace, ReadyStore};
use crate::up::served::ServedStore;

impl Supervisor {
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
}
