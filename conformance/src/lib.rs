//! A conformance suite for conditional requests at an origin server.
//!
//! It tries a running server over its port and depends on nothing of Stowage: whatever takes `GET`,
//! `PUT` and `DELETE` and answers with entity tags can be tried. What is expected stands in tables
//! ([`cases`]): each case has an id, the section of the RFC that it comes from, what the server must
//! offer for it to apply, and its steps as data. [`run`] carries them out.
//!
//! The client writes bytes itself (`wire`), because what is tried here are requests that an HTTP
//! library does not send (control characters, repeated lines, folded lines) and answers that it
//! repairs (bytes after a 304).

mod build;
mod case;
pub mod cases;
mod check;
mod content;
mod execute;
mod expect;
mod offers;
mod outcome;
mod profile;
mod race;
pub mod report;
mod run;
mod tag;
mod template;
mod wire;

pub use case::{Case, Level, Need};
pub use outcome::{Outcome, Result as CaseResult};
pub use profile::Profile;
pub use run::{Report, Settings, Stop, run};
pub use wire::{InvalidField, InvalidUrl, Origin};
