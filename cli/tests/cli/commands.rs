//! The commands that end by themselves: `validate`, `version`, `completions`, and wrong usage.

use crate::support::{Place, run, store, store_with_token};

#[tokio::test]
async fn validate_says_what_there_is_or_what_is_wrong() {
    let good = store_with_token("demo", "admin-0123456789abcdef");
    let wrong = store("demo", "  replicaz: 1\n  contracts: [kv, kv]\n");
    let broken = "kind: [\n";
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], i32, &'a [&'a str]);
    let table: &[Row<'_>] = &[
        ("valid", &[("a.yaml", &good)], 0, &["valid", "1 Store", "1 Secret"]),
        ("an unknown field", &[("a.yaml", &wrong)], 1, &["a.yaml:7:", "replicaz", "problem"]),
        ("broken YAML", &[("a.yaml", broken)], 1, &["a.yaml:", "1 problem"]),
        ("nothing there", &[], 1, &["problem"]),
        ("one Store twice", &[("a.yaml", &good), ("b.yaml", &good)], 1, &["b.yaml:", "a.yaml"]),
    ];
    for (case, manifests, expected, said) in table {
        let place = Place::new(manifests);
        let (code, stdout, stderr) =
            run(&["validate", "-f", place.manifests().to_str().unwrap()]).await;
        assert_eq!(code, *expected, "{case}: {stdout}{stderr}");
        for words in *said {
            assert!(stdout.contains(words), "{case}: no {words:?} in {stdout}");
        }
    }
}

#[tokio::test]
async fn problems_are_sorted_and_each_names_its_place() {
    let wrong = store("demo", "  replicaz: 1\n");
    let place = Place::new(&[("b.yaml", &wrong), ("a.yaml", &store("x", "  suspend: 3\n"))]);
    let (code, stdout, _) = run(&["validate", "-f", place.manifests().to_str().unwrap()]).await;
    assert_eq!(code, 1);
    let files: Vec<_> = stdout.lines().filter_map(|line| line.split_once(".yaml:7:")).collect();
    assert_eq!(files.len(), 2, "{stdout}");
    assert!(files[0].0.ends_with("/a") && files[1].0.ends_with("/b"), "{stdout}");
    let (_, rest) = files[0];
    assert!(rest.contains(": spec.suspend: "), "line:column: field: message, not {rest}");
}

#[tokio::test]
async fn validate_speaks_json() {
    let place = Place::new(&[("a.yaml", &store("demo", "  replicaz: 1\n"))]);
    let directory = place.manifests();
    let arguments = ["validate", "-f", directory.to_str().unwrap(), "--output", "json"];
    let (code, stdout, _) = run(&arguments).await;
    assert_eq!(code, 1);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["valid"], false, "{report}");
    let problem = &report["problems"][0];
    assert_eq!(problem["line"], 7, "{report}");
    assert!(problem["file"].as_str().unwrap().ends_with("a.yaml"), "{report}");
    assert!(problem["column"].is_u64() && problem["message"].is_string(), "{report}");

    place.write("a.yaml", &store("demo", ""));
    let (code, stdout, _) = run(&arguments).await;
    assert_eq!(code, 0);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["valid"], &report["counts"]["Store"]), (&true.into(), &1.into()));
}

#[tokio::test]
async fn wrong_usage_ends_with_64() {
    let table: &[&[&str]] = &[
        &[],
        &["serve"],
        &["up"],
        &["validate"],
        &["up", "-f", "x", "--replicas", "3"],
        &["validate", "-f", "x", "--output", "yaml"],
        &["completions", "csh"],
    ];
    for arguments in table {
        let (code, stdout, stderr) = run(arguments).await;
        assert_eq!((code, stdout.as_str()), (64, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains("Usage") || stderr.contains("--help"), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn help_has_examples_and_says_what_signals_do() {
    for (arguments, said) in [
        (&["--help"] as &[&str], &["Examples:", "stowage up -f"] as &[&str]),
        (&["up", "--help"], &["Examples:", "SIGHUP", "--ready-file", "Exit codes:"]),
        (&["validate", "--help"], &["Examples:", "Exit codes:"]),
    ] {
        let (code, stdout, _) = run(arguments).await;
        assert_eq!(code, 0, "{arguments:?}");
        for words in said {
            assert!(stdout.contains(words), "{arguments:?}: no {words:?} in {stdout}");
        }
    }
}

#[tokio::test]
async fn version_names_the_contracts() {
    let (code, stdout, _) = run(&["version", "--output", "json"]).await;
    assert_eq!(code, 0);
    let version: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    for contract in ["runStore", "kv", "jobs", "runtimes", "artifacts"] {
        assert_eq!(version["contracts"][contract], 1, "{version}");
    }
    let (_, stdout, _) = run(&["version"]).await;
    assert!(stdout.starts_with(&format!("stowage {}\n", env!("CARGO_PKG_VERSION"))), "{stdout}");
}

#[tokio::test]
async fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, stderr) = run(&["completions", shell]).await;
        assert_eq!(code, 0, "{shell}: {stderr}");
        assert!(stdout.contains("ready-file"), "{shell}: the flags are completed");
    }
}
