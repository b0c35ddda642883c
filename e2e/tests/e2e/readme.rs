//! The commands of the README's section "On a cluster" do what it says, as they are written.

use crate::support::namespace::Namespace;
use crate::support::pages::{Shell, blocks};
use crate::support::release;

#[test]
fn every_command_does_what_it_says() {
    let blocks = blocks("README.md", "On a cluster");
    assert!(blocks.len() >= 5, "the section has {} blocks of commands", blocks.len());
    let _cluster = release::exclusive_without_release();
    release::uninstall();
    let namespace = Namespace::create("readme");
    let shell = Shell::of(&namespace);

    let said: String = blocks.iter().map(|block| shell.run(block)).collect();
    // What a reader looks for in the output.
    for expected in [
        "STATUS: deployed",
        "Phase:          Succeeded",
        "store.stowage.dev/demo condition met",
        &format!("http://demo.{}.svc:8080", namespace.name),
        r#"{"runs":1}"#,
        "runtimeconfigsource.stowage.dev/etl condition met",
        "runtimeconfigsource.stowage.dev/etl annotated",
    ] {
        assert!(said.contains(expected), "no `{expected}` in what the commands said:\n{said}");
    }
}
