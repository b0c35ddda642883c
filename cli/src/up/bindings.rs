//! A StoreNamespace's credentials as files, in the form of the Service Binding specification
//! for Kubernetes: an application reads the directory just as it would read the mounted Secret on a
//! cluster.

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
        if std::fs::read(&path).ok().as_deref() != Some(content.as_bytes()) {
            private_file::write(&path, content.as_bytes()).map_err(|e| failed(&path, e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use stowage_config::Access;
    use stowage_crds::NamespaceContract;

    use super::*;

    #[test]
    fn the_uri_leads_to_the_namespace() {
        let table = [
            (NamespaceContract::Kv, "cart", "http://127.0.0.1:8080/api/storage?ns=cart"),
            (NamespaceContract::Kv, "a+b", "http://127.0.0.1:8080/api/storage?ns=a%2Bb"),
            (NamespaceContract::RunStore, "ci", "http://127.0.0.1:8080/run-stores/ci"),
            (NamespaceContract::RunStore, "/", "http://127.0.0.1:8080/"),
        ];
        for (contract, subject, expected) in table {
            let namespace = NamespacePlan {
                name: "x".to_owned(),
                contract,
                subject: subject.to_owned(),
                access: Access::Read,
                token_life: std::time::Duration::from_secs(3600),
                token_generation: 0,
            };
            assert_eq!(uri(&namespace, "0.0.0.0:8080".parse().unwrap()), expected);
        }
    }
}
