//! Stowage without a cluster.

pub mod manifests;
