//! Where the files of paths end, of those that were written last.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Something of each of some paths; what was not used for longest goes first, and nothing that was
/// used in this round.
#[derive(Debug)]
pub(super) struct Ends<T> {
    most: usize,
    by_path: HashMap<Arc<str>, (u64, T)>,
    /// The paths in the order of their last use.
    by_use: BTreeMap<u64, Arc<str>>,
    uses: u64,
    /// The first use of this round.
    round: u64,
}

impl<T: Clone> Ends<T> {
    /// Holds so many, or those of one round.
    pub(super) fn new(most: usize) -> Self {
        Self { most, by_path: HashMap::new(), by_use: BTreeMap::new(), uses: 0, round: 0 }
    }

    /// Begins a round.
    pub(super) fn begin_round(&mut self) {
        self.round = self.uses;
    }

    /// A copy of what is held of a path.
    pub(super) fn get(&self, path: &str) -> Option<T> {
        self.by_path.get(path).map(|(_, end)| end.clone())
    }

    /// Holds this of a path, which is used now.
    pub(super) fn insert(&mut self, path: &Arc<str>, end: T) {
        let used = self.uses;
        self.uses += 1;
        self.by_use.insert(used, Arc::clone(path));
        if let Some((before, _)) = self.by_path.insert(Arc::clone(path), (used, end)) {
            self.by_use.remove(&before);
        }
        while self.by_path.len() > self.most
            && let Some(first) = self.by_use.first_entry().filter(|it| *it.key() < self.round)
        {
            self.by_path.remove(&first.remove());
        }
    }

    /// Forgets a path.
    pub(super) fn remove(&mut self, path: &str) {
        if let Some((used, _)) = self.by_path.remove(path) {
            self.by_use.remove(&used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of these paths that are held.
    fn held(ends: &Ends<u32>, paths: &[&'static str]) -> Vec<&'static str> {
        paths.iter().copied().filter(|path| ends.get(path).is_some()).collect()
    }

    #[test]
    fn what_was_not_used_for_longest_goes_and_nothing_of_this_round() {
        let mut ends = Ends::new(2);
        let all = ["a", "b", "c", "d"];
        for (used, expected) in [
            (vec!["a", "b"], vec!["a", "b"]),
            (vec!["a", "c"], vec!["a", "c"]),
            (vec!["b"], vec!["b", "c"]),
            // More than it holds, all of one round.
            (vec!["a", "c", "b"], vec!["a", "b", "c"]),
            (vec!["d"], vec!["b", "d"]),
        ] {
            ends.begin_round();
            used.iter().for_each(|path| ends.insert(&Arc::from(*path), 0));
            assert_eq!(held(&ends, &all), expected, "after {used:?}");
        }
        ends.remove("d");
        assert_eq!(held(&ends, &all), ["b"]);
    }
}
