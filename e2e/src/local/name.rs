//! Names of clusters.

use std::fmt;
use std::str::FromStr;

/// The name of a local cluster: up to 20 lower-case letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterName(String);

/// A name that cannot be a cluster's.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} cannot name a cluster: write up to 20 lower-case letters, digits and -")]
pub struct InvalidClusterName(String);

impl FromStr for ClusterName {
    type Err = InvalidClusterName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 20 || !name.bytes().all(allowed) {
            return Err(InvalidClusterName(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        let long = "a".repeat(21);
        for (name, allowed) in [
            ("default", true),
            ("mine-2", true),
            ("", false),
            ("Upper", false),
            ("a.b", false),
            ("../etc", false),
            (&long, false),
        ] {
            assert_eq!(name.parse::<ClusterName>().is_ok(), allowed, "{name:?}");
        }
    }
}
