//! What a source refers to and what belongs to it, as it stands in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};

/// Everything that a reconcile decides on beside the source itself.
#[derive(Debug, Clone, Default)]
pub(super) struct References {
    /// The Stores of its branches.
    pub stores: BTreeMap<String, StoreState>,
    /// The Secret with its Git credentials.
    pub secret: SecretState,
    /// The ConfigMap with its JSON Schema.
    pub schema: SchemaState,
    /// The Jobs of its branches: immediate ones and those of their CronJobs.
    pub jobs: Vec<Job>,
    /// The pods of those.
    pub pods: Vec<Pod>,
    /// Why a Job has no pod, or a pod does not start.
    pub events: Vec<Event>,
    /// The names of all its CronJobs.
    pub cron_jobs: Vec<String>,
    /// The names of all its ConfigMaps.
    pub config_maps: Vec<String>,
}

/// A Store that a branch refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoreState {
    /// There is none of that name, or it is on its way out.
    Missing,
    /// It does not serve the contract.
    WithoutRuntimes,
    /// It does not serve yet.
    NotReady {
        /// Why, as it says itself.
        message: String,
    },
    /// It serves.
    Ready {
        /// Another Store of the same name is another one: it may be empty.
        uid: String,
    },
}

/// The Secret of a source. Only its metadata is ever read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum SecretState {
    /// The source names none.
    #[default]
    None,
    /// There is none of that name.
    Missing,
    /// It is there.
    Present {
        /// Changes with every change of it.
        version: String,
    },
}

/// The JSON Schema of a source in a ConfigMap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum SchemaState {
    /// The source names none.
    #[default]
    None,
    /// There is no such ConfigMap, or no such key in it.
    Missing,
    /// It is there.
    Present {
        /// The digest of the key's value.
        digest: String,
    },
}
