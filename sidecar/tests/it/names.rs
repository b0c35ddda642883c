//! Common, "Names": decoded once, checked, and 400 before any storage is touched.

use super::harness::Setup;
use super::raw::{get, put};
use super::rows::{Row, row, run};

fn bad(name: &'static str, target: &str) -> [Row; 2] {
    [row(name).when(get(target)).then(400), row(name).when(put(target, "{}")).then(400)]
}

#[tokio::test]
async fn bad_names_are_400() {
    let long = format!("/run-stores/{}", "a".repeat(129));
    let rows = [
        bad("an empty name of a run store", "/run-stores/"),
        bad("an empty job", "/jobs/"),
        bad("an empty run", "/jobs/j/runs/"),
        bad("an empty checkpoint", "/jobs/j/checkpoints/"),
        bad("an empty repository id", "/runtimes//main"),
        bad("an empty branch", "/runtimes/a/"),
        bad("an empty site", "/sites//artifacts/b"),
        bad("an empty build", "/sites/a/artifacts/"),
        bad("an empty site of the alias", "/artifacts//b"),
        bad("an empty build of the alias", "/artifacts/a/"),
        bad("a run store named ..", "/run-stores/.."),
        bad("a run store named . by escape", "/run-stores/%2e"),
        bad("a run store named .. by escape", "/run-stores/%2E%2e"),
        bad("a slash in a run store's name", "/run-stores/a%2Fb"),
        bad("a name that is encoded twice", "/run-stores/a%252Fb"),
        bad("a NUL", "/run-stores/a%00"),
        bad("an escape without digits", "/run-stores/a%zz"),
        bad("an escape that ends early", "/run-stores/a%2"),
        bad("bad UTF-8", "/run-stores/%FF%FE"),
        bad("a letter outside the set", "/run-stores/%C3%A9"),
        bad("a space", "/run-stores/a%20b"),
        bad("129 bytes", &long),
        bad("a repository id with an empty part", "/runtimes/a%2F%2Fb/main"),
        bad("a repository id that climbs", "/runtimes/a%2F..%2Fb/main"),
        bad("a branch that climbs", "/runtimes/a/%2E%2E"),
        bad("a branch with a NUL", "/runtimes/a/main%00"),
    ];
    let file = [row("an empty path of a file").when(get("/runtimes/a/b/")).then(400)];
    let rows = rows.into_iter().flatten().chain(file);
    run(|| Setup::default().in_memory(), rows).await;
}

#[tokio::test]
async fn good_names_are_taken() {
    let longest = format!("/run-stores/{}", "a".repeat(128));
    let rows = [
        row("every byte of the set").when(put("/run-stores/aZ0._:@+~-", "1")).then(200),
        row("128 bytes").when(put(&longest, "1")).then(200),
        row("an escaped letter is the letter")
            .given(put("/run-stores/abc", "1"))
            .when(get("/run-stores/%61bc"))
            .then(200)
            .body("1"),
        row("a query behind a path is no part of it")
            .given(put("/run-stores/abc", "1"))
            .when(get("/run-stores/abc?x=/../y"))
            .then(200),
    ];
    run(|| Setup::default().in_memory(), rows).await;
}

#[tokio::test]
async fn an_error_names_the_kind_and_never_the_value() {
    let server = Setup::default().in_memory().start().await;
    let answer = server.send(&get("/run-stores/se%20cret")).await;
    assert!(answer.text().contains("run store name"), "{}", answer.text());
    assert!(!answer.text().contains("cret"), "{}", answer.text());
    let answer = server.send(&get("/runtimes/a/se%20cret")).await;
    assert!(answer.text().contains("branch"), "{}", answer.text());
}
