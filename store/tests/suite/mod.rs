//! The tests of the suite, by what they look at.

pub(crate) mod archives;
pub(crate) mod documents;
pub(crate) mod history;
pub(crate) mod jobs;
pub(crate) mod lifecycle;
pub(crate) mod listing;
pub(crate) mod namespaces;
pub(crate) mod races;
pub(crate) mod watch;

use stowage_store::{
    EntityTag, Operation, Patch, Preconditions, Result, StoreError, TagCondition, WireTag,
};

/// `If-Match` or `If-None-Match` with these tags.
fn tags(tags: &[&EntityTag]) -> Option<TagCondition> {
    let wire = |tag: &&EntityTag| WireTag { weak: false, opaque: tag.opaque().to_owned() };
    Some(TagCondition::Tags(tags.iter().map(wire).collect()))
}

/// The same, marked weak.
fn weak(tag: &EntityTag) -> Option<TagCondition> {
    Some(TagCondition::Tags(vec![WireTag { weak: true, opaque: tag.opaque().to_owned() }]))
}

const ANY: Option<TagCondition> = Some(TagCondition::Any);

/// A patch that any version takes.
fn patch(operations: Vec<Operation>) -> Patch {
    Patch { operations, ..Patch::default() }
}

/// A patch that takes exactly this version.
fn patch_at(version: u64, operations: Vec<Operation>) -> Patch {
    let preconditions = Preconditions {
        if_match: Some(TagCondition::Tags(vec![WireTag {
            weak: false,
            opaque: version.to_string(),
        }])),
        if_none_match: None,
    };
    Patch { preconditions, operations, ..Patch::default() }
}

/// The tag that a lost precondition carries.
fn lost<T: std::fmt::Debug>(what: &str, result: Result<T>) -> Option<EntityTag> {
    match result {
        Err(StoreError::PreconditionFailed { current }) => current,
        other => panic!("{what}: expected that the precondition fails, got {other:?}"),
    }
}
