//! A report that fits into a termination message.

use stowage_sync::SyncReport;

/// What Kubernetes keeps of a container's termination message.
const BYTES_MAX: usize = 4096;

/// How many errors of one file a shortened report names at most.
const ERRORS_MAX: usize = 3;

/// How many characters of a text a shortened report keeps at most.
const TEXT_MAX: usize = 512;

/// The report as JSON of at most 4096 bytes. What is left out first is what helps least: the
/// further errors of a file, then the last files; the message, which counts them, stays.
pub(super) fn shortened(mut report: SyncReport) -> String {
    let fits = |report: &SyncReport| {
        serde_json::to_string(report).ok().filter(|text| text.len() <= BYTES_MAX)
    };
    if let Some(text) = fits(&report) {
        return text;
    }
    for file in &mut report.invalid {
        file.errors.truncate(ERRORS_MAX);
        for error in &mut file.errors {
            shorten(&mut error.at, TEXT_MAX / 2);
            shorten(&mut error.message, TEXT_MAX / 2);
        }
    }
    let mut text_max = TEXT_MAX;
    loop {
        if let Some(text) = fits(&report) {
            return text;
        }
        if report.invalid.pop().is_none() {
            for text in [&mut report.message, &mut report.repo_id, &mut report.branch] {
                shorten(text, text_max);
            }
            // Every text is bounded and halved, so this ends.
            text_max /= 2;
            report.revision = report.revision.filter(|revision| revision.len() <= TEXT_MAX);
            report.etag = report.etag.filter(|etag| etag.len() <= TEXT_MAX);
            shorten(&mut report.reason, TEXT_MAX);
        }
    }
}

fn shorten(text: &mut String, chars_max: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use stowage_sync::{FileError, InvalidFile, Outcome};

    use super::*;

    fn report(files: usize, errors: usize, text: &str) -> SyncReport {
        let error = || FileError { at: format!("/{text}"), message: text.to_owned() };
        let file = |i| InvalidFile {
            file: format!("{i}.yaml"),
            errors: std::iter::repeat_with(error).take(errors).collect(),
        };
        SyncReport {
            repo_id: "etl".into(),
            branch: "main".into(),
            outcome: Outcome::Invalid,
            reason: "InvalidFiles".into(),
            message: format!("{files} files are invalid {text}"),
            revision: Some("0".repeat(40)),
            files: 0,
            etag: None,
            invalid: (0..files).map(file).collect(),
            duration_ms: 1,
        }
    }

    #[test]
    fn a_short_report_stays_as_it_is() {
        let report = report(2, 2, "wrong");
        assert_eq!(shortened(report.clone()), serde_json::to_string(&report).unwrap());
    }

    #[test]
    fn a_long_report_is_whole_json_within_the_bound() {
        let long = "\u{1}é😀".repeat(2_000);
        for report in [report(50, 20, "wrong"), report(3, 3, &long), report(1, 1, &long)] {
            let text = shortened(report);
            assert!(text.len() <= BYTES_MAX, "{} bytes", text.len());
            let back: SyncReport = serde_json::from_str(&text).unwrap();
            assert_eq!(back.reason, "InvalidFiles");
            assert!(back.message.contains("files are invalid"), "{}", back.message);
        }
    }

    #[test]
    fn the_first_files_are_named_even_where_not_all_fit() {
        let text = shortened(report(50, 20, "wrong"));
        let back: SyncReport = serde_json::from_str(&text).unwrap();
        assert_eq!(back.invalid.first().map(|f| f.file.as_str()), Some("0.yaml"));
    }
}
