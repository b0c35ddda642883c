//! The server over bound ports: every row of the contracts that it serves, and what a client can
//! do wrong.

#[path = "../../../store/tests/support/contracts.rs"]
mod contracts;
#[path = "../../../store/tests/support/linearizability.rs"]
mod linearizability;

mod artifacts;
mod auth;
mod binary;
mod bodies;
mod clients;
mod common;
mod concurrency;
mod cors;
mod failing;
mod harness;
mod health;
mod kill;
mod kill_histories;
mod kv;
mod life;
mod names;
mod process;
mod raw;
mod rows;
mod run_store;
mod runtimes;
mod sites;
mod snapshot;
mod snapshot_stream;
mod sync;
mod uploads;
