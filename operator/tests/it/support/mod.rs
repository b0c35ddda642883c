//! What every test here starts from: an API server, a namespace of its own, the operator in it.

mod cluster;
mod loose;
mod objects;
mod operator;
mod requests;
mod sources;
mod stores;
mod wait;

pub(crate) use cluster::TestNamespace;
pub(crate) use objects::*;
pub(crate) use operator::{Operator, SIDECAR_IMAGE, SYNC_IMAGE};
pub(crate) use sources::*;
pub(crate) use stores::*;
pub(crate) use wait::{eventually, eventually_some};
