//! The custom resources of Stowage: `Store`, `StoreNamespace` and `RuntimeConfigSource`, group
//! `stowage.dev`, version `v1alpha1`.
//!
//! The types are the API: their documentation becomes the descriptions of the
//! CustomResourceDefinitions, their attributes the schema and its CEL rules ([`rules`]). What the
//! resources mean to a server stands in [`render`], which the operator and `stowage up` share.
#![expect(
    unreachable_pub,
    reason = "deriving KubeSchema copies each type into a function, with its visibility"
)]
#![expect(
    clippy::duplicated_attributes,
    reason = "the columns that kubectl prints are attributes of one name with parts of one name"
)]

mod common;
mod definition;
mod jwt;
mod pod;
mod reference;
pub mod render;
pub mod rules;
mod runtime_config_source;
mod store;
mod store_namespace;
mod tracing;

pub use self::tracing::{CaReference, HeadersReference, StoreOtlp, StoreTracing, TracingSecret};
pub use common::{ConfigMapKeyReference, Contract, SecretReference, StoreReference};
pub use definition::{chart_template, definition, definitions, yaml};
pub use jwt::{HmacReference, JwksReference, JwtSecret, StoreGrant, StoreJwt};
pub use pod::{
    CpuAmount, InvalidCpuAmount, PodResources, ResourceAmounts, TaintEffect, Toleration,
    TolerationOperator,
};
pub use reference::reference;
pub use runtime_config_source::{
    Branch, BranchStatus, FileError, GitAuth, InvalidFile, RuntimeConfigSource,
    RuntimeConfigSourceSpec, RuntimeConfigSourceStatus, SchemaSource, SourceLimits, SourceSchema,
};
pub use store::{
    AccessMode, Backend, BackendStatus, DeletionPolicy, Store, StoreAuth, StoreCors, StoreLimits,
    StoreRunStore, StoreSpec, StoreStatus, VolumeBackend,
};
pub use store_namespace::{
    Binding, NamespaceContract, NamespaceQuota, StoreNamespace, StoreNamespaceSpec,
    StoreNamespaceStatus,
};
pub use stowage_config::{Access, Anonymous, ByteSize, Interval};

/// The API group of every kind here.
pub const GROUP: &str = "stowage.dev";
/// The version of every kind here.
pub const VERSION: &str = "v1alpha1";
