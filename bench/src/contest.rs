//! One row of the benchmark: the same work on several systems, by turns.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::figures::{Figure, Figures, median};
use crate::load::{Client, Length, Load, Measured, drive};
use crate::scratch::Scratch;
use crate::servers::Server;
use crate::settings::Settings;
use crate::usage::{Usage, usage};

/// What the first system of a contest is to reach against another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Goal {
    pub(crate) figure: Figure,
    pub(crate) bound: Bound,
}

/// A bound on a ratio or on a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Makes the client of a number.
pub(crate) type MakeClient<'a> = Box<dyn Fn(usize) -> Box<dyn Client> + 'a>;

/// Measures by itself, for a span.
pub(crate) type Alone<'a> = Box<dyn Fn(Duration) -> Result<Measured<Usage>> + 'a>;

/// How a system is put to work.
pub(crate) enum Work<'a> {
    Load(&'a Server, MakeClient<'a>),
    Alone(Alone<'a>),
}

/// A system in a contest.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    pub(crate) work: Work<'a>,
    /// Of the first contender against this one.
    pub(crate) goals: Vec<Goal>,
}

/// What became of a contest.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) title: String,
    pub(crate) clients: usize,
    pub(crate) entries: Vec<Entry>,
}

/// All runs of one system.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<Figures>,
    pub(crate) goals: Vec<Goal>,
}

impl Entry {
    /// The median of the runs; `None` where one of them has no such figure.
    pub(crate) fn median(&self, figure: Figure) -> Option<f64> {
        median(self.runs.iter().map(|run| run.get(figure)).collect::<Option<_>>()?)
    }

    /// The median of the ratios of each round, so that what moves the machine for longer than a
    /// round moves both sides alike.
    pub(crate) fn ratio(&self, first: &Self, figure: Figure) -> Option<f64> {
        let ratio = |(ours, theirs): (&Figures, &Figures)| {
            let (ours, theirs) = (ours.get(figure)?, theirs.get(figure)?);
            (theirs > 0.0).then_some(ours / theirs)
        };
        median(first.runs.iter().zip(&self.runs).map(ratio).collect::<Option<_>>()?)
    }
}

/// Lets each contender have its turn, round after round.
///
/// # Errors
/// A run that fails.
pub(crate) fn hold(
    title: String,
    clients: usize,
    contenders: Vec<Contender<'_>>,
    settings: &Settings,
    scratch: &Scratch,
) -> Result<Outcome> {
    let mut runs = vec![Vec::new(); contenders.len()];
    for _ in 0..settings.rounds {
        for (contender, runs) in contenders.iter().zip(&mut runs) {
            // What the one before left to be written is not this one's.
            scratch.settle()?;
            let measured = turn(&contender.work, clients, settings.span, scratch)
                .with_context(|| format!("{title}, {clients} clients, {}", contender.name))?;
            runs.push(Figures::new(&measured));
        }
    }
    let entry = |(contender, runs): (Contender<'_>, _)| {
        let Contender { name, goals, .. } = contender;
        Entry { name, runs, goals }
    };
    Ok(Outcome { title, clients, entries: contenders.into_iter().zip(runs).map(entry).collect() })
}

fn turn(
    work: &Work<'_>,
    clients: usize,
    span: Duration,
    scratch: &Scratch,
) -> Result<Measured<Usage>> {
    match work {
        Work::Alone(measure) => measure(span),
        Work::Load(server, make) => {
            let load = Load {
                address: server.address(),
                clients: (0..clients).map(make).collect(),
                length: Length::Span(span),
            };
            drive(load, || usage(server.pid(), scratch.disk()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(per_second: &[f64]) -> Entry {
        let run = |per_second: &f64| Figures { per_second: *per_second, ..Figures::default() };
        Entry { name: "x", runs: per_second.iter().map(run).collect(), goals: Vec::new() }
    }

    #[test]
    fn a_ratio_is_that_of_the_same_round() {
        let (ours, theirs) = (entry(&[10.0, 200.0, 30.0]), entry(&[5.0, 100.0, 10.0]));
        assert_eq!(theirs.ratio(&ours, Figure::Throughput), Some(2.0));
        assert_eq!(theirs.median(Figure::Throughput), Some(10.0));
        assert_eq!(theirs.ratio(&ours, Figure::P50), None, "a division by nothing");
    }
}
