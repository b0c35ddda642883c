//! The table for people.

use crate::case::Case;
use crate::outcome::{Outcome, Result as CaseResult};
use crate::profile::Profile;
use crate::run::Report;

/// How a table is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Columns; longer lines are broken between words.
    pub width: usize,
    /// With colours.
    pub colours: bool,
}

const LABEL: usize = 5;
/// A level and the space behind it.
const LEVEL: usize = 10;
/// Where what was expected and found begins.
const INDENT: usize = 14;
const NARROWEST: usize = 50;

/// The table of a run: a line a case, grouped by section, with what was expected and what came below
/// those that failed.
#[must_use]
pub fn render(report: &Report, layout: Layout) -> String {
    let mut out = String::new();
    let width = layout.width.max(NARROWEST);
    let ids = report.results.iter().map(|result| result.case.id.len()).max().unwrap_or_default();
    let mut section = "";
    for result in &report.results {
        if result.case.section() != section {
            section = result.case.section();
            out += &format!("\n{}\n", layout.paint(section, "1"));
        }
        out += &line(result, report.profile, ids, width, layout);
    }
    out
}

/// The cases as `--list` shows them: id, level, source and title.
#[must_use]
pub fn list(cases: &[Case], profile: Profile) -> String {
    let ids = cases.iter().map(|case| case.id.len()).max().unwrap_or_default();
    let line = |case: &Case| {
        let level = case.level(profile).name();
        format!("{:ids$}  {level:8}  {:20}  {}\n", case.id, case.source, case.title)
    };
    cases.iter().map(line).collect()
}

fn line(result: &CaseResult, profile: Profile, ids: usize, width: usize, layout: Layout) -> String {
    let level = result.case.level(profile).name();
    let (label, colour) = match &result.outcome {
        Outcome::Pass => ("pass", "32"),
        Outcome::Fail { .. } if result.is_fatal(profile) => ("FAIL", "31;1"),
        Outcome::Fail { .. } => ("hint", "33"),
        Outcome::NotApplicable(_) => ("n/a", "2"),
        Outcome::Error(_) => ("ERROR", "35;1"),
    };
    let label = layout.paint(&format!("{label:LABEL$}"), colour);
    let what = match &result.outcome {
        Outcome::NotApplicable(reason) => format!("does not apply: {reason}"),
        _ => format!("{} ({})", result.case.title, result.case.source),
    };
    let indent = 2 + LABEL + 1 + ids + 2;
    // Where the titles would have no room beside the ids, they stand below.
    let mut out = if width >= indent + 40 {
        let text = wrap(&what, width - indent - LEVEL, indent + LEVEL);
        format!("  {label} {:ids$}  {level:8}  {text}\n", result.case.id)
    } else {
        let text = wrap(&what, width - 8 - LEVEL, 8 + LEVEL);
        format!("  {label} {}\n        {level:8}  {text}\n", result.case.id)
    };
    let mut tell = |name: &str, text: &str| {
        let text = wrap(text, width - INDENT - 9, INDENT + 9);
        out += &format!("{:INDENT$}{name:9}{text}\n", "");
    };
    match &result.outcome {
        Outcome::Pass | Outcome::NotApplicable(_) => {}
        Outcome::Error(reason) => tell("error", reason),
        Outcome::Fail { step, expected, found } => {
            tell("in", step);
            tell("expected", expected);
            tell("found", found);
        }
    }
    out
}

/// Breaks between words; further lines begin with so many spaces.
fn wrap(text: &str, width: usize, indent: usize) -> String {
    let width = width.max(20);
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out += &format!("\n{:indent$}", "");
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += length;
    }
    out
}

impl Layout {
    fn paint(self, text: &str, colour: &str) -> String {
        if self.colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary;

    fn report() -> Report {
        let cases = crate::cases::of(Profile::Generic);
        let fail = Outcome::Fail {
            step: "step 3, PUT with If-Match: \"x\"".into(),
            expected: "412".into(),
            found: "204".into(),
        };
        let outcomes = [
            ("if-match/stale", fail.clone()),
            ("if-match/refusal-tag", fail),
            ("etag/present", Outcome::Pass),
            ("etag/aba", Outcome::NotApplicable("no strong ETag on GET".into())),
            ("races/writers", Outcome::Error("no answer within 10 s".into())),
        ];
        let results = outcomes
            .into_iter()
            .map(|(id, outcome)| {
                let case = cases.iter().find(|case| case.id == id).unwrap().clone();
                CaseResult { case, outcome, seconds: 0.5 }
            })
            .collect();
        Report { profile: Profile::Generic, url: "http://h".into(), results }
    }

    #[test]
    fn every_outcome_is_told_with_its_reason() {
        let text = render(&report(), Layout { width: 100, colours: false });
        for part in [
            "\nif-match\n",
            "FAIL",
            "expected 412",
            "found    204",
            "step 3",
            "hint",
            "n/a",
            "does not apply: no strong ETag on GET",
            "ERROR",
            "no answer within 10 s",
            "MUST",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let coloured = render(&report(), Layout { width: 100, colours: true });
        assert!(coloured.contains("\u{1b}[31;1mFAIL"), "{coloured:?}");
        let summary = summary(&report());
        assert!(
            summary.contains(
                "1 passed, 1 failed, 1 SHOULD or MAY not followed, 1 not applicable, 1 errors"
            ),
            "{summary}"
        );
        assert!(summary.contains("does not conform"), "{summary}");
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        for width in [50, 60, 80, 120] {
            let text = render(&report(), Layout { width, colours: false });
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line:?}");
            }
        }
    }
}
