//! The server over bound ports: every row of the contracts that it serves, and what a client can
//! do wrong.

#[path = "../../../store/tests/support/contracts.rs"]
mod contracts;
#[path = "../../../store/tests/support/linearizability.rs"]
mod linearizability;

mod artifacts;
mod audit;
mod auth;
mod binary;
mod bodies;
mod clients;
mod coding;
mod common;
mod concurrency;
mod cors;
mod described;
mod documented;
mod end_under_load;
mod events;
mod failing;
mod harness;
mod health;
mod history;
mod hold;
mod jobs;
mod jobs_pages;
mod jobs_tree;
mod jwt;
mod jwt_keys;
mod jwt_url;
mod kill;
mod kill_histories;
mod kv;
mod life;
mod many;
mod names;
mod namespace_tokens;
mod open_metrics;
mod pace;
mod process;
mod random;
mod rate_limit;
mod raw;
mod refusals;
mod revocation;
mod rows;
mod run_store;
mod run_time;
mod runtimes;
mod sites;
mod slow;
mod smuggling;
mod snapshot;
mod snapshot_stream;
mod stalled;
mod sync;
mod tls;
mod traces;
mod traversal;
mod ttl;
mod unreadable;
mod uploads;
mod watch;
mod watch_resumed;
mod watchers;
