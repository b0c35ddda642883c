//! A disk in memory that loses power, tears writes, fails and lies.
//!
//! [`SimDisk`] keeps what the trait's documentation promises, and breaks what it does not
//! promise. Each call is an operation with a number. [`SimDisk::power_cut`] says what a start
//! finds if the power goes at this moment; [`Recording`] says it for every moment of a history.
//! All of it follows from seeds; only file times are those of the clock, because the engine
//! compares them with its own.

mod faults;
mod recording;
mod sim;
mod state;
mod survival;
#[cfg(test)]
mod tests;

pub(crate) use faults::{Faults, Lies};
pub(crate) use recording::Recording;
pub(crate) use sim::SimDisk;
pub(crate) use survival::Survival;
