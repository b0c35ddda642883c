//! Every state that a disk went through.

use super::sim::SimDisk;
use super::state::{Number, State, Step};
use super::survival::Survival;

/// What was done to a disk since it was new, or since the power cut that it came out of.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    pub(super) start: State,
    pub(super) steps: Vec<(Number, Step)>,
}

impl Recording {
    /// The numbers of the operations that changed something, in order.
    pub(crate) fn operations(&self) -> impl Iterator<Item = Number> {
        self.steps.iter().map(|(number, _)| *number)
    }

    /// Whether the last thing that was done was a write.
    pub(crate) fn ends_with_a_write(&self) -> bool {
        matches!(self.steps.last(), Some((_, Step::Write { .. })))
    }

    /// The number of the last sync of a file's content.
    pub(crate) fn last_data_sync(&self) -> Option<Number> {
        let is_sync = |(_, step): &&(Number, Step)| matches!(step, Step::SyncData { .. });
        self.steps.iter().rev().find(is_sync).map(|(number, _)| *number)
    }

    /// How many files were renamed whose name began so.
    pub(crate) fn renames_from(&self, prefix: &str) -> usize {
        let is_one = |(_, step): &&(Number, Step)| matches!(step, Step::Rename { from: (_, name), .. } if name.starts_with(prefix));
        self.steps.iter().filter(is_one).count()
    }

    /// A reader that stands before the first operation.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { state: self.start.clone(), rest: &self.steps }
    }

    /// The steps around an operation, for people.
    pub(crate) fn around(&self, number: Number) -> String {
        let last = self.steps.last().map_or(0, |(n, _)| *n);
        let (from, to) = (number.min(last).saturating_sub(60), number.saturating_add(5));
        let near = |n: &Number| (from..=to).contains(n);
        let lines = self.steps.iter().filter(|(n, _)| near(n)).map(|(n, step)| {
            let mut text = format!("{step:?}");
            if let Step::Write { id, offset, bytes, .. } = step {
                text = format!("Write {{ id: {id}, at {offset}, {} bytes }}", bytes.len());
            }
            format!("  {}{n}: {text}", if *n == number { "> " } else { "  " })
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Goes through a [`Recording`].
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    state: State,
    rest: &'a [(Number, Step)],
}

impl Walk<'_> {
    /// The disk after a power cut during this operation, none before the last one asked for. A
    /// sync that the cut interrupts has not happened; a change is one of those not synced.
    pub(crate) fn power_cut_at(&mut self, cut: Number, survival: Survival, seed: u64) -> SimDisk {
        while let Some(((number, step), rest)) = self.rest.split_first() {
            let is_sync =
                matches!(step, Step::SyncData { .. } | Step::Sync { .. } | Step::SyncEverything);
            if *number > cut || (*number == cut && is_sync) {
                break;
            }
            self.state.apply(*number, step);
            self.rest = rest;
        }
        SimDisk::starting_with(self.state.after_power_cut(survival, seed))
    }
}
