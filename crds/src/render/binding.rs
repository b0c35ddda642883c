//! Credentials in the form of the Service Binding specification for Kubernetes 1.1, which frameworks
//! read by themselves: <https://servicebinding.io/spec/core/1.1.0/>, "Well-known Secret Entries". On
//! a cluster they are the keys of a Secret, without one the files of a directory.

use crate::NamespaceContract;

/// The value of both `type` and `provider`.
const KIND: &str = "stowage";

/// The entries of one binding. `host` is without brackets; `uri` is where its holder reads and
/// writes.
#[must_use]
pub fn binding(host: &str, port: u16, uri: &str, token: &str) -> [(&'static str, String); 6] {
    [
        ("type", KIND.to_owned()),
        ("provider", KIND.to_owned()),
        ("host", host.to_owned()),
        ("port", port.to_string()),
        ("uri", uri.to_owned()),
        ("token", token.to_owned()),
    ]
}

/// The path, and query, of a namespace below its Store's URL. The run store's document `/` is the
/// default one. A name's characters need no escape in a path or a query, but for `+`, which some
/// read as a space in a query.
#[must_use]
pub fn namespace_path(contract: NamespaceContract, name: &str) -> String {
    let escaped = name.replace('+', "%2B");
    match contract {
        NamespaceContract::Kv => format!("/api/storage?ns={escaped}"),
        NamespaceContract::RunStore if name == "/" => "/".to_owned(),
        NamespaceContract::RunStore => format!("/run-stores/{escaped}"),
        NamespaceContract::Jobs => format!("/jobs/{escaped}"),
        NamespaceContract::Artifacts => format!("/sites/{escaped}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_namespace() {
        let table = [
            (NamespaceContract::Kv, "cart", "/api/storage?ns=cart"),
            (NamespaceContract::Kv, "a+b", "/api/storage?ns=a%2Bb"),
            (NamespaceContract::RunStore, "ci", "/run-stores/ci"),
            (NamespaceContract::RunStore, "a+b", "/run-stores/a%2Bb"),
            (NamespaceContract::RunStore, "/", "/"),
            (NamespaceContract::Jobs, "a+b", "/jobs/a%2Bb"),
            (NamespaceContract::Artifacts, "blog", "/sites/blog"),
            (NamespaceContract::Artifacts, "a+b", "/sites/a%2Bb"),
        ];
        for (contract, name, expected) in table {
            assert_eq!(namespace_path(contract, name), expected, "{contract:?} {name}");
        }
    }
}
