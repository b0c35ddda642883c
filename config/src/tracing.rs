//! Where traces of requests go.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Where traces of requests go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tracing {
    /// A collector of the OpenTelemetry protocol.
    pub otlp: Otlp,
}

/// A collector of the OpenTelemetry protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Otlp {
    /// Where it listens.
    pub endpoint: OtlpEndpoint,
    /// How it is spoken to.
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// A file of header fields that each message to it carries, one `name: value` a line, as its
    /// credentials may be. It is read for each message, so a mounted Secret may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
    /// The certificates, in PEM, that one behind TLS is checked with; the system's where this is left out.
    /// They are read when it is connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How many of the requests are traced whose sender has not decided that.
    #[serde(default)]
    pub sample_ratio: SampleRatio,
    /// What the collector knows the server as.
    #[serde(default = "default_service_name")]
    pub service_name: String,
}

impl Otlp {
    /// A collector with the defaults.
    #[must_use]
    pub fn new(endpoint: OtlpEndpoint) -> Self {
        Self {
            endpoint,
            protocol: OtlpProtocol::default(),
            headers_file: None,
            ca_file: None,
            sample_ratio: SampleRatio::default(),
            service_name: default_service_name(),
        }
    }
}

fn default_service_name() -> String {
    "stowage".to_owned()
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OtlpProtocol {
    /// HTTP/1.1, by custom on port 4318.
    #[default]
    #[serde(rename = "http/protobuf")]
    Http,
    /// gRPC over HTTP/2, by custom on port 4317.
    #[serde(rename = "grpc")]
    Grpc,
}

/// The URL of a collector: `http://host:port` or `https://host:port`, with a path where it stands behind one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OtlpEndpoint(String);

/// The text is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not the URL of a collector: write http://HOST:PORT or https://HOST:PORT, without credentials or a query"
)]
pub struct InvalidOtlpEndpoint;

impl OtlpEndpoint {
    /// The URL, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is behind TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for OtlpEndpoint {
    type Err = InvalidOtlpEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let rest = rest.ok_or(InvalidOtlpEndpoint)?;
        let host = rest.split('/').next().unwrap_or_default();
        let is_visible = text.chars().all(|c| c.is_ascii_graphic());
        if host.is_empty() || !is_visible || text.len() > 1024 || rest.contains(['@', '?', '#']) {
            return Err(InvalidOtlpEndpoint);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl<'de> Deserialize<'de> for OtlpEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A part of all, from 0 to 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleRatio(u32);

const MILLION: f64 = 1_000_000.0;

impl SampleRatio {
    /// The part as a number.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / MILLION
    }

    /// The nearest millionth; `None` where it is not from 0 to 1.
    #[must_use]
    pub fn new(part: f64) -> Option<Self> {
        (0.0..=1.0).contains(&part).then(|| Self((part * MILLION).round() as u32))
    }
}

impl JsonSchema for SampleRatio {
    fn schema_name() -> Cow<'static, str> {
        "SampleRatio".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": 0, "maximum": 1})
    }
}

impl Default for SampleRatio {
    /// All.
    fn default() -> Self {
        Self(1_000_000)
    }
}

impl fmt::Display for SampleRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_f64().fmt(f)
    }
}

impl Serialize for SampleRatio {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for SampleRatio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let part = f64::deserialize(deserializer)?;
        Self::new(part).ok_or_else(|| {
            de::Error::custom(format!("{part} is no part of all: write a number from 0 to 1"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_url() {
        let table = [
            ("http://collector:4318", Some("http://collector:4318")),
            ("http://127.0.0.1:4318/", Some("http://127.0.0.1:4318")),
            ("http://[::1]:4318/otlp", Some("http://[::1]:4318/otlp")),
            ("https://collector:4318", Some("https://collector:4318")),
            ("https://", None),
            ("ftp://collector", None),
            ("collector:4318", None),
            ("http://", None),
            ("http:///v1", None),
            ("http://user:secret@collector", None),
            ("http://collector?token=secret", None),
            ("http://col lector", None),
        ];
        for (text, expected) in table {
            let got = text.parse::<OtlpEndpoint>();
            assert_eq!(got.as_ref().ok().map(OtlpEndpoint::as_str), expected, "{text}");
            let said = got.err().map(|e| e.to_string()).unwrap_or_default();
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_file_says_where_traces_go() {
        let text = "otlp: {endpoint: http://c:4317, protocol: grpc, sampleRatio: 0.25}";
        let tracing: Tracing = serde_saphyr::from_str(text).unwrap();
        assert_eq!(tracing.otlp.protocol, OtlpProtocol::Grpc);
        assert_eq!(tracing.otlp.sample_ratio.as_f64(), 0.25);
        assert_eq!(tracing.otlp.service_name, "stowage");
        let again: Tracing =
            serde_json::from_str(&serde_json::to_string(&tracing).unwrap()).unwrap();
        assert_eq!(again, tracing);
        for wrong in [
            "otlp: {}",
            "otlp: {endpoint: http://c, sampleRatio: 1.5}",
            "otlp: {endpoint: http://c, sampleRatio: -0.1}",
            "otlp: {endpoint: http://c, protocol: http/json}",
            "otlp: {endpoint: http://c, token: x}",
        ] {
            assert!(serde_saphyr::from_str::<Tracing>(wrong).is_err(), "{wrong}");
        }
    }
}
