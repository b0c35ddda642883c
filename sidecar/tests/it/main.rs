//! The server over bound ports: every row of the contracts that it serves, and what a client can
//! do wrong.

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
mod kv;
mod life;
mod names;
mod process;
mod raw;
mod rows;
mod run_store;
mod runtimes;
mod sync;
