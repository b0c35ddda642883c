//! The storage server: the HTTP contracts over a [`stowage_store::Store`].
//!
//! [`server`] owns the life of a process's two ports; `http` is everything a request meets;
//! [`runtimes`] is the one contract with logic of its own above the store; [`settings`] is what
//! can change while the server runs; [`backend`] is what cannot; [`command`] is the binary.

mod auth;
pub mod backend;
pub mod command;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod json;
pub mod runtimes;
pub mod server;
pub mod settings;
