//! What the operator and `stowage up` write and the sidecar reads, and the report of a sync that
//! goes the other way.
//!
//! Writer and reader share these types, so the two cannot drift: a field that the sidecar does
//! not know cannot be written, and a file with a field it does not know is refused.

pub mod byte_size;
pub mod interval;
pub mod jwt;
pub mod load;
pub mod namespace_tokens;
pub mod repository_url;
pub mod sidecar;
pub mod sync;
pub mod sync_report;
pub mod token;
pub mod tracing;

pub use byte_size::{ByteSize, InvalidByteSize};
pub use interval::{Interval, InvalidInterval};
pub use jwt::{Jwt, JwtKeys};
pub use load::{LoadError, load};
pub use namespace_tokens::{
    GrantedNamespace, NamespaceClaims, NamespaceGrant, NamespaceTokens, VerificationKey,
};
pub use repository_url::{RepositoryUrl, Transport, UrlRefused};
pub use sidecar::{
    Access, Anonymous, Auth, Backend, Contract, Cors, Fixed, Limits, NamespaceQuota, RunStore,
    SidecarConfig, VolumeBackend,
};
pub use sync::{GitAuth, Schema, SchemaSource, SyncConfig, SyncLimits, SyncTarget};
pub use sync_report::{FileError, InvalidFile, Outcome, SyncReport};
pub use token::{InvalidToken, TOKEN_DOCUMENT_BYTES_MAX, Token, TokenGrant, same_value};
pub use tracing::{InvalidOtlpEndpoint, Otlp, OtlpEndpoint, OtlpProtocol, SampleRatio, Tracing};
