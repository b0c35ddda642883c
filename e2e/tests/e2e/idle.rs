//! Where nothing changes, the operator writes nothing.

use std::time::Duration;

use crate::support::audit::operator_writes;
use crate::support::git::Repository;
use crate::support::namespace::Namespace;
use crate::support::release;
use crate::support::{eventually, repository, stores};

/// How long nothing is to be written before the minute counts, and for how long that is tried.
const QUIET: Duration = Duration::from_secs(10);
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
const IDLE: Duration = Duration::from_secs(60);

#[test]
fn nothing_is_written_in_an_idle_minute() {
    let _cluster = release::exclusive();
    let namespace = Namespace::create("idle");
    stores::demo(&namespace);
    namespace.apply_file("examples/cluster/namespace.yaml");
    let _repository = Repository::serve(&namespace);
    // A schedule would be something that happens.
    let source = std::fs::read_to_string(repository("examples/cluster/source.yaml")).unwrap();
    namespace.apply(&source.replace("interval: 1m", "interval: 24h"));
    namespace.wait("Ready", "runtimeconfigsource/etl");
    // And one that cannot get ready.
    namespace.apply(&stores::manifest(
        "stuck",
        &serde_json::json!({"auth": {"tokensSecretRef": {"name": "nobody"}}}),
    ));

    // What went before is over once nothing was written for a while.
    eventually("the operator comes to rest", SETTLED_WITHIN, || {
        let before = operator_writes().len();
        std::thread::sleep(QUIET);
        let new = operator_writes().split_off(before);
        if new.is_empty() { Ok(()) } else { Err(new.join("\n")) }
    });
    let before = operator_writes();
    assert!(
        before.iter().any(|write| write.contains("/demo")),
        "no write was recorded: {before:?}"
    );
    std::thread::sleep(IDLE);
    let written = operator_writes().split_off(before.len());
    assert!(written.is_empty(), "written in an idle minute:\n{}", written.join("\n"));
}
