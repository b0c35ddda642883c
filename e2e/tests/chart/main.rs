//! The Helm chart: what it renders, what it refuses, its rights, and its life on an API server.
#![expect(clippy::unwrap_used, reason = "a test helper that fails the test is one")]

mod helm;
mod life;
mod rbac;
mod release;
mod rendering;
mod rights;
mod schema;
