//! Everything that can be wrong with manifests, each with the place and the sentence.
#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

mod credentials;
mod files;
mod reading;
mod references;
mod schemas;
mod structure;
mod support;
