//! The rows of the benchmark, by groups; see [`crate::settings::GROUPS`].

pub(crate) mod documents;
pub(crate) mod patch;
pub(crate) mod replay;
pub(crate) mod small;
pub(crate) mod upload;

use crate::contest::{Bound, Goal};
use crate::figures::Figure;

/// A goal of the first contender against another one.
fn goal(figure: Figure, bound: Bound) -> Goal {
    Goal { figure, bound }
}

/// A value that is no contest: one measured thing beside its bound.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) bound: Option<Bound>,
}

impl Fact {
    fn new(name: impl Into<String>, value: f64, unit: &'static str, bound: Option<Bound>) -> Self {
        Self { name: name.into(), value, unit, bound }
    }
}
