//! What the controllers share: children that are applied and owned, conditions, Events, back-off.

mod amend;
mod apply;
mod backoff;
pub mod binding;
mod children;
mod compare;
mod condition;
mod events;
mod finding;
mod guarded;
mod labels;
mod pod;
mod status;
mod watch;
mod words;

pub use amend::amend;
pub use apply::{
    Applied, ApplyError, Owner, ensure, is_controlled_by, refusal, remove, short_digest,
};
pub use backoff::Backoff;
pub use children::{Child, Children};
pub use compare::{canonical_bytes, holds};
pub use condition::{ConditionType, Conditions};
pub use events::{Events, Severity};
pub use finding::{Finding, Verdict};
pub use guarded::{Failure, guarded, retry};
pub use labels::{
    COMPONENT_NAMESPACE, COMPONENT_STORE, COMPONENT_SYNC, INSTANCE, MANAGED, MANAGED_BY,
    label_value, labels, selector, shortened,
};
pub use pod::{pull_secrets, restricted_container, restricted_pod};
pub use status::{current, latest, write_status};
pub use watch::{in_scope, managed, metadata_in_scope, run_to_end};
pub use words::{in_words, innermost};

/// The field manager of everything that the operator writes (server-side apply).
pub const FIELD_MANAGER: &str = "stowage-operator";
/// Keeps a Store that takes its volume along until the operator has seen to that.
pub const FINALIZER: &str = "stowage.dev/volume";
