//! The table: a row a system, the goals beside the system that they are against.

use std::fmt::Write;

use crate::contest::{Bound, Entry, Outcome};
use crate::figures::Figure;
use crate::rows::Fact;

const COLUMNS: [(&str, Figure); 8] = [
    ("ops/s", Figure::Throughput),
    ("p50 ms", Figure::P50),
    ("p99 ms", Figure::P99),
    ("CPU µs", Figure::ServerCpu),
    ("load µs", Figure::GeneratorCpu),
    ("disk KB", Figure::Written),
    ("flushes", Figure::Flushes),
    ("lost", Figure::Lost),
];

/// The width of the first column.
const NAME: usize = 44;

/// The line above everything.
pub(crate) fn head() -> String {
    let mut line = format!("{:<NAME$}", "medians; CPU, disk, flushes, lost: an op");
    for (name, _) in COLUMNS {
        let _ = write!(line, "{name:>9}");
    }
    line + "  ours against it"
}

/// The rows of a contest.
pub(crate) fn contest(outcome: &Outcome) -> String {
    let clients = outcome.clients;
    let plural = if clients == 1 { "" } else { "s" };
    let mut text = format!("\n{}, {clients} client{plural}\n", outcome.title);
    for entry in &outcome.entries {
        text += &row(entry, outcome.entries.first());
    }
    text
}

fn row(entry: &Entry, first: Option<&Entry>) -> String {
    let mut line = format!("  {:<width$}", entry.name, width = NAME - 2);
    for (_, figure) in COLUMNS {
        // Of a loop without a generator, and of work without races, there is nothing to say.
        let value = entry
            .median(figure)
            .filter(|value| *value > 0.0 || !matches!(figure, Figure::GeneratorCpu | Figure::Lost));
        let _ = write!(line, "{:>9}", value.map_or_else(String::new, |value| cell(figure, value)));
    }
    for goal in &entry.goals {
        let ratio = first.and_then(|first| entry.ratio(first, goal.figure));
        let _ = write!(line, "  {}", verdict(word(goal.figure), ratio, goal.bound, "×"));
    }
    line.trim_end().to_owned() + "\n"
}

fn cell(figure: Figure, value: f64) -> String {
    match figure {
        Figure::Throughput => format!("{value:.0}"),
        Figure::P50 | Figure::P99 => format!("{value:.3}"),
        Figure::Written => format!("{:.2}", value / 1e3),
        Figure::Flushes => format!("{value:.3}"),
        Figure::ServerCpu | Figure::GeneratorCpu | Figure::Lost => format!("{value:.1}"),
    }
}

fn word(figure: Figure) -> &'static str {
    match figure {
        Figure::Throughput => "ops/s",
        Figure::P50 => "p50",
        Figure::P99 => "p99",
        Figure::ServerCpu => "CPU",
        Figure::GeneratorCpu => "load",
        Figure::Written => "disk",
        Figure::Flushes => "flushes",
        Figure::Lost => "lost",
    }
}

/// The rows of values that are no contest.
pub(crate) fn facts(title: &str, facts: &[Fact]) -> String {
    let mut text = format!("\n{title}\n");
    for Fact { name, value, unit, bound } in facts {
        let said = match bound {
            Some(bound) => verdict("", Some(*value), *bound, unit),
            None => number(*value, unit),
        };
        let _ = writeln!(text, "  {name:<62}{said}");
    }
    text
}

/// A value beside its goal, and by how much it misses it.
fn verdict(name: &str, value: Option<f64>, bound: Bound, unit: &str) -> String {
    let (sign, goal) = match bound {
        Bound::AtLeast(goal) => ("≥", goal),
        Bound::AtMost(goal) => ("≤", goal),
    };
    let goal_text = format!("goal {sign} {goal}");
    let Some(value) = value else { return format!("{name} not measured ({goal_text})") };
    let short = match bound {
        Bound::AtLeast(goal) => 1.0 - value / goal,
        Bound::AtMost(goal) => value / goal - 1.0,
    };
    let judged =
        if short <= 0.0 { "met".into() } else { format!("missed by {:.0} %", short * 100.0) };
    format!("{name} {} ({goal_text}): {judged}", number(value, unit)).trim_start().to_owned()
}

fn number(value: f64, unit: &str) -> String {
    let space = if unit == "×" { "" } else { " " };
    if value >= 100.0 {
        format!("{value:.0}{space}{unit}")
    } else {
        format!("{value:.2}{space}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_says_by_how_much_a_goal_is_missed() {
        let cases = [
            (Some(0.8), Bound::AtLeast(0.75), "ops/s 0.80× (goal ≥ 0.75): met"),
            (Some(0.6), Bound::AtLeast(0.75), "ops/s 0.60× (goal ≥ 0.75): missed by 20 %"),
            (Some(1.5), Bound::AtMost(1.5), "ops/s 1.50× (goal ≤ 1.5): met"),
            (Some(3.0), Bound::AtMost(1.5), "ops/s 3.00× (goal ≤ 1.5): missed by 100 %"),
            (None, Bound::AtMost(1.5), "ops/s not measured (goal ≤ 1.5)"),
        ];
        for (value, bound, said) in cases {
            assert_eq!(verdict("ops/s", value, bound, "×"), said);
        }
    }
}
