use stowage_config::ByteSize;

use super::*;

fn patterns(patterns: &[&str]) -> Patterns {
    Patterns::parse(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn record(mode: &str, size: &str, path: &[u8]) -> Vec<u8> {
    let kind = if mode == "160000" { "commit" } else { "blob" };
    [format!("{mode} {kind} 0123abcd {size:>7}\t").as_bytes(), path].concat()
}

#[test]
fn a_star_stops_at_a_slash_and_two_do_not() {
    let table: &[(&[&str], &str, bool)] = &[
        (&["*.yaml"], "a.yaml", true),
        (&["*.yaml"], "d/a.yaml", false),
        (&["**/*.yaml"], "a.yaml", true),
        (&["**/*.yaml"], "d/e/a.yaml", true),
        (&["d/*.yaml"], "d/a.yaml", true),
        (&["d/*.yaml"], "d/e/a.yaml", false),
        (&["d/**"], "d/e/a.yaml", true),
        (&["d/**"], "e/d/a.yaml", false),
        (&["d/**/a.yaml"], "d/a.yaml", true),
        (&["**/*runtime*.yaml"], "team/my-runtime.prod.yaml", true),
        (&["**/*runtime*.yaml"], "runtime/x.yaml", false),
        (&["?.yaml"], "a.yaml", true),
        (&["?.yaml"], "ab.yaml", false),
        (&["[ab].yaml"], "b.yaml", true),
        (&["[!ab].yaml"], "b.yaml", false),
        (&["a?b.yaml"], "a/b.yaml", false),
        (&["[/-z].yaml"], "a.yaml", true),
        (&["{a,b}.{yaml,json}"], "b.json", true),
        (&["A.yaml"], "a.yaml", false),
        (&["*.yaml"], ".hidden.yaml", true),
        (&["x.yaml", "a.yaml"], "a.yaml", true),
    ];
    for (globs, path, expected) in table {
        let patterns = patterns(globs);
        let mut selector = Selector {
            patterns: &patterns,
            limits: &SyncLimits::default(),
            schema_path: None,
            selection: Selection::default(),
            entries: 0,
            total_bytes: 0,
        };
        selector.consider(&record("100644", "10", path.as_bytes())).unwrap();
        assert_eq!(!selector.selection.files.is_empty(), *expected, "{globs:?} {path}");
    }
}

#[test]
fn patterns_that_cannot_match_are_refused_by_name() {
    for bad in ["", "/a.yaml", "./a.yaml", "[a", "{a", "a\\"] {
        let error = Patterns::parse(&["ok.yaml".to_owned(), bad.to_owned()]).unwrap_err();
        assert!(
            matches!(&error, SelectError::Pattern { pattern, .. } if pattern == bad),
            "{error}"
        );
    }
    assert_eq!(Patterns::parse(&[]).unwrap_err(), SelectError::Patterns);
}

#[test]
fn what_matches_and_cannot_be_served_is_named_with_the_reason() {
    let long_segment = format!("{}.yaml", "a".repeat(124));
    let long_path = format!("{}a.yaml", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/".repeat(32));
    let table: &[(&str, &str, &[u8], &str)] = &[
        ("120000", "11", b"link.yaml", "symbolic link"),
        ("160000", "-", b"module.yaml", "submodule"),
        ("040000", "-", b"odd.yaml", "no regular file"),
        ("100644", "10", b"../a.yaml", "path cannot be served"),
        ("100644", "10", b"d//a.yaml", "path cannot be served"),
        ("100644", "10", b"a b.yaml", "path cannot be served"),
        ("100644", "10", b"a\nb.yaml", "path cannot be served"),
        ("100644", "10", "é.yaml".as_bytes(), "path cannot be served"),
        ("100644", "10", b"\xff.yaml", "path cannot be served"),
        ("100644", "10", long_segment.as_bytes(), "path cannot be served"),
        ("100644", "10", long_path.as_bytes(), "path cannot be served"),
        ("100644", "10", b"README.md", "neither .yaml, .yml nor .json"),
        ("100644", "104857600", b"huge.yaml", "104857600 bytes and the limit is 10485760"),
        ("100644", "-", b"odd.yaml", "size"),
    ];
    let everything = patterns(&["**"]);
    let limits = SyncLimits::default();
    for (mode, size, path, reason) in table {
        let mut selector = Selector::new(&everything, &limits, None);
        selector.consider(&record(mode, size, path)).unwrap();
        let selection = selector.finish().unwrap();
        assert!(selection.files.is_empty(), "{}", path.escape_ascii());
        let message = &selection.invalid[0].errors[0].message;
        assert!(message.contains(reason), "{}: {message}", path.escape_ascii());
    }
}

#[test]
fn the_schema_is_no_config_although_a_pattern_matches_it() {
    let everything = patterns(&["**/*runtime*.json"]);
    let limits = SyncLimits::default();
    let mut selector = Selector::new(&everything, &limits, Some("schema/runtime.json"));
    selector.consider(&record("100644", "10", b"schema/runtime.json")).unwrap();
    selector.consider(&record("100755", "10", b"a-runtime.json")).unwrap();
    let selection = selector.finish().unwrap();
    assert_eq!(selection.schema.unwrap().path, "schema/runtime.json");
    let paths: Vec<_> = selection.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["a-runtime.json"]);
}

#[test]
fn a_schema_that_is_a_link_is_none() {
    let everything = patterns(&["**"]);
    let limits = SyncLimits::default();
    let mut selector = Selector::new(&everything, &limits, Some("schema.json"));
    selector.consider(&record("120000", "10", b"schema.json")).unwrap();
    selector.consider(&record("100644", "10", b"a.yaml")).unwrap();
    assert_eq!(selector.finish().unwrap().schema, None);
}

#[test]
fn limits_end_the_selection() {
    let everything = patterns(&["**"]);
    let limits = SyncLimits {
        max_files: 2,
        max_total_bytes: ByteSize::from_bytes(100),
        ..SyncLimits::default()
    };
    let mut files = Selector::new(&everything, &limits, None);
    files.consider(&record("100644", "1", b"a.yaml")).unwrap();
    files.consider(&record("120000", "1", b"b.yaml")).unwrap();
    let third = files.consider(&record("100644", "1", b"c.yaml"));
    assert_eq!(third, Err(SelectError::TooManyFiles(2)));

    let mut bytes = Selector::new(&everything, &limits, None);
    bytes.consider(&record("100644", "60", b"a.yaml")).unwrap();
    let second = bytes.consider(&record("100644", "60", b"b.yaml"));
    assert_eq!(second, Err(SelectError::TooManyBytes(100)));

    let mut deep = Selector::new(&everything, &limits, None);
    let path = "d/".repeat(64) + "a.yaml";
    assert_eq!(deep.consider(&record("100644", "1", path.as_bytes())), Err(SelectError::TooDeep));
    for bad in [&b""[..], b"no tab", b"100644 blob\ta", b"100644 blob id 1 2\ta", b"1 2 3 4\t"] {
        assert_eq!(deep.consider(bad), Err(SelectError::Listing), "{}", bad.escape_ascii());
    }
}

#[test]
fn no_file_is_an_error_that_names_the_patterns() {
    let none = patterns(&["**/*runtme*.yaml", "x.yaml"]);
    let limits = SyncLimits::default();
    let error = Selector::new(&none, &limits, None).finish().unwrap_err();
    assert!(error.to_string().contains("**/*runtme*.yaml, x.yaml"), "{error}");
}
