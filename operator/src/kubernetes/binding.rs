//! Credentials in the form of the Service Binding specification for Kubernetes 1.1, which
//! frameworks read by themselves: <https://servicebinding.io/spec/core/1.1.0/>, "Well-known Secret
//! Entries". The same as `stowage up` writes into files.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;

/// The type of such a Secret.
pub const TYPE: &str = "servicebinding.io/stowage";

/// The value of both `type` and `provider`.
const KIND: &str = "stowage";

/// The entries of one binding. `uri` is where its holder reads and writes.
#[must_use]
pub fn data(host: &str, port: u16, uri: &str, token: &str) -> BTreeMap<String, ByteString> {
    let entries = [
        ("type", KIND.to_owned()),
        ("provider", KIND.to_owned()),
        ("host", host.to_owned()),
        ("port", port.to_string()),
        ("uri", uri.to_owned()),
        ("token", token.to_owned()),
    ];
    entries.map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).into()
}
