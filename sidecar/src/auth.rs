//! Who calls, and what they may do. Nothing here knows HTTP beyond one header's value.

mod credentials;
mod rights;

pub(crate) use credentials::{Credentials, Identity};
pub(crate) use rights::{Demand, Refusal, Right, Scope, authorize};
