//! A real Kubernetes for tests, from package registries alone.
//!
//! [`ControlPlane`] is an API server with its etcd: seconds, no root, and it ends with the test
//! process. The binary `stowage-cluster` brings up a whole node that runs pods, in namespaces of
//! its own.

mod control_plane;
mod guard;
mod kubeconfig;
mod pki;
mod ports;
mod process;
mod tools;

pub use control_plane::{ControlPlane, ControlPlaneError};
pub use pki::PkiError;
pub use tools::{ToolSet, ToolsError};
