//! Where a Store sends traces of its requests.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use stowage_config::{OtlpProtocol, SampleRatio};

use crate::rules;

/// Where traces of requests go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreTracing {
    /// A collector of the OpenTelemetry protocol.
    pub otlp: StoreOtlp,
}

/// A collector of the OpenTelemetry protocol. Its Secrets may come, change and be missing: then traces are
/// dropped, the server's log says so, and requests are served as ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = rules::ca_for_https())]
pub struct StoreOtlp {
    /// Where it listens: `http://HOST:PORT` or `https://HOST:PORT`, with a path where it stands behind
    /// one. By custom the port is 4318 for `http/protobuf` and 4317 for `grpc`.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::otlp_endpoint())]
    pub endpoint: String,
    /// How it is spoken to.
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// A Secret with header fields that each message carries, as its credentials may be: one
    /// `name: value` a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_secret_ref: Option<HeadersReference>,
    /// A Secret with the certificates, in PEM, that a collector behind TLS is checked with. Those of the
    /// system where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaReference>,
    /// The part that is traced of those requests whose sender has not decided that, from 0 to 1. All where
    /// this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_ratio: Option<SampleRatio>,
    /// What the collector knows the server as. `stowage` where this is left out; spans have the Store's
    /// name besides, as `stowage.store`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub service_name: Option<String>,
}

/// A key of a Secret in the same namespace that holds header fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeadersReference {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// The key in its `data`.
    #[serde(default = "headers_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::data_key())]
    pub key: String,
}

/// A key of a Secret in the same namespace that holds certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaReference {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// The key in its `data`.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::data_key())]
    pub key: String,
}

fn headers_key() -> String {
    "headers".to_owned()
}

fn ca_key() -> String {
    "ca.crt".to_owned()
}

/// A key of a Secret that goes with a collector, as a file beside the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracingSecret<'a> {
    /// The field that names it.
    pub field: &'static str,
    /// The Secret.
    pub name: &'a str,
    /// The key in it.
    pub key: &'a str,
    /// The file's name.
    pub file: &'static str,
}

impl StoreOtlp {
    /// The name of the file with header fields.
    pub const HEADERS_FILE: &'static str = "headers";
    /// The name of the file with certificates.
    pub const CA_FILE: &'static str = "ca.crt";

    /// The Secrets that go with the collector.
    pub fn secrets(&self) -> impl Iterator<Item = TracingSecret<'_>> {
        let headers = self.headers_secret_ref.as_ref().map(|reference| TracingSecret {
            field: "headersSecretRef",
            name: &reference.name,
            key: &reference.key,
            file: Self::HEADERS_FILE,
        });
        let ca = self.ca_secret_ref.as_ref().map(|reference| TracingSecret {
            field: "caSecretRef",
            name: &reference.name,
            key: &reference.key,
            file: Self::CA_FILE,
        });
        headers.into_iter().chain(ca)
    }
}
