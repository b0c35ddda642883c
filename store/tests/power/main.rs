//! The engine on a disk that loses power, fails, lies and is damaged.
//!
//! `STOWAGE_LONG=1` makes the tests long; `STOWAGE_SEED=n` repeats what a failure names.

#[path = "../support/contracts.rs"]
mod contracts;
#[path = "../support/keys.rs"]
mod keys;
#[path = "../support/linearizability.rs"]
mod linearizability;

mod archives;
mod clients;
mod content;
mod cuts;
mod damage;
mod disk;
mod expiry;
mod full;
mod held;
mod history;
mod job;
mod known;
mod lies;
mod live;
mod places;
mod planted;
mod replay;
mod session;
mod verify;
mod watch;
