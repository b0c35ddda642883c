//! The storage server: the HTTP contracts over a [`stowage_store::Store`].

pub mod runtimes;
pub mod server;
pub mod settings;
