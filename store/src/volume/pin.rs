//! Pins: for as long as one is held, the journal keeps what the tree of that moment was missing.
//!
//! A snapshot is a copy of the tree, made file by file while the tree changes, and the part of the
//! journal that brings all of it to one sequence. For that, no segment may go meanwhile that the
//! copy could need. What would be freed is held back instead, up to a bound: writes never wait for
//! a snapshot, and it never takes the room that they need. It is given up then.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::engine::{DEFECT, Engine};
use super::snapshot::Span;
use super::state::Live;
use super::{VolumeStore, checkpoint};
use crate::{Result, StoreError};

/// Why the journal is not kept for a snapshot any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// What was kept for it has grown to more than this many bytes.
    TooLong(u64),
    /// The volume has no room to spare.
    NoRoom,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => write!(
                f,
                "more was written meanwhile than the journal keeps for a snapshot ({bytes} bytes): \
                 take it when less is written, or to something faster"
            ),
            Self::NoRoom => f.write_str(
                "the volume has no room for what is written while a snapshot is taken: free some, \
                 or stop the server first",
            ),
        }
    }
}

/// What the pins of a store hold back.
#[derive(Debug, Default)]
pub(super) struct Pins {
    next: u64,
    holders: BTreeMap<u64, Holder>,
    /// Segments that would have been freed, the oldest first.
    held: VecDeque<Live>,
}

#[derive(Debug)]
struct Holder {
    /// The number of the first segment that it needs.
    first: u64,
    given_up: watch::Sender<Option<GivenUp>>,
}

impl Pins {
    /// Takes segments that the journal does not need any more, in their order.
    pub(super) fn hold(&mut self, released: Vec<Live>) {
        self.held.extend(released);
    }

    /// Whether there is a segment to be freed.
    pub(super) fn has_free(&self) -> bool {
        self.held.front().is_some_and(|held| self.is_free(held))
    }

    /// Takes out the next segment that no pin needs.
    pub(super) fn free(&mut self) -> Option<Live> {
        if self.has_free() { self.held.pop_front() } else { None }
    }

    /// Puts back what could not be freed.
    fn hold_again(&mut self, segment: Live) {
        self.held.push_front(segment);
    }

    fn is_free(&self, held: &Live) -> bool {
        self.holders.values().all(|holder| held.number < holder.first)
    }

    /// How much is held back, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.held.iter().map(|held| held.capacity).sum()
    }

    /// Gives up all pins, where that makes room; says whether it does.
    pub(super) fn give_up(&mut self, reason: GivenUp) -> bool {
        if self.held.is_empty() {
            return false;
        }
        for holder in std::mem::take(&mut self.holders).into_values() {
            holder.given_up.send_replace(Some(reason));
        }
        true
    }
}

/// A part of the journal that is kept until this is dropped, or given up.
#[derive(Debug)]
pub struct Pin {
    engine: Arc<Engine>,
    id: u64,
    first_segment: u64,
    after: u64,
    given_up: watch::Receiver<Option<GivenUp>>,
}

impl VolumeStore {
    /// Keeps the journal from here on for a snapshot, see the [module](super::snapshot).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub fn pin(&self) -> Result<Pin> {
        self.engine.available()?;
        let mut state = self.engine.lock();
        let after = state.first_unsaved() - 1;
        let current = state.layout.current.number;
        let first_segment = state.layout.live.front().map_or(current, |live| live.number);
        let (sender, given_up) = watch::channel(None);
        let id = state.pins.next;
        state.pins.next += 1;
        state.pins.holders.insert(id, Holder { first: first_segment, given_up: sender });
        Ok(Pin { engine: Arc::clone(&self.engine), id, first_segment, after, given_up })
    }
}

impl Pin {
    /// Waits until all that was decided so far is durable, and says how far that is.
    ///
    /// What the tree holds when this is called stands in the part of the journal that is the
    /// result, or before it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn barrier(&self) -> Result<Span> {
        let stopped = || StoreError::Unavailable { reason: DEFECT.into() };
        let answered = {
            let mut state = self.engine.lock();
            self.engine.available()?;
            if state.is_closed { None } else { Some(self.engine.barrier(&mut state)) }
        };
        answered.ok_or_else(stopped)?.await.map_err(|_| stopped())??;
        let state = self.engine.lock();
        let (up_to, clock) = (state.durable, state.clock.last());
        drop(state);
        Ok(Span { first_segment: self.first_segment, after: self.after, up_to, clock })
    }

    /// Why it is not kept any longer, `None` while it is.
    #[must_use]
    pub fn given_up(&self) -> Option<GivenUp> {
        *self.given_up.borrow()
    }

    /// Resolves once it is not kept any longer.
    pub async fn until_given_up(&self) -> GivenUp {
        let mut given_up = self.given_up.clone();
        loop {
            if let Some(reason) = *given_up.borrow_and_update() {
                return reason;
            }
            if given_up.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.engine.lock();
        state.pins.holders.remove(&self.id);
        let has_free = state.pins.has_free();
        drop(state);
        if has_free {
            self.engine.checkpoint.notify_one();
        }
    }
}

impl Engine {
    /// Frees the segments that nothing needs, and gives snapshots up that hold too many.
    pub(super) fn free_segments(&self, released: Vec<Live>) -> Result<()> {
        let mut state = self.lock();
        state.pins.hold(released);
        let bytes = state.pins.bytes();
        drop(state);
        if bytes > self.options.snapshot_bytes {
            self.lock().pins.give_up(GivenUp::TooLong(self.options.snapshot_bytes));
        } else if bytes > 0 && self.disk.available()? < self.options.room_bytes {
            self.lock().pins.give_up(GivenUp::NoRoom);
        }
        loop {
            let next = self.lock().pins.free();
            let Some(segment) = next else { return Ok(()) };
            if let Err(error) = checkpoint::free(self, &segment) {
                self.lock().pins.hold_again(segment);
                return Err(error);
            }
        }
    }
}
