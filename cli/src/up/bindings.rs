//! A StoreNamespace's credentials as files, in the form of the Service Binding specification
//! for Kubernetes: an application reads the directory just as it would read the mounted Secret on a
//! cluster.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use stowage_crds::render;

use super::plan::NamespacePlan;
use super::{addresses, private_file};
use crate::exit::{Failure, io_failure};

/// The URL of a StoreNamespace in a Store that is served at an address.
pub(crate) fn uri(namespace: &NamespacePlan, store: SocketAddr) -> String {
    addresses::url(store) + &render::namespace_path(namespace.contract, &namespace.subject)
}

/// Writes the files; only those that differ, so that a reader that watches them is not woken.
///
/// # Errors
/// [`Failure::Environment`] where the system refuses.
pub(crate) fn write(
    directory: &Path,
    namespace: &NamespacePlan,
    store: SocketAddr,
    token: &str,
) -> Result<(), Failure> {
    let failed = |path: &Path, e| io_failure("write the credentials", path, &e);
    private_file::make_dir(directory).map_err(|e| failed(directory, e))?;
    let host = addresses::host(store);
    for (name, content) in render::binding(&host, store.port(), &uri(namespace, store), token) {
        let path = directory.join(name);
        if fs::read(&path).ok().as_deref() != Some(content.as_bytes()) {
            private_file::write(&path, content.as_bytes()).map_err(|e| failed(&path, e))?;
        }
    }
    Ok(())
}

/// Removes what [`write`] wrote, and the directory where nothing else is in it.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    for (name, _) in render::binding("", 0, "", "") {
        private_file::remove(&directory.join(name))?;
    }
    private_file::remove_temporary(directory)?;
    match fs::remove_dir(directory) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use stowage_crds::NamespaceContract;

    use super::*;
    use crate::up::examples;

    #[test]
    fn what_was_written_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("cart");
        remove(&directory).unwrap();
        for (own, expected) in [(None, false), (Some("notes.txt"), true)] {
            fs::create_dir(&directory).unwrap();
            let written = render::binding("h", 1, "u", "t").into_iter().map(|(name, _)| name);
            for name in written.chain([".stowage-x1y2z3"]).chain(own) {
                fs::write(directory.join(name), "x").unwrap();
            }
            remove(&directory).unwrap();
            assert_eq!(directory.exists(), expected, "{own:?}");
        }
        let left = fs::read_dir(&directory).unwrap().map(|it| it.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["notes.txt"]);
        fs::create_dir(directory.join(".stowage-theirs")).unwrap();
        remove(&directory).unwrap();
        assert!(directory.join(".stowage-theirs").exists(), "it writes no directories");
    }

    #[test]
    fn the_uri_leads_to_the_namespace() {
        let table = [
            (NamespaceContract::Kv, "cart", "http://127.0.0.1:8080/api/storage?ns=cart"),
            (NamespaceContract::Kv, "a+b", "http://127.0.0.1:8080/api/storage?ns=a%2Bb"),
            (NamespaceContract::RunStore, "ci", "http://127.0.0.1:8080/run-stores/ci"),
            (NamespaceContract::RunStore, "/", "http://127.0.0.1:8080/"),
        ];
        for (contract, subject, expected) in table {
            let namespace =
                NamespacePlan { contract, subject: subject.to_owned(), ..examples::namespace("x") };
            assert_eq!(uri(&namespace, "0.0.0.0:8080".parse().unwrap()), expected);
        }
    }
}
