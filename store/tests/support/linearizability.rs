//! Linearizability: whether what clients saw could have come from one object that carries out
//! each operation at one instant between its call and its answer (Herlihy and Wing, 1990).
//!
//! [`check`] goes through the calls and answers in time order and keeps every pair of a state and
//! the set of open operations that led to it (just-in-time linearization, Lowe 2017). An operation
//! is only ever placed when an answer demands it, so that a history costs what its overlaps cost
//! and else is linear in its length.
//!
//! An operation whose answer never came may have been carried out or not; its end is the moment
//! after which that can no longer happen, such as the death of the process that it was sent to.

use std::collections::BTreeSet;
use std::fmt::Debug;

/// An object that carries out one operation after the other.
pub(crate) trait Model {
    /// What it is in. It holds all that later answers depend on.
    type State: Clone + Ord + Debug;
    /// What is asked of it, together with the answer where one came.
    type Operation: Debug;

    /// The state after the operation, `None` where the answer is none that this state gives; for
    /// an operation without an answer, any answer is.
    fn step(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;

    /// Whether the answer came. One that did not may have been carried out or not.
    fn is_answered(&self, operation: &Self::Operation) -> bool;
}

/// An operation between its call and its end.
#[derive(Debug, Clone)]
pub(crate) struct Span<O> {
    /// When it was called. The unit is the caller's; a call at the time of an end comes first.
    pub(crate) call: u64,
    /// When its answer came, or when it could no longer be carried out.
    pub(crate) end: u64,
    pub(crate) operation: O,
}

/// A history that no order of the operations explains.
#[derive(Debug)]
pub(crate) struct Violation(String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many operations may be open at once: the bits of a set.
const OPEN_MAX: usize = 128;

/// A state and the open operations that have been carried out in it.
type Configuration<S> = (S, u128);

/// The states that the object may be in after a history that began in one of some states.
///
/// # Errors
/// The operation whose answer has no explanation, and what led there.
pub(crate) fn check<M: Model>(
    model: &M,
    start: impl IntoIterator<Item = M::State>,
    history: &[Span<M::Operation>],
) -> Result<BTreeSet<M::State>, Violation> {
    let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * history.len());
    for (i, span) in history.iter().enumerate() {
        assert!(span.call <= span.end, "an answer comes after its call: {span:?}");
        events.push((span.call, false, i));
        events.push((span.end, true, i));
    }
    events.sort_unstable();
    let mut search = Search { model, history, open: [None; OPEN_MAX] };
    let mut configurations: BTreeSet<Configuration<M::State>> =
        start.into_iter().map(|state| (state, 0)).collect();
    for (_, is_end, i) in events {
        if !is_end {
            search.begin(i);
            continue;
        }
        let next = search.end(i, &configurations);
        if next.is_empty() {
            return Err(search.violation(i, &configurations));
        }
        configurations = next;
    }
    Ok(configurations.into_iter().map(|(state, _)| state).collect())
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Span<M::Operation>],
    /// The open operations; the place in here is the bit in a set.
    open: [Option<usize>; OPEN_MAX],
}

impl<M: Model> Search<'_, M> {
    fn begin(&mut self, operation: usize) {
        let free = self.open.iter_mut().find(|slot| slot.is_none());
        *free.unwrap_or_else(|| panic!("at most {OPEN_MAX} operations are open at once")) =
            Some(operation);
    }

    /// The configurations in which this operation was carried out by now, or, if no answer came,
    /// never will be.
    fn end(
        &mut self,
        operation: usize,
        configurations: &BTreeSet<Configuration<M::State>>,
    ) -> BTreeSet<Configuration<M::State>> {
        let slot = self.open.iter().position(|open| *open == Some(operation)).expect("it is open");
        let bit = 1_u128 << slot;
        let may_be_left_out = !self.model.is_answered(&self.history[operation].operation);
        let mut found = BTreeSet::new();
        let mut seen: BTreeSet<Configuration<M::State>> = BTreeSet::new();
        let mut next: Vec<Configuration<M::State>> = Vec::new();
        for configuration in configurations {
            if configuration.1 & bit != 0 {
                found.insert((configuration.0.clone(), configuration.1 & !bit));
                continue;
            }
            if may_be_left_out {
                found.insert(configuration.clone());
            }
            next.push(configuration.clone());
        }
        while let Some((state, done)) = next.pop() {
            for (slot, open) in self.open.iter().enumerate() {
                let Some(open) = *open else { continue };
                let step = 1_u128 << slot;
                if done & step != 0 {
                    continue;
                }
                let Some(after) = self.model.step(&state, &self.history[open].operation) else {
                    continue;
                };
                if open == operation {
                    found.insert((after, done));
                } else if seen.insert((after.clone(), done | step)) {
                    next.push((after, done | step));
                }
            }
        }
        self.open[slot] = None;
        found
    }

    fn violation(
        &self,
        operation: usize,
        configurations: &BTreeSet<Configuration<M::State>>,
    ) -> Violation {
        let at = &self.history[operation];
        let mut before: Vec<_> = self.history.iter().filter(|span| span.call <= at.end).collect();
        before.sort_unstable_by_key(|span| span.end);
        let shown = before.len().saturating_sub(24);
        let lines: Vec<String> = before[shown..]
            .iter()
            .map(|span| format!("    {}..{}: {:?}", span.call, span.end, span.operation))
            .collect();
        let states: BTreeSet<_> = configurations.iter().map(|(state, _)| state).collect();
        let states: Vec<String> =
            states.iter().take(8).map(|state| format!("    {state:?}")).collect();
        Violation(format!(
            "no order explains {:?} ({}..{})\n  it may then have stood at\n{}\n  after\n{}",
            at.operation,
            at.call,
            at.end,
            states.join("\n"),
            lines.join("\n"),
        ))
    }
}
