//! Archives: content too large for the journal, which goes straight into the tree.
//!
//! An upload is written to a temporary file in large pieces, while the disk is already at work
//! on earlier ones (`upload`). To publish it, its content is made durable; then, in the key's
//! turn, the preconditions are decided, the file gets its time and its name, and the name is made
//! durable (`publish`). Until then readers get what stood there before (`turns`): nobody sees, and
//! no condition is decided on, what a power cut could take back.
//!
//! An archive's tag is its file's modification time, which is its revision, and its length. A
//! start need not read the file for it, and no two uploads share one: revisions grow, and the one
//! that is deleted is left behind by a mark in the journal. A file that a person changes has
//! another one, unless they set the time back and keep the length.

mod piece;
mod publish;
mod read;
mod seconds;
mod turns;
mod upload;

pub(super) use self::seconds::Seconds;
pub(super) use self::turns::Turns;
pub(super) use self::upload::begin;

use super::engine::Engine;

impl Engine {
    /// Waits for those who work on archives, lets nobody begin, and removes what is left of
    /// uploads; blocks.
    pub(super) fn finish_archives(&self) {
        let left = self.turns.close();
        // After a failure the next start is to find everything as it was.
        if !self.has_failed() {
            // What the disk refuses now is swept at the next start.
            left.into_iter().for_each(|path| self.stage.discard(path));
            self.stage.discard_left();
        }
    }
}
