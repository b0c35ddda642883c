//! Everything a request meets on its way, from its first header to the access log's line.
//!
//! [`router`] is the table of contents. `observe` stands around it: what every answer carries
//! is decided there, once. The nouns (`run_store`, `kv`, `jobs`, `runtimes`, `artifacts`,
//! `sites`, `health`, `description`, `debug`) are small handlers over the helpers beside them.

pub(crate) mod accept;
mod app;
pub(crate) mod artifacts;
mod audit;
mod body;
mod caller;
pub(crate) mod coding;
pub(crate) mod conditional;
mod cors;
mod debug;
mod description;
pub(crate) mod digest;
mod document;
mod drained;
mod field;
mod framing;
mod health;
mod history;
mod jobs;
mod kv;
mod malformed;
mod management;
pub(crate) mod media;
mod metrics;
mod observe;
pub(crate) mod operations;
mod peer;
mod places;
pub(crate) mod prefer;
mod problem;
mod request_id;
mod router;
mod run_store;
mod runtimes;
mod set_body;
mod sites;
pub(crate) mod target;
pub(crate) mod ttl;
mod version_list;
mod watch;

pub(crate) use app::App;
pub(crate) use artifacts::StoredArtifact;
pub(crate) use debug::StorageInfo;
pub(crate) use health::Health;
pub(crate) use history::VersionEntry;
pub(crate) use malformed::HEAD_BYTES_MAX;
pub(crate) use management::{
    METRICS_TYPE, PATHS as MANAGEMENT_PATHS, refuse_malformed as management_refuses,
    router as management_router,
};
pub(crate) use metrics::known as known_method;
pub(crate) use observe::{answer, refuse_malformed};
pub(crate) use operations::OPERATIONS_MAX;
pub(crate) use peer::Peer;
#[cfg(test)]
pub(crate) use router::described_routes;
#[cfg(any(test, fuzzing))]
pub(crate) use router::route;
pub(crate) use runtimes::SetSummary;
pub(crate) use sites::{Logged, NewEntry};
