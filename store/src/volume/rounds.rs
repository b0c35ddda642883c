//! How often the tree was brought up to date, and which of the writes that wait for room are refused.
//!
//! What makes room comes into the tree with the first round that begins after it was decided. So a write
//! is refused only by what was found out after a round that had begun while it waited.

use super::state::Purpose;

/// What finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) purpose: Purpose,
    /// Whether its record needs a longer segment than the common one.
    pub(super) is_long: bool,
}

/// Which writes there is no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    /// Anything.
    All,
    /// What grows, or only shrinks.
    Growing,
    /// Of those, what needs a longer segment.
    Long,
}

/// Rounds, counted, and who was refused by them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rounds {
    pub(super) begun: u64,
    pub(super) ended: u64,
    /// Of each kind those are refused that began to wait before so many rounds had begun.
    all: u64,
    growing: u64,
    long: u64,
}

impl Rounds {
    /// Refuses those that wait since no more than `begun` rounds had begun.
    pub(super) fn refuse(&mut self, without: Without, begun: u64) {
        let before = match without {
            Without::All => &mut self.all,
            Without::Growing => &mut self.growing,
            Without::Long => &mut self.long,
        };
        *before = (*before).max(begun + 1);
    }

    /// Whether what finds no room is refused, that waits since so many rounds had begun.
    pub(super) fn has_refused(&self, want: Want, since: u64) -> bool {
        let is_growing = want.purpose != Purpose::Freeing;
        since < self.all
            || is_growing && since < self.growing
            || is_growing && want.is_long && since < self.long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_refused_that_wait_for_what_was_not_found_since_before() {
        use Purpose::{Freeing, Growing, Shrinking};
        for (without, refused) in [
            (Without::All, vec![(Freeing, false), (Growing, false), (Shrinking, true)]),
            (Without::Growing, vec![(Growing, false), (Shrinking, false), (Growing, true)]),
            (Without::Long, vec![(Growing, true), (Shrinking, true)]),
        ] {
            let mut rounds = Rounds::default();
            rounds.refuse(without, 3);
            // What was found out earlier says nothing new.
            rounds.refuse(without, 1);
            for (purpose, is_long) in refused {
                let found =
                    (0..6).map(|since| rounds.has_refused(Want { purpose, is_long }, since));
                let expected = [true, true, true, true, false, false];
                assert_eq!(
                    found.collect::<Vec<_>>(),
                    expected,
                    "{without:?} {purpose:?} {is_long}"
                );
            }
        }
    }

    #[test]
    fn what_frees_goes_on_where_others_are_refused_and_a_short_record_where_a_long_one_is() {
        let mut rounds = Rounds::default();
        rounds.refuse(Without::Long, 3);
        let short = Want { purpose: Purpose::Growing, is_long: false };
        assert!(!rounds.has_refused(short, 0));
        rounds.refuse(Without::Growing, 3);
        let frees = Want { purpose: Purpose::Freeing, is_long: true };
        assert!(rounds.has_refused(short, 0) && !rounds.has_refused(frees, 0));
    }
}
