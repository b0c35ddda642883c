//! Local clusters: one node each, in namespaces of its own, until it is taken down.
//!
//! ```text
//! up ──pipe──► janitor ──► unshare ──► node (process 1 inside) ──► etcd, kubelet, pods, …
//! ```
//! The kernel ends all that is on the right of a process that dies, and the namespaces' mounts,
//! links and rules with it. What is left outside, a small directory and control groups, the
//! janitor removes; where it was killed itself, the next `up` or `down` does.

mod inside;
mod instance;
mod janitor;
mod lock;
mod name;
mod process_id;
mod up;

use std::io;

pub use inside::{import_images, run_inside, tag_image};
pub use janitor::{enter, janitor, node};
pub use name::{ClusterName, InvalidClusterName};
pub use up::{down, up};

use crate::node::NodeError;
use crate::tools::ToolsError;

/// What kept a local cluster from being brought up, used or taken down.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Not root.
    #[error(
        "a local cluster takes root, for its namespaces and mounts: run this as root, or set \
         KUBECONFIG to a cluster of yours"
    )]
    NotRoot,
    /// The programs are not there.
    #[error(transparent)]
    Tools(#[from] ToolsError),
    /// The directory outside.
    #[error("cannot keep the cluster's state: {0}")]
    State(#[source] io::Error),
    /// The control groups.
    #[error("cannot make the cluster's control groups: {0}")]
    ControlGroups(#[source] io::Error),
    /// The process that everything is in.
    #[error("cannot start the cluster: {0}")]
    Start(#[source] io::Error),
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It ended while it was brought up; its log was shown.
    #[error("the cluster {0} did not come up; the lines above say why")]
    DidNotComeUp(ClusterName),
    /// It is there and does not answer.
    #[error("the cluster {0} runs but does not answer: take it down with `make cluster-down`")]
    NotHealthy(ClusterName),
    /// It is not there.
    #[error("the cluster {0} does not run: bring it up with `make cluster`")]
    NotRunning(ClusterName),
    /// Something of a dead cluster could not be removed.
    #[error("cannot remove what is left of a cluster: {0}")]
    Sweep(#[source] io::Error),
    /// It did not end.
    #[error("the cluster {0} was killed and is still there")]
    StillThere(ClusterName),
    /// A program inside could not be run.
    #[error("cannot run {program} in the cluster: {source}")]
    Inside {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// An image could not be read or imported.
    #[error("cannot import {image}: {reason}")]
    Import {
        /// The archive.
        image: String,
        /// Why.
        reason: String,
    },
    /// An image could not be given another name.
    #[error("cannot give {image} another name: {reason}")]
    Tag {
        /// Its name.
        image: String,
        /// Why.
        reason: String,
    },
}
