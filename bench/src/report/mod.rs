//! What a person reads: one table, and one plot.

pub(crate) mod plot;
pub(crate) mod table;
