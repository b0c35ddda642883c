//! The engine on a disk that loses power, fails, lies and is damaged.
//!
//! `STOWAGE_LONG=1` makes the tests long; `STOWAGE_SEED=n` repeats what a failure names.

#[path = "../support/contracts.rs"]
mod contracts;
#[path = "../support/keys.rs"]
#[expect(dead_code, reason = "others use the rest")]
mod keys;
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
mod replay;
mod session;
mod verify;
