//! A real Kubernetes for tests, from package registries alone.
//!
//! [`ControlPlane`] is an API server with its etcd: seconds, no root, and it ends with the test
//! process. [`local`] brings up a whole [`node`] that runs pods, in namespaces of its own; the
//! binary `stowage-cluster` does so from the command line. [`Cluster`] is what end-to-end tests
//! work on: such a node, or any cluster that `KUBECONFIG` names.

mod cgroups;
mod cluster;
mod command;
mod control_plane;
mod guard;
mod kubeconfig;
pub mod local;
pub mod node;
mod pki;
mod ports;
mod process;
mod tools;

pub use cluster::{Cluster, ConnectError};
pub use command::CommandError;
pub use control_plane::{ControlPlane, ControlPlaneError};
pub use pki::PkiError;
pub use tools::{ToolSet, ToolsError};
