//! JUnit's XML, as CI servers read it.

use crate::outcome::{Outcome, Result as CaseResult};
use crate::report::Counts;
use crate::run::Report;

/// The XML of a run. A failure that binds is a `failure`; one that does not (SHOULD, MAY) is
/// `skipped` with what was found, because it must not turn a build red.
#[must_use]
pub fn render(report: &Report) -> String {
    let counts = Counts::of(report);
    let seconds: f64 = report.results.iter().map(|result| result.seconds).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out += &format!(
        "<testsuites>\n<testsuite name=\"stowage conformance {}\" hostname=\"{}\" tests=\"{}\" \
         failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">\n",
        report.profile,
        escape(&report.url),
        report.results.len(),
        counts.failed,
        counts.errors,
        counts.not_applicable + counts.advice,
    );
    for result in &report.results {
        out += &case(result, report);
    }
    out + "</testsuite>\n</testsuites>\n"
}

fn case(result: &CaseResult, report: &Report) -> String {
    let (section, name) = result.case.id.split_once('/').unwrap_or(("", result.case.id));
    let level = result.case.level(report.profile).name();
    let about = format!("{} ({level}, {})", result.case.title, result.case.source);
    let head = format!(
        "<testcase classname=\"{}.{}\" name=\"{}: {}\" time=\"{:.3}\"",
        report.profile,
        escape(section),
        escape(name),
        escape(&about),
        result.seconds
    );
    let inner = match &result.outcome {
        Outcome::Pass => return head + "/>\n",
        Outcome::NotApplicable(reason) => format!("<skipped message=\"{}\"/>", escape(reason)),
        Outcome::Error(reason) => format!("<error message=\"{}\"/>", escape(reason)),
        Outcome::Fail { step, expected, found } => {
            let message = escape(&format!("expected {expected}, found {found} ({step})"));
            let kind = if result.is_fatal(report.profile) { "failure" } else { "skipped" };
            format!("<{kind} message=\"{message}\"/>")
        }
    };
    format!("{head}>{inner}</testcase>\n")
}

/// For an attribute; characters that XML 1.0 cannot hold become question marks.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\r' | '\t' => out.push(' '),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn outcomes_become_elements_and_nothing_breaks_out_of_them() {
        let case = |id: &str| {
            crate::cases::of(Profile::Generic).into_iter().find(|case| case.id == id).unwrap()
        };
        let result = |id, outcome| CaseResult { case: case(id), outcome, seconds: 0.25 };
        let fail = Outcome::Fail {
            step: "step 1".into(),
            expected: "<\"a\"&\u{1}>".into(),
            found: "b".into(),
        };
        let results = vec![
            result("if-match/stale", fail.clone()),
            result("etag/aba", fail),
            result("etag/present", Outcome::Pass),
            result("etag/stable", Outcome::NotApplicable("no".into())),
            result("etag/changes", Outcome::Error("closed".into())),
        ];
        let report = Report { profile: Profile::Generic, url: "http://h".into(), results };
        let xml = render(&report);
        assert!(xml.contains("tests=\"5\" failures=\"1\" errors=\"1\" skipped=\"2\""), "{xml}");
        assert!(
            xml.contains(
                "<failure message=\"expected &lt;&quot;a&quot;&amp;?&gt;, found b (step 1)\"/>"
            ),
            "{xml}"
        );
        assert!(xml.contains("<error message=\"closed\"/>"), "{xml}");
        assert_eq!(xml.matches("<testcase").count(), 5);
        assert_eq!(xml.matches("</testcase>").count(), 4);
    }
}
