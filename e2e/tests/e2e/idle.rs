//! Where nothing changes, the operator writes nothing.

use std::time::Duration;

use crate::support::audit::{operator_writes, wait_until_quiet};
use crate::support::git::{self, Repository};
use crate::support::namespace::Namespace;
use crate::support::release;
use crate::support::stores;

const IDLE: Duration = Duration::from_secs(60);

#[test]
fn nothing_is_written_in_an_idle_minute() {
    let _cluster = release::exclusive();
    let namespace = Namespace::create("idle");
    stores::demo(&namespace);
    namespace.apply_file("examples/cluster/namespace.yaml");
    let _repository = Repository::serve(&namespace);
    // A schedule would be something that happens.
    namespace.apply(&git::unscheduled_source());
    namespace.wait("Ready", "runtimeconfigsource/etl");
    // And one that cannot get ready.
    namespace.apply(&stores::manifest(
        "stuck",
        &serde_json::json!({"auth": {"tokensSecretRef": {"name": "nobody"}}}),
    ));

    // What went before is over once nothing was written for a while.
    wait_until_quiet(Duration::from_secs(10));
    let before = operator_writes();
    assert!(
        before.iter().any(|write| write.contains("/demo")),
        "no write was recorded: {before:?}"
    );
    std::thread::sleep(IDLE);
    let written = operator_writes().split_off(before.len());
    assert!(written.is_empty(), "written in an idle minute:\n{}", written.join("\n"));
}
