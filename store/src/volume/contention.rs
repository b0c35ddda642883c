//! Who lost a race on a path is answered in turn.
//!
//! Who lost reads again and tries again. Where all of many do so at the same moment, one wins
//! again, and the others' work delays that one: the more there are, the more of the machine goes
//! into attempts that cannot succeed. So each commit at the path lets a few go on, those who have
//! waited longest, and the rest wait for the next ones. Nobody waits long: where no commit comes,
//! because those who were let go did not try again, time lets go.
//!
//! What is told does not depend on it: the decision was made before, and is durable.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;

/// How many go on at once after a commit, in any case: between two or three there is no crowd.
const AT_ONCE: usize = 2;

/// Where no commit comes, so many go on after each [`PATIENCE`].
const AT_A_TIME: usize = 8;

/// The least that somebody waits who has to.
const PATIENCE: Duration = Duration::from_millis(1);

/// Nobody waits longer than for so many of them.
const PATIENCES_MAX: usize = 10;

/// Those who lost at one path since its last commit, and wait.
#[derive(Debug, Default)]
pub(super) struct Contention {
    went_on: usize,
    waiting: VecDeque<oneshot::Sender<()>>,
}

/// A place among those who wait.
#[derive(Debug)]
pub(super) struct Place {
    turn: oneshot::Receiver<()>,
    patience: Duration,
}

impl Contention {
    /// Takes a place; `None` for who may go on.
    pub(super) fn join(&mut self) -> Option<Place> {
        if self.went_on < AT_ONCE {
            self.went_on += 1;
            return None;
        }
        // Those before whom time has let go.
        while self.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            self.waiting.pop_front();
        }
        let rounds = (1 + self.waiting.len() / AT_A_TIME).min(PATIENCES_MAX);
        let (sender, turn) = oneshot::channel();
        self.waiting.push_back(sender);
        Some(Place { turn, patience: PATIENCE * rounds as u32 })
    }

    /// Something was committed: lets the next go on.
    pub(super) fn committed(&mut self) {
        self.went_on = 0;
        while self.went_on < AT_ONCE
            && let Some(next) = self.waiting.pop_front()
        {
            // Who has gone is none of them.
            self.went_on += usize::from(next.send(()).is_ok());
        }
    }
}

impl Place {
    /// Waits for the turn.
    pub(super) async fn turn(self) {
        // It is the turn as well where nobody keeps the place any more.
        let _ = tokio::time::timeout(self.patience, self.turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_go_on_at_once_and_the_others_wait_for_commits_in_their_order() {
        let mut contention = Contention::default();
        for _ in 0..AT_ONCE {
            assert!(contention.join().is_none(), "one of the first goes on");
        }
        let mut places: Vec<Place> =
            (0..5).map(|_| contention.join().expect("the others wait")).collect();
        drop(places.remove(1));
        contention.committed();
        let goes_on: Vec<bool> =
            places.iter_mut().map(|place| place.turn.try_recv().is_ok()).collect();
        assert_eq!(goes_on, [true, true, false, false], "the first two who are there");
        assert!(contention.join().is_some(), "who comes late waits behind them");
        contention.committed();
        contention.committed();
        assert!(contention.join().is_none(), "nobody waits any more");
    }

    #[test]
    fn who_is_far_behind_waits_longer_but_not_long() {
        let mut contention = Contention::default();
        let places: Vec<Place> = (0..1_000).filter_map(|_| contention.join()).collect();
        assert_eq!(places[0].patience, PATIENCE);
        assert!(places[AT_A_TIME].patience > PATIENCE);
        assert_eq!(places[990].patience, PATIENCE * PATIENCES_MAX as u32);
    }
}
