//! The storage server: the HTTP contracts over a [`stowage_store::Store`].
//!
//! [`server`] owns the life of a process's two ports; `http` is everything a request meets;
//! [`runtimes`] and `builds` are the contracts with logic of their own above the store;
//! [`settings`] is what can change while the server runs; [`snapshot`] is the copy of a directory that may be served
//! meanwhile; [`command`] is the binary.

mod auth;
mod builds;
pub mod command;
mod http;
mod json;
pub mod runtimes;
pub mod server;
pub mod settings;
pub mod snapshot;
