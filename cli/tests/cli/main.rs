//! The `stowage` command as a person and a script use it: the real binary, real ports, real
//! signals, a real Git repository.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod commands;
mod refuses;
mod reload;
mod serves;
mod shutdown;
mod sources;
mod support;
