//! How each kind of server names a resource, writes and removes it.

use std::fmt;
use std::str::FromStr;

use crate::content::Content;
use crate::execute::Condition;
use crate::wire::Request;

/// What kind of server is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Any server that takes `GET`, `PUT` and `DELETE` below a path.
    Generic,
    /// Stowage's run store: JSON documents.
    RunStore,
    /// Stowage's KV: namespaces that are changed by `PATCH`.
    Kv,
    /// Stowage's artifacts: archives of builds.
    Artifacts,
}

/// The text is no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the profiles are generic, run-store, kv and artifacts")]
pub struct InvalidProfile;

impl Profile {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Generic, Self::RunStore, Self::Kv, Self::Artifacts];
    /// Those whose resource is a document of JSON.
    pub(crate) const DOCUMENTS: &'static [Self] = &[Self::RunStore, Self::Kv];
    /// Those of Stowage.
    pub(crate) const STOWAGE: &'static [Self] = &[Self::RunStore, Self::Kv, Self::Artifacts];

    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::RunStore => "run-store",
            Self::Kv => "kv",
            Self::Artifacts => "artifacts",
        }
    }

    /// The target of the resource of this name.
    pub(crate) fn target(self, base: &str, name: &str) -> String {
        match self {
            Self::Generic => format!("{base}/{name}"),
            Self::RunStore => format!("{base}/run-stores/{name}"),
            Self::Kv => format!("{base}/api/storage?ns={name}"),
            Self::Artifacts => format!("{base}/sites/{name}/artifacts/b-1"),
        }
    }

    /// The request that makes a resource hold this content, without a condition.
    pub(crate) fn write(self, target: &str, content: Content) -> Request {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let json = field("Content-Type", "application/json");
        let (method, body, fields) = match self {
            Self::Generic | Self::RunStore => ("PUT", content.bytes(), vec![json]),
            Self::Artifacts => {
                ("PUT", content.bytes(), vec![field("Content-Type", "application/gzip")])
            }
            Self::Kv => {
                let set = |key: &str, value: String| serde_json::json!({"op": "set", "key": key, "value": value});
                let operations = [set("content", content.label()), set("fill", content.filler())];
                let body = serde_json::Value::from(operations.to_vec()).to_string();
                ("PATCH", body.into_bytes(), vec![json, field("X-Thesara-App-Id", "conformance")])
            }
        };
        Request { method: method.into(), target: target.into(), fields, body }
    }

    /// What a write carries that has no condition of its own: KV takes none without `If-Match`.
    pub(crate) fn condition(self) -> Condition {
        if self == Self::Kv { Condition::Current } else { Condition::None }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = InvalidProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|p| p.name() == text).ok_or(InvalidProfile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::A;

    #[test]
    fn names_lead_back() {
        for &profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        assert_eq!("other".parse::<Profile>(), Err(InvalidProfile));
    }

    #[test]
    fn a_kv_write_sets_the_members_of_the_representation() {
        let request = Profile::Kv.write("/x", A);
        let operations: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(operations[0]["key"], "content");
        assert_eq!(operations[0]["value"], A.label());
        assert_eq!(operations[1]["value"], A.filler());
    }
}
