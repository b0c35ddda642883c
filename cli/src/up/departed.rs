//! StoreNamespaces that are no longer in the manifests, also those that went while nothing ran:
//! they are forgotten with what was written for them, and one that comes back is another one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tracing::{error, info, warn};

use super::data_dir::DataDir;
use super::plan::Plan;
use super::{bindings, kept_keys, private_file};

/// What a plan does not have any more.
pub(crate) struct Departed {
    /// The names of the StoreNamespaces.
    namespaces: BTreeSet<String>,
    /// The keys of Stores.
    keys: Vec<PathBuf>,
}

/// Looks for what a plan does not have; `unbind` is known to be gone without being kept. That is to
/// be done before it is forgotten that they were there.
pub(crate) fn departed(plan: &Plan, unbind: &[String], data: &DataDir) -> Departed {
    let wanted = plan.stores.iter().flat_map(|store| &store.namespaces);
    let wanted: BTreeSet<&str> = wanted.map(|it| it.name.as_str()).collect();
    let stores = match data.stores_with_keys() {
        Ok(stores) => stores,
        Err(error) => {
            warn!(%error, "it cannot be seen which StoreNamespaces there were");
            Vec::new()
        }
    };
    let mut namespaces: BTreeSet<String> = unbind.iter().cloned().collect();
    let mut keys = Vec::new();
    for store in &stores {
        let path = data.signing_key(store);
        match kept_keys::names(&path) {
            Ok(names) => {
                let names = names.into_iter();
                namespaces.extend(names.filter(|name| !wanted.contains(name.as_str())));
                keys.extend(plan.store(store).is_none().then_some(path));
            }
            // Somebody else's file, for all that is known.
            Err(failure) => warn!("{failure}"),
        }
    }
    Departed { namespaces, keys }
}

impl Departed {
    /// Removes their credentials, once nobody takes those any more: what is left of them where that
    /// is cut short opens nothing. What cannot be removed is reported and left.
    pub(crate) fn remove(self, data: &DataDir) {
        for name in &self.namespaces {
            match bindings::remove(&data.binding(name)) {
                Ok(()) => info!("namespace {name}: removed with its credentials; its data stays"),
                Err(e) => error!("namespace {name}: its credentials cannot be removed: {e}"),
            }
        }
        for path in &self.keys {
            if let Err(error) = private_file::remove(path) {
                error!(%error, "{} of a Store that is gone cannot be removed", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::up::examples::suspended;
    use crate::up::resolution::Resolution;

    /// What a removal did not come to, or a kill cut short, is found by each later start until it
    /// is done.
    #[test]
    fn what_is_left_of_a_store_that_is_gone_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        let both = suspended(&[("demo", &["cart"]), ("lake", &["menu", "shop"])]);
        Resolution::of(&both, &data).unwrap().keep().unwrap();
        for name in ["cart", "menu", "shop"] {
            fs::create_dir_all(data.binding(name)).unwrap();
            fs::write(data.binding(name).join("token"), "t").unwrap();
        }
        let next = suspended(&[("demo", &["cart"])]);
        Resolution::of(&next, &data).unwrap().keep().unwrap();
        let left = || [data.binding("menu"), data.binding("shop"), data.signing_key("lake")];
        for gone in 0..3 {
            assert!(left()[gone..].iter().all(|path| path.exists()), "{gone} are gone so far");
            let departed = departed(&next, &[], &data);
            assert_eq!(departed.namespaces, ["menu", "shop"].map(str::to_owned).into());
            assert_eq!(departed.keys, [data.signing_key("lake")]);
            if gone < 2 {
                bindings::remove(&left()[gone]).unwrap();
            } else {
                departed.remove(&data);
            }
        }
        assert!(left().iter().all(|path| !path.exists()));
        assert!(data.binding("cart").join("token").exists() && data.signing_key("demo").exists());
    }

    #[test]
    fn what_it_did_not_write_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        for directory in ["tokens", "bindings/mine"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let files = ["tokens/other.keys", "tokens/notes", "bindings/mine/token"];
        for file in files {
            fs::write(root.path().join(file), "{}").unwrap();
        }
        departed(&Plan::default(), &[], &data).remove(&data);
        for file in files {
            assert!(root.path().join(file).exists(), "{file}");
        }
    }
}
