//! The plot: throughput and p99 against clients, writes and reads side by side, as SVG.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::contest::Outcome;
use crate::figures::Figure;

/// A panel's size, and the room around it, in pixels.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;
const BELOW: f64 = 50.0;
/// A line of the legend.
const LINE: f64 = 18.0;

/// Told apart by people who see few colours (Okabe and Ito).
const COLOURS: [&str; 7] =
    ["#D55E00", "#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#000000", "#999999"];

/// The lines of one panel: for each name, its clients and its values.
type Lines = BTreeMap<(usize, &'static str), Vec<(usize, f64)>>;

/// Draws the contests that differ in their clients alone: a column for each title.
pub(crate) fn svg(columns: &[(&str, &[Outcome])]) -> String {
    let (width, height) = (LEFT + WIDTH, TOP + HEIGHT + BELOW);
    let names = columns.iter().map(|(_, outcomes)| lines(outcomes, Figure::P99).len()).max();
    let legend = names.unwrap_or(0) as f64 * LINE + LINE;
    let (all_width, all_height) = (width * columns.len() as f64 + 30.0, height * 2.0 + legend);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all_width}\" height=\"{all_height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (column, (title, outcomes)) in columns.iter().enumerate() {
        let x = width * column as f64 + LEFT;
        for (row, (figure, unit)) in
            [(Figure::Throughput, "operations/s"), (Figure::P99, "p99, ms")].into_iter().enumerate()
        {
            let y = height * row as f64 + TOP;
            let lines = lines(outcomes, figure);
            svg += &panel(x, y, &format!("{title}: {unit}"), &lines);
        }
        svg += &legend_at(x, height * 2.0, &lines(outcomes, Figure::P99));
    }
    svg + "</svg>\n"
}

fn lines(outcomes: &[Outcome], figure: Figure) -> Lines {
    let mut lines = Lines::new();
    for outcome in outcomes {
        for (index, entry) in outcome.entries.iter().enumerate() {
            // A logarithm has no zero.
            if let Some(value) = entry.median(figure).filter(|value| *value > 0.0) {
                lines.entry((index, entry.name)).or_default().push((outcome.clients, value));
            }
        }
    }
    lines
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn panel(x: f64, y: f64, title: &str, lines: &Lines) -> String {
    let points = || lines.values().flatten();
    let clients = points().map(|(clients, _)| *clients).max().unwrap_or(1).max(2);
    let low = points().map(|(_, value)| value.log10().floor()).fold(f64::INFINITY, f64::min);
    let high = points().map(|(_, value)| value.log10().ceil()).fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low.is_finite() { (low, high.max(low + 1.0)) } else { (0.0, 1.0) };
    let at_x = |clients_at: usize| x + (clients_at as f64).ln() / (clients as f64).ln() * WIDTH;
    let at_y = |value: f64| y + HEIGHT - (value.log10() - low) / (high - low) * HEIGHT;

    let mut svg = format!(
        "<text x=\"{x}\" y=\"{}\" font-weight=\"bold\">{title}</text>\n\
         <rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#888\"/>\n",
        y - 12.0
    );
    let mut decade = low;
    while decade <= high {
        let (value, line) = (10_f64.powf(decade), at_y(10_f64.powf(decade)));
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" x2=\"{}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            x + WIDTH,
            x - 6.0,
            line + 4.0
        );
        decade += 1.0;
    }
    let mut ticks: Vec<usize> = points().map(|(clients, _)| *clients).collect();
    ticks.sort_unstable();
    ticks.dedup();
    for tick in ticks {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>",
            at_x(tick),
            y + HEIGHT + 16.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">clients</text>",
        x + WIDTH / 2.0,
        y + HEIGHT + 32.0
    );
    for ((index, _), points) in lines {
        let colour = colour(*index);
        let mut path = String::new();
        for (clients, value) in points {
            let (x, y) = (at_x(*clients), at_y(*value));
            let _ = write!(path, "{x:.1},{y:.1} ");
            let _ =
                writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.trim_end()
        );
    }
    svg
}

fn legend_at(x: f64, y: f64, lines: &Lines) -> String {
    let mut svg = String::new();
    for (line, (index, name)) in lines.keys().enumerate() {
        let y = y + LINE * line as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"{y}\">{name}</text>",
            y - 6.0,
            colour(*index),
            x + 20.0
        );
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::Entry;
    use crate::figures::Figures;

    #[test]
    fn every_system_has_a_line_through_a_point_for_each_number_of_clients() {
        let outcome = |clients: usize| Outcome {
            title: "writes".into(),
            clients,
            entries: ["ours", "theirs"]
                .map(|name| Entry {
                    name,
                    runs: vec![Figures { per_second: 1e3, p99_ms: 1.0, ..Figures::default() }],
                    goals: Vec::new(),
                })
                .into(),
        };
        let outcomes = [outcome(1), outcome(64), outcome(256)];
        let svg = svg(&[("writes", &outcomes[..])]);
        assert_eq!(svg.matches("<polyline").count(), 4, "two systems, two panels\n{svg}");
        assert_eq!(svg.matches("<circle").count(), 12, "three points each\n{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
