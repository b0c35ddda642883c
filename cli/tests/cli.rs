//! The `stowage` command as a person and a script use it: the real binary, real ports, real
//! signals, a real Git repository.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/conformance.rs"]
mod conformance;
#[path = "cli/departures.rs"]
mod departures;
#[path = "cli/namespace_changes.rs"]
mod namespace_changes;
#[path = "cli/namespace_tokens.rs"]
mod namespace_tokens;
#[path = "cli/refuses.rs"]
mod refuses;
#[path = "cli/reload.rs"]
mod reload;
#[path = "cli/retries.rs"]
mod retries;
#[path = "cli/rights.rs"]
mod rights;
#[path = "cli/serves.rs"]
mod serves;
#[path = "cli/shutdown.rs"]
mod shutdown;
#[path = "cli/sources.rs"]
mod sources;
#[path = "cli/support.rs"]
mod support;
