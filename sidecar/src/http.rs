//! Everything a request meets on its way, from its first header to the access log's line.
//!
//! [`router`] is the table of contents. `observe` stands around it: what every answer carries
//! is decided there, once. The nouns (`run_store`, `kv`, `runtimes`, `artifacts`, `sites`,
//! `health`, `debug`) are small handlers over the helpers beside them.

mod app;
mod artifacts;
mod body;
mod caller;
mod conditional;
mod cors;
mod debug;
mod document;
mod health;
mod kv;
mod management;
mod media;
mod metrics;
mod observe;
mod operations;
mod problem;
mod request_id;
mod router;
mod run_store;
mod runtimes;
mod set_body;
mod sites;
mod target;
mod version_list;

pub(crate) use app::App;
pub(crate) use management::router as management_router;
pub(crate) use observe::answer;
