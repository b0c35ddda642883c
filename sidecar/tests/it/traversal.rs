//! Paths that try to leave their place. None reaches a file that is not its own, and none changes
//! anything: the directory is compared byte by byte.

use std::collections::BTreeMap;
use std::path::Path;

use super::harness::{Server, eventually};
use super::open_metrics::Exposition;
use super::raw::{Request, get, patch, put};

/// What climbs, in every spelling.
const CLIMBS: &[&str] = &[
    "..",
    ".",
    "%2e%2e",
    "%2E%2E",
    ".%2e",
    "%252e%252e",
    "..%2f..%2fetc%2fpasswd",
    "..%2Fsecret",
    "%2e%2e%2fsecret",
    "..%5c..%5csecret",
    "..\\..\\secret",
    "%c0%ae%c0%ae",
    "%c0%ae%c0%ae%c0%afsecret",
    "%e0%80%ae%e0%80%ae",
    "%uff0e%uff0e",
    "a%00",
    "%00",
    "a%00.json",
    "a%2f..%2f..%2fsecret",
    "%2fetc%2fpasswd",
    "a%0d%0ab",
    "%",
    "%zz",
    "a%2",
    "%ff%fe",
    "a b",
    "..%2f.stowage%2fformat",
    "..;",
    "..%3b",
    "%ef%bc%8e%ef%bc%8e",
];

/// Every place of a name.
const PLACES: &[&str] = &[
    "/run-stores/{}",
    "/api/storage?ns={}",
    "/storage?ns={}",
    "/jobs/{}",
    "/jobs/{}/checkpoints",
    "/jobs/j/checkpoints/{}",
    "/jobs/{}/runs/r",
    "/jobs/j/runs/{}",
    "/jobs/j/runs/r/events/{}",
    "/runtimes/{}/main",
    "/runtimes/etl/{}",
    "/runtimes/etl/main/{}",
    "/sites/{}/artifacts/b",
    "/sites/s/artifacts/{}",
    "/artifacts/{}/b",
    "/artifacts/s/{}",
    "/sites/{}/versions",
    "/sites/{}/logs",
];

/// Paths as a whole.
const PATHS: &[&str] = &[
    "/..",
    "/../secret",
    "/../../../../etc/passwd",
    "/run-stores/../../secret",
    "/run-stores/%2e%2e/%2e%2e/secret",
    "/run-stores//secret",
    "//run-stores/secret",
    "//etc/passwd",
    "/./run-stores/../secret",
    "/.stowage/format",
    "/run-stores/..%2f.stowage%2fformat",
    "/kv/shared.json",
    "/jobs/../run-store.json",
    "/runtimes/etl/main/../../../run-store.json",
    "/runtimes/etl/main/..%2f..%2frun-store.json",
    "http://t/run-stores/../secret",
    "http://t/../secret",
    "http://elsewhere/%2e%2e/secret",
    "\\..\\secret",
    "/%5c..%5csecret",
    "*",
    "secret",
];

/// What stands in a directory, by path; the journal and its like are the engine's own.
fn tree(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(at) = directories.pop() {
        for entry in at.read_dir().expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.ends_with("data/.stowage") {
                continue;
            }
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                found.insert(name, Vec::new());
                directories.push(path);
            } else {
                found.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

#[tokio::test]
async fn no_path_leaves_its_place_and_none_touches_the_storage() {
    let server = Server::start().await;
    let outside = server.data().parent().expect("a directory").to_owned();
    std::fs::write(outside.join("secret"), "out of reach").expect("a file");
    std::fs::write(outside.join("secret.json"), "\"out of reach\"").expect("a file");
    let seeds = [
        put("/", "\"kept\""),
        put("/run-stores/kept", "\"kept\""),
        patch("/api/storage?ns=shared", "0", r#"[{"op":"set","key":"k","value":"kept"}]"#),
        put("/runtimes/etl/main", r#"{"revision":"c","files":[{"filepath":"a","config":1}]}"#),
        put("/artifacts/s/kept", "kept"),
        put("/jobs/j", r#"{"id":"j"}"#),
    ];
    for seed in seeds {
        let answer = server.send(&seed).await;
        assert!(answer.status < 300, "{}: {}", seed.target, answer.text());
    }
    let scrape = async |name: &str| {
        let text = get("/metrics").send(server.management).await.text();
        Exposition::parse(&text).expect("OpenMetrics").value(name, &[])
    };
    eventually("the tree is up to date", async || {
        (scrape("stowage_dirty_entries").await == Some(0.0)).then_some(())
    })
    .await;
    let commits = scrape("stowage_commit_records_sum").await;
    let before = tree(&outside);

    let mut targets: Vec<String> = PATHS.iter().map(|path| (*path).to_owned()).collect();
    for place in PLACES {
        targets.extend(CLIMBS.iter().map(|climb| place.replace("{}", climb)));
    }
    let operations = r#"[{"op":"set","key":"k","value":1}]"#;
    let mut wrong = Vec::new();
    for target in &targets {
        let set = r#"{"revision":"c","files":[{"filepath":"a","config":2}]}"#;
        let requests = [
            get(target),
            put(target, set),
            patch(target, "*", operations),
            Request::new("DELETE", target).header("If-Match", "*"),
            Request::new("POST", target).body(r#"{"build_id":"b","action":"a","status":"s"}"#),
        ];
        for request in requests {
            let answer = server.send(&request).await;
            if !(400..500).contains(&answer.status) || answer.text().contains("out of reach") {
                wrong.push(format!("{} {target}: {}", request.method, answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(scrape("stowage_commit_records_sum").await, commits, "nothing was written");
    let after = tree(&outside);
    assert!(before == after, "{:?}\nbecame\n{:?}", before.keys(), after.keys());
    assert!(targets.len() > 500, "{} targets", targets.len());
}
