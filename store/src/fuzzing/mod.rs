//! What the fuzz targets of `fuzz/` run, and the tests over their seeds.
//!
//! A target takes any bytes and panics where something does not hold. It stands here because it
//! sees what is private, and so that `cargo test` runs it over the seeds; it is compiled for tests
//! and under `cfg(fuzzing)`, which `cargo fuzz` sets, alone.

mod damage;
pub(crate) mod disk;
mod input;
mod journal;
mod parsers;
#[cfg(test)]
mod seeds;

pub use damage::damaged_journal;
pub use journal::{journal, segment};
pub use parsers::{names, namespace_file};
