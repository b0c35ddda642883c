//! What a resource says about the pod that runs it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use stowage_config::ByteSize;

use crate::rules;

/// What a container requests and may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodResources {
    /// What a node must have free for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
    /// The most that it may use: above the memory it is killed, above the CPU it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// Amounts of what a node has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceAmounts {
    /// CPUs, such as `2`, `0.5` or `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuAmount>,
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
}

/// A number of CPUs, in thousandths: `2`, `"0.5"`, `"500m"`. Keeps its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuAmount {
    thousandths: u32,
    spelling: String,
}

/// The text is not a number of CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number of CPUs: write 2, 0.5 or 500m")]
pub struct InvalidCpuAmount(String);

/// Accepted by the API server before anything else looks at the value.
const CPU_PATTERN: &str = r"^([0-9]{1,5}(\.[0-9]{1,3})?|[0-9]{1,8}m)$";

impl CpuAmount {
    /// As the API server itself writes it (its canonical form).
    #[must_use]
    pub fn canonical(&self) -> String {
        match self.thousandths {
            whole if whole.is_multiple_of(1000) => (whole / 1000).to_string(),
            part => format!("{part}m"),
        }
    }
}

impl FromStr for CpuAmount {
    type Err = InvalidCpuAmount;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        thousandths(text)
            .map(|thousandths| Self { thousandths, spelling: text.to_owned() })
            .ok_or_else(|| InvalidCpuAmount(text.chars().take(64).collect()))
    }
}

fn thousandths(text: &str) -> Option<u32> {
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if let Some(number) = text.strip_suffix('m') {
        return number.parse().ok().filter(|_| digits(number, 8));
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole, 5) || !digits(part, 3) {
        return None;
    }
    let part = format!("{part:0<3}");
    whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(part.parse().ok()?)
}

impl fmt::Display for CpuAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelling)
    }
}

impl Serialize for CpuAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.spelling.parse::<u32>() {
            Ok(whole) => serializer.serialize_u32(whole),
            Err(_) => serializer.serialize_str(&self.spelling),
        }
    }
}

impl<'de> Deserialize<'de> for CpuAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for CpuAmount {
    fn schema_name() -> Cow<'static, str> {
        "CpuAmount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// An int-or-string of the API server.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let rule = rules::cpu_amount();
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": CPU_PATTERN,
            "maxLength": 9,
            "x-kubernetes-validations": [rule],
        })
    }
}

/// A taint of nodes that a pod tolerates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Toleration {
    /// The taint's key; every key where this is left out, with the operator `Exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub key: Option<String>,
    /// How the value is compared: `Equal` where this is left out, or `Exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The taint's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// Which effect of the taint is tolerated; every one where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// With the effect `NoExecute`: how many seconds the pod stays; for ever where this is left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a taint's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Any value.
    Exists,
    /// This value.
    Equal,
}

/// What a taint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods stay away where there is another place.
    PreferNoSchedule,
    /// Pods have to leave.
    NoExecute,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_read_as_kubernetes_reads_them() {
        let table = [
            ("2", Some("2")),
            ("0.5", Some("500m")),
            ("1.25", Some("1250m")),
            ("500m", Some("500m")),
            ("2000m", Some("2")),
            ("0", Some("0")),
            ("", None),
            ("m", None),
            (".5", None),
            ("0.0005", None),
            ("-1", None),
            ("1k", None),
            ("123456", None),
        ];
        for (text, canonical) in table {
            let read = text.parse::<CpuAmount>().ok().map(|cpus| cpus.canonical());
            assert_eq!(read.as_deref(), canonical, "{text:?}");
        }
    }

    #[test]
    fn the_spelling_is_kept() {
        for spelling in ["2", "\"0.5\"", "\"500m\""] {
            let cpus: CpuAmount = serde_json::from_str(spelling).unwrap();
            assert_eq!(serde_json::to_string(&cpus).unwrap(), spelling);
        }
    }
}
