//! What is in the files: which are selected, and how the wrong ones are reported.

use stowage_config::ByteSize;
use stowage_sync::{Outcome, SyncReport};

use crate::file_config;
use crate::support::{Recorder, Repository, Scratch};

async fn sync_with(files: &[(&str, &str)], include: &[&str]) -> (SyncReport, Vec<String>) {
    let (repository, recorder) = (Repository::new(), Recorder::default());
    repository.commit(files);
    let mut config = file_config(&repository);
    if !include.is_empty() {
        config.include = include.iter().map(|p| (*p).to_owned()).collect();
    }
    let report = Scratch::new().sync(&config, &recorder).await;
    (report, recorder.last())
}

#[tokio::test]
async fn include_patterns_choose_the_files() {
    let files = [
        ("a.yaml", "1"),
        ("d/b.yaml", "1"),
        ("d/e/c.yaml", "1"),
        ("d/b.json", "1"),
        ("x.txt", "1"),
    ];
    let table: &[(&[&str], &[&str])] = &[
        (&["*.yaml"], &["a.yaml"]),
        (&["**/*.yaml"], &["a.yaml", "d/b.yaml", "d/e/c.yaml"]),
        (&["d/*"], &["d/b.json", "d/b.yaml"]),
        (&["d/**"], &["d/b.json", "d/b.yaml", "d/e/c.yaml"]),
        (&["a.yaml", "d/*.json"], &["a.yaml", "d/b.json"]),
        (&["**/[bc].yaml"], &["d/b.yaml", "d/e/c.yaml"]),
    ];
    for (include, expected) in table {
        let (report, set) = sync_with(&files, include).await;
        assert_eq!(report.outcome, Outcome::Published, "{include:?} {report:?}");
        let paths: Vec<_> = set.iter().map(|l| l.split('=').next().unwrap()).collect();
        assert_eq!(paths, *expected, "{include:?}");
    }
}

#[tokio::test]
async fn a_wrong_pattern_never_empties_a_set() {
    let (report, _) = sync_with(&[("runtime.yaml", "a: 1")], &["**/*runtme*"]).await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Failed, "NoFiles"));
    assert!(report.message.contains("**/*runtme*"), "{report:?}");
    let (report, _) = sync_with(&[("runtime.yaml", "a: 1")], &["[a"]).await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Failed, "IncludeRefused"));
    assert!(report.message.contains("[a"), "{report:?}");
}

#[tokio::test]
async fn every_invalid_file_is_reported_with_reason_and_place_and_nothing_is_published() {
    let (report, set) = sync_with(
        &[
            ("0-runtime.yaml", "fine: true\n"),
            ("1-runtime.yaml", "a: 1\nb: [1,\nc: 2\n"),
            ("2-runtime.yaml", "a: 1\na: 2\n"),
            ("3-runtime.json", "{\"a\": 1,\n \"a\": 2}"),
            ("4-runtime.yaml", "a: 1\n---\nb: 2\n"),
            ("5-runtime.yaml", ""),
            ("6-runtime.json", "{\"a\": }"),
            ("7 runtime.yaml", "a: 1\n"),
        ],
        &[],
    )
    .await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Invalid, "InvalidFiles"));
    assert_eq!(set, Vec::<String>::new());
    assert_eq!(report.files, 8);
    assert!(report.revision.is_some() && report.message.starts_with("7 files are invalid"));
    let expected = [
        ("1-runtime.yaml", "2:4", "unclosed bracket"),
        ("2-runtime.yaml", "2:1", "twice"),
        ("3-runtime.json", "2:4", "twice"),
        ("4-runtime.yaml", "3:1", "second document"),
        ("5-runtime.yaml", "", "empty"),
        ("6-runtime.json", "1:7", "expected value"),
        ("7 runtime.yaml", "", "path cannot be served"),
    ];
    assert_eq!(report.invalid.len(), expected.len(), "{report:?}");
    for ((file, at, message), got) in expected.iter().zip(&report.invalid) {
        let error = &got.errors[0];
        assert_eq!(got.file, *file);
        assert!(error.at.starts_with(at), "{file}: {error:?}");
        assert!(error.message.contains(message), "{file}: {error:?}");
    }
}

#[tokio::test]
async fn a_list_of_invalid_files_is_bounded_and_counted() {
    let files: Vec<_> = (0..60).map(|n| (format!("{n:02}-runtime.yaml"), "{")).collect();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let (report, _) = sync_with(&files, &[]).await;
    assert!(report.message.starts_with("60 files are invalid"), "{}", report.message);
    assert_eq!(report.invalid.len(), 50);
}

#[tokio::test]
async fn line_ends_and_byte_order_marks_change_nothing() {
    let (report, set) = sync_with(
        &[
            ("a-runtime.yaml", "\u{feff}a: 1\r\nb:\r\n  - x\r\n"),
            ("b-runtime.json", "\u{feff}{\r\n\"a\": 1}\r\n"),
        ],
        &[],
    )
    .await;
    assert_eq!(report.outcome, Outcome::Published, "{report:?}");
    assert_eq!(set, [r#"a-runtime.yaml={"a":1,"b":["x"]}"#, r#"b-runtime.json={"a":1}"#]);
}

#[tokio::test]
async fn limits_are_named_and_keep_the_old_set() {
    let files = [("a-runtime.yaml", "a: 0123456789\n"), ("b-runtime.yaml", "a: 0123456789\n")];
    let (repository, recorder) = (Repository::new(), Recorder::default());
    repository.commit(&files);
    let default = file_config(&repository).limits;
    let table = [
        (stowage_config::SyncLimits { max_files: 1, ..default.clone() }, "TooLarge", "1 files"),
        (
            stowage_config::SyncLimits {
                max_total_bytes: ByteSize::from_bytes(20),
                ..default.clone()
            },
            "TooLarge",
            "20 bytes in all",
        ),
        (
            stowage_config::SyncLimits { max_file_bytes: ByteSize::from_bytes(10), ..default },
            "InvalidFiles",
            "2 files are invalid",
        ),
    ];
    for (limits, reason, message) in table {
        let mut config = file_config(&repository);
        config.limits = limits;
        let report = Scratch::new().sync(&config, &recorder).await;
        assert_eq!(report.reason, reason, "{report:?}");
        assert!(report.message.contains(message), "{report:?}");
    }
    assert_eq!(recorder.count(), 0);
}

#[tokio::test]
async fn a_file_in_git_lfs_is_refused_by_name() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n";
    let (report, _) = sync_with(&[("a-runtime.yaml", pointer)], &[]).await;
    assert_eq!(report.outcome, Outcome::Invalid, "{report:?}");
    assert!(report.invalid[0].errors[0].message.contains("Git LFS"), "{report:?}");
}
