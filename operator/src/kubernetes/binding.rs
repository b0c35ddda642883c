//! Credentials in a Secret, in the form of the Service Binding specification for Kubernetes.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use stowage_crds::render;

/// The type of such a Secret.
pub const TYPE: &str = "servicebinding.io/stowage";

/// What such a Secret holds; see [`render::binding`].
#[must_use]
pub fn data(host: &str, port: u16, uri: &str, token: &str) -> BTreeMap<String, ByteString> {
    let entries = render::binding(host, port, uri, token);
    entries.map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).into()
}
