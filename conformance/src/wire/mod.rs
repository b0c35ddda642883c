//! HTTP/1.1 as bytes: what is written is exactly what a case says, and what comes is not repaired.

mod answer;
mod connection;
mod origin;
mod request;

pub(crate) use answer::Answer;
pub(crate) use connection::{Connection, Connector};
pub(crate) use origin::{Field, field};
pub use origin::{InvalidField, InvalidUrl, Origin};
pub(crate) use request::Request;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// No connection.
    #[error("no connection to {address}: {reason}")]
    Connect { address: String, reason: String },
    /// Nothing, or not all of it, came in time.
    #[error("no answer within {seconds} s")]
    Timeout { seconds: u64 },
    /// The connection ended before the first byte of an answer.
    #[error("the server closed the connection without an answer")]
    Closed,
    /// The connection ended in the middle of an answer.
    #[error("the connection ended in the middle of an answer")]
    Truncated,
    /// What came is no HTTP answer.
    #[error("bytes that are no HTTP answer: {0}")]
    NotHttp(String),
}

impl WireError {
    /// Whether the server did answer, and wrongly; otherwise it is unknown what it would have done.
    pub(crate) fn is_an_answer(&self) -> bool {
        matches!(self, Self::Truncated | Self::NotHttp(_))
    }
}
