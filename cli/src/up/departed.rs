//! StoreNamespaces that are no longer in the manifests, also those that went while nothing ran:
//! they are forgotten with what was written for them, and one that comes back is another one.

use std::collections::BTreeSet;

use tracing::{error, info, warn};

use super::data_dir::DataDir;
use super::plan::Plan;
use super::{bindings, kept_keys, private_file};

/// Removes the credentials of what a plan does not have, and the keys of Stores that it does not
/// have; before it is forgotten that they were there, so that a kill in between leaves nothing.
/// `unbind` is known to be gone without being kept. What could not be removed is reported and left:
/// it is in nobody's way.
pub(crate) fn let_go(plan: &Plan, unbind: &[String], data: &DataDir) {
    let namespaces = plan.stores.iter().flat_map(|store| &store.namespaces);
    let wanted: BTreeSet<&str> = namespaces.map(|it| it.name.as_str()).collect();
    let stores = match data.stores_with_keys() {
        Ok(stores) => stores,
        Err(error) => {
            warn!(%error, "it cannot be seen which StoreNamespaces there were");
            Vec::new()
        }
    };
    let mut gone: BTreeSet<String> = unbind.iter().cloned().collect();
    let mut unused = Vec::new();
    for store in &stores {
        let path = data.signing_key(store);
        match kept_keys::names(&path) {
            Ok(names) => {
                gone.extend(names.into_iter().filter(|name| !wanted.contains(name.as_str())));
                unused.extend(plan.store(store).is_none().then_some(path));
            }
            // Somebody else's file, for all that is known.
            Err(failure) => warn!("{failure}"),
        }
    }
    for name in &gone {
        match bindings::remove(&data.binding(name)) {
            Ok(()) => info!("namespace {name}: removed with its credentials; its data stays"),
            Err(e) => error!("namespace {name}: its credentials cannot be removed: {e}"),
        }
    }
    for path in &unused {
        if let Err(error) = private_file::remove(path) {
            error!(%error, "{} of a Store that is gone cannot be removed", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
        let_go(&Plan::default(), &[], &data);
        for file in files {
            assert!(root.path().join(file).exists(), "{file}");
        }
    }
}
