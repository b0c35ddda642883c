//! The storage server: the HTTP contracts over a [`stowage_store::Store`].
//!
//! [`server`] owns the life of a process's two ports; `http` is everything a request meets;
//! [`runtimes`], `builds` and `jobs` are the contracts with logic of their own above the store;
//! [`openapi`] describes them; `rate` bounds what one identity sends; [`settings`] is what can change
//! while the server runs, [`backend`] what cannot; [`snapshot`] is
//! the copy of a directory that may be served meanwhile; `telemetry` sends traces; [`command`] is the
//! binary.

mod auth;
pub mod backend;
mod builds;
pub mod command;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod jobs;
mod json;
pub mod openapi;
mod rate;
pub mod runtimes;
pub mod server;
pub mod settings;
pub mod snapshot;
mod telemetry;
