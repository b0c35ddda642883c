//! The process around the controllers, on a real API server: who leads, what probes say, how the
//! binary ends.

mod binary;
mod lease;
mod support;
