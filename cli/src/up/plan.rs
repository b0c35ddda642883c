//! What should be served: the manifests, understood once. Pure; everything after this works on
//! a [`Plan`] and never looks at a manifest again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use stowage_config::{
    Access, ByteSize, NamespaceGrant, SidecarConfig, SyncConfig, Token, TokenGrant,
};
use stowage_crds::NamespaceContract;

use crate::manifests::{Origin, SecretValue};

/// Everything that should be served and synced.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Plan {
    /// In the order of the manifests, on which the default ports depend.
    pub(crate) stores: Vec<StorePlan>,
    /// Branches of sources that are not suspended.
    pub(crate) branches: BTreeMap<BranchKey, BranchPlan>,
    /// Where the resources stand; not a part of them, so that nothing changes with it.
    pub(crate) origins: Origins,
}

/// Where resources stand, by name.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Origins {
    pub(crate) stores: BTreeMap<String, Origin>,
    pub(crate) namespaces: BTreeMap<String, Origin>,
}

/// One Store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StorePlan {
    /// Its name; also that of its directory.
    pub(crate) name: String,
    /// What the server takes. Its addresses are placeholders: ports are settled elsewhere.
    pub(crate) config: SidecarConfig,
    /// Where its tokens come from.
    pub(crate) credentials: Credentials,
    /// What JWTs are checked with, where a Secret has it.
    pub(crate) jwt_keys: Option<SecretValue>,
    /// What goes with a collector of traces, by the file that it is written to.
    pub(crate) tracing_files: BTreeMap<PathBuf, SecretValue>,
    /// How large its volume would be on a cluster, where the manifest says so.
    pub(crate) volume_size: Option<ByteSize>,
    /// The tenants with a token of their own.
    pub(crate) namespaces: Vec<NamespacePlan>,
    /// What becomes of its data when it is removed.
    pub(crate) on_removal: OnRemoval,
    /// Whether it is served.
    pub(crate) suspended: bool,
}

/// Where a Store's tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// A Secret of the manifests.
    Secret {
        /// The Secret's name.
        name: String,
        /// `file:line` of the Secret.
        origin: String,
        /// Its tokens by name.
        tokens: Vec<(String, Token)>,
        /// A shell command that prints one of them that may do everything, where there is one.
        command: Option<String>,
    },
    /// None are named, so one is made.
    Made,
    /// None are named, and `--insecure-no-auth` says that none are wanted.
    Nobody,
}

/// One StoreNamespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamespacePlan {
    /// The resource's name; also that of the directory with its credentials.
    pub(crate) name: String,
    /// The contract it is limited to.
    pub(crate) contract: NamespaceContract,
    /// The KV namespace or run-store document it is limited to.
    pub(crate) subject: String,
    /// Whether its token may write.
    pub(crate) access: Access,
    /// How long a token is good for.
    pub(crate) token_life: Duration,
    /// How often all its tokens have been revoked.
    pub(crate) token_generation: u32,
}

impl NamespacePlan {
    /// The rights of a static token.
    pub(crate) fn grant(&self) -> TokenGrant {
        TokenGrant {
            contracts: Some(vec![self.contract.into()]),
            namespaces: Some(vec![self.subject.clone()]),
            access: self.access,
        }
    }

    /// What a token is for that is signed; `uid` is kept for as long as the StoreNamespace is there.
    pub(crate) fn signed_grant(&self, uid: String) -> NamespaceGrant {
        NamespaceGrant {
            uid,
            generation: self.token_generation,
            contract: self.contract.into(),
            namespace: self.subject.clone(),
            access: self.access,
        }
    }
}

/// What becomes of a removed Store's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnRemoval {
    /// It stays where it is.
    Retain,
    /// It is removed.
    Delete,
}

impl Plan {
    /// The Store of a name.
    pub(crate) fn store(&self, name: &str) -> Option<&StorePlan> {
        self.stores.iter().find(|store| store.name == name)
    }

    /// The names of the Stores, in order.
    pub(crate) fn store_names(&self) -> Vec<&str> {
        self.stores.iter().map(|store| store.name.as_str()).collect()
    }
}

/// What identifies a branch of a source in a Store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BranchKey {
    /// The RuntimeConfigSource's name.
    pub(crate) source: String,
    /// The branch.
    pub(crate) branch: String,
    /// The Store that serves it.
    pub(crate) store: String,
}

/// How a branch is synced. Holds secrets, so it cannot be printed.
#[derive(Clone, PartialEq)]
pub(crate) struct BranchPlan {
    /// The word in brackets in every line about it.
    pub(crate) environment: Option<String>,
    /// From the end of one sync to the start of the next.
    pub(crate) interval: Duration,
    /// What `stowage_sync::sync` takes.
    pub(crate) config: SyncConfig,
    /// Secrets and ConfigMaps as the files that `config` names.
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    /// The directory that holds those files, and what is fetched, alone.
    pub(crate) directory: PathBuf,
}

impl BranchPlan {
    /// Where a sync fetches to. It writes credentials for git there, which a kill leaves: here
    /// the next start sweeps them away.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.directory.join("fetch")
    }
}
