//! Jobs of an agent runtime: what its documents say of themselves, and the order of its lists.
//!
//! The bytes of a document are the runtime's and stay as they are. What is read of them is no more
//! than what the contract needs: ids, for the check against the path; three numbers, for the order
//! of lists; the parts of an event's key.

mod event;
mod members;
mod rank;
mod selection;

pub(crate) use event::EventMeta;
pub(crate) use members::{
    InvalidDocument, check_checkpoint, check_event, check_job, check_run_setting, is_document,
    with_updated_at,
};
pub(crate) use rank::{List, Page, Position};
pub(crate) use selection::{Selection, checkpoints, events, jobs, runs};
