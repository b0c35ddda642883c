//! The images, as `make images` leaves them: who they run as, what is in them and what is not.
//! Needs root, to run their programs in their own root directories.
#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

mod archive;
mod contents;
mod programs;
