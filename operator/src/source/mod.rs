//! The controller of `RuntimeConfigSource`: a CronJob and immediate Jobs for each branch, and
//! their results in the status.
//!
//! A reconcile reads everything it decides on, decides by pure functions, and writes only what
//! differs. What was handled stands in the status, so that a Job which its time to live removed is
//! not made again, and an operator that starts anew goes on where the last one stopped.

mod announce;
mod apply;
mod build;
mod decide;
mod dereference;
mod diagnose;
mod names;
mod problem;
mod reconcile;
mod reference;
mod report;
mod schedule;
mod stage;
mod status;
mod validate;
mod watch;

pub use names::SYNC_REQUESTED_AT;
pub use watch::run;
