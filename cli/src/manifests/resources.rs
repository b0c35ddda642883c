//! What manifests hold, once it is found in order.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;

use kube::ResourceExt;
use stowage_crds::{RuntimeConfigSource, Store, StoreNamespace};

/// Where a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// The line of its first field, from 1.
    pub line: usize,
    /// The line and column of `metadata`, of `spec` and of each field in them, by its path.
    pub fields: BTreeMap<String, (usize, usize)>,
}

impl Origin {
    /// The line and column of a field; where it is not written, of the one that it would stand in.
    #[must_use]
    pub fn place(&self, field: &str) -> (usize, usize) {
        let ends = field.match_indices(['.', '[']).map(|(end, _)| end);
        let outwards = ends.chain([field.len()]).collect::<Vec<_>>().into_iter().rev();
        let mut places = outwards.filter_map(|end| self.fields.get(&field[..end]));
        places.next().copied().unwrap_or((self.line, 1))
    }
}

/// A resource, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    /// Where.
    pub origin: Origin,
    /// The resource.
    pub resource: T,
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.resource
    }
}

/// The name of an object that other objects refer to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// Its namespace; `default` where the manifest names none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectName {
    /// The name of an object that a resource refers to: it stands in the resource's namespace.
    #[must_use]
    pub fn beside(resource: &impl ResourceExt, name: &str) -> Self {
        let namespace = resource.namespace().unwrap_or_else(|| "default".to_owned());
        Self { namespace, name: name.to_owned() }
    }
}

/// One value of a Secret, decoded; printed as nothing but its length.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(pub(super) Vec<u8>);

impl SecretValue {
    /// The bytes, for whoever must have them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValue({} bytes)", self.0.len())
    }
}

/// A Secret: its values by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// What `data` and `stringData` hold together; the latter wins, as on an API server.
    pub values: BTreeMap<String, SecretValue>,
}

/// A ConfigMap: its texts by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigMap {
    /// What `data` holds.
    pub data: BTreeMap<String, String>,
}

/// Everything that manifests hold. Every reference in it leads to something that is there, every
/// value of a Secret that a Store's tokens come from is a token, and every `metadata.namespace`
/// is set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifests {
    /// The Stores, in the order of the paths, files and documents.
    pub stores: Vec<Located<Store>>,
    /// The StoreNamespaces, in that order.
    pub namespaces: Vec<Located<StoreNamespace>>,
    /// The RuntimeConfigSources, in that order.
    pub sources: Vec<Located<RuntimeConfigSource>>,
    /// The Secrets.
    pub secrets: BTreeMap<ObjectName, Located<Secret>>,
    /// The ConfigMaps.
    pub config_maps: BTreeMap<ObjectName, Located<ConfigMap>>,
}

impl Manifests {
    /// The Secret that a resource names.
    #[must_use]
    pub fn secret(&self, resource: &impl ResourceExt, name: &str) -> Option<&Secret> {
        self.secrets.get(&ObjectName::beside(resource, name)).map(|found| &found.resource)
    }

    /// The ConfigMap that a resource names.
    #[must_use]
    pub fn config_map(&self, resource: &impl ResourceExt, name: &str) -> Option<&ConfigMap> {
        self.config_maps.get(&ObjectName::beside(resource, name)).map(|found| &found.resource)
    }
}
