//! The engine on a disk that loses power, fails, lies and is damaged.
//!
//! `STOWAGE_LONG=1` makes the tests long; `STOWAGE_SEED=n` repeats what a failure names.

#[path = "../support/contracts.rs"]
mod contracts;
#[path = "../support/linearizability.rs"]
mod linearizability;

mod archives;
mod clients;
mod content;
mod cuts;
mod damage;
mod disk;
mod full;
mod held;
mod known;
mod lies;
mod live;
mod places;
mod planted;
mod session;
mod verify;
