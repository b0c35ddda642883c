//! The load generator: one thread, one connection for each client, one request under way on each.
//!
//! It shares the cores with the server that it measures, so what it costs itself is a part of every
//! figure. The same loop drives every protocol: an operation takes one `write` and one `read`, and
//! its share of an `epoll_wait`.

mod connection;
pub(crate) mod etcd;
pub(crate) mod http;
pub(crate) mod json;
pub(crate) mod nats;
pub(crate) mod payload;
pub(crate) mod redis;
mod run;
pub(crate) mod stowage;

use anyhow::Result;

pub(crate) use self::run::{Length, Load, Measured, drive};

/// What an answer means for the operation that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The operation goes on with another request.
    Next,
    /// The operation is done, and acknowledged.
    Done,
    /// Somebody else came first: the operation starts again.
    Lost,
}

/// One client: what it sends next, and what it makes of the answers.
pub(crate) trait Client {
    /// Whether everything that comes before the first operation is done.
    fn is_ready(&self) -> bool;

    /// Appends the next request.
    fn request(&mut self, out: &mut Vec<u8>);

    /// Takes the answer, and says how many bytes of the input it was; `None` where some of it is
    /// still on its way.
    ///
    /// # Errors
    /// An answer that is neither success nor a lost race: the run is then worth nothing.
    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Step)>>;
}
