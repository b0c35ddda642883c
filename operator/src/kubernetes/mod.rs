//! What the controllers share: children that are applied and owned, conditions, Events, back-off.

mod apply;
mod backoff;
mod compare;
mod condition;
mod events;
mod guarded;
mod labels;

pub use apply::{Applied, ApplyError, Owner, ensure, remove};
pub use backoff::Backoff;
pub use compare::{canonical_bytes, holds};
pub use condition::{ConditionType, Conditions};
pub use events::{Events, Severity};
pub use guarded::{Failure, guarded, retry};
pub use labels::{
    COMPONENT_STORE, COMPONENT_SYNC, INSTANCE, MANAGED, MANAGED_BY, labels, selector,
};

/// The field manager of everything that the operator writes (server-side apply).
pub const FIELD_MANAGER: &str = "stowage-operator";
