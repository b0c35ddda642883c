//! Sizes in bytes, in the notation of Kubernetes quantities.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes: `1048576`, `"512Ki"`, `"8Mi"`, `"10G"`, `"1.5Gi"`.
///
/// Keeps the spelling that it was read from, so that writing a resource back changes nothing.
#[derive(Debug, Clone)]
pub struct ByteSize {
    bytes: u64,
    spelling: Spelling,
}

#[derive(Debug, Clone)]
enum Spelling {
    Number,
    Text(String),
}

/// The text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a size: write a number of bytes, or one with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P"
)]
pub struct InvalidByteSize(String);

/// Accepted by the API server before anything else looks at the value; not more digits than
/// [`ByteSize`] reads.
pub const BYTE_SIZE_PATTERN: &str = r"^[0-9]{1,19}(\.[0-9]{1,15})?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$";

/// CEL: a size of nothing is a mistake, and from 8Ei on no 64-bit file system could hold it.
const BYTE_SIZE_RULE: &str = "quantity(string(self)).isGreaterThan(quantity('0')) && \
                              quantity(string(self)).isLessThan(quantity('8Ei'))";

impl ByteSize {
    /// A size from its number of bytes, spelled with the largest unit that divides it.
    #[must_use]
    pub fn from_bytes(bytes: u64) -> Self {
        let units = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
        let spelling = units
            .iter()
            .find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift)
            .map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift));
        Self { bytes, spelling: Spelling::Text(spelling) }
    }

    /// The number of bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl PartialEq for ByteSize {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ByteSize {}

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .map(|bytes| Self { bytes, spelling: Spelling::Text(text.to_owned()) })
            .ok_or_else(|| InvalidByteSize(text.chars().take(64).collect()))
    }
}

/// Decimal places are rounded up to whole bytes, as Kubernetes does.
fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u128 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || whole.len() > 19 || fraction.is_empty() || fraction.len() > 15 {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u128 = fraction.parse().ok()?;
    let bytes = whole.checked_mul(factor)?.checked_add((fraction * factor).div_ceil(scale))?;
    u64::try_from(bytes).ok()
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spelling {
            Spelling::Number => self.bytes.fmt(f),
            Spelling::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.spelling {
            Spelling::Number => serializer.serialize_u64(self.bytes),
            Spelling::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size in bytes, such as 1048576 or \"8Mi\"")
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize { bytes, spelling: Spelling::Number })
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map_err(|_| E::custom("a size is not negative"))
                    .and_then(|bytes| self.visit_u64(bytes))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// An int-or-string of the API server, which as a resource's field is more than zero.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": BYTE_SIZE_PATTERN,
            "maxLength": 24,
            "x-kubernetes-validations": [{
                "rule": BYTE_SIZE_RULE,
                "message": "write a size of at least one byte and less than 8Ei, such as 10Gi",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_kubernetes_reads_them() {
        let table: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("8Mi", Some(8 << 20)),
            ("1.5Gi", Some(3 << 29)),
            ("10k", Some(10_000)),
            ("0.1", Some(1)),
            ("2G", Some(2_000_000_000)),
            ("", None),
            ("Mi", None),
            ("-1", None),
            ("8mb", None),
            ("1.2.3", None),
            ("99999999999Pi", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<ByteSize>().ok().map(|s| s.bytes()), *expected, "{text:?}");
        }
    }

    #[test]
    fn the_error_names_every_unit() {
        let said = "8mb".parse::<ByteSize>().unwrap_err().to_string();
        for unit in ["Ki", "Mi", "Gi", "Ti", "Pi", "k", "M", "G", "T", "P"] {
            assert!(format!("1{unit}").parse::<ByteSize>().is_ok(), "{unit} is a unit");
            assert!(said.split([' ', ',']).any(|word| word == unit), "no {unit} in: {said}");
        }
    }

    #[test]
    fn the_spelling_is_kept() {
        for spelling in ["\"1.5Gi\"", "\"1024\"", "1024"] {
            let size: ByteSize = serde_json::from_str(spelling).unwrap();
            assert_eq!(serde_json::to_string(&size).unwrap(), spelling);
        }
        assert_eq!(ByteSize::from_bytes(8 << 20).to_string(), "8Mi");
        assert_eq!(ByteSize::from_bytes(1000).to_string(), "1000");
    }
}
