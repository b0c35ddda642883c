//! The commands of the README's section "On a cluster" do what it says, as they are written.

use std::process::Command;

use crate::support::kubectl::{kubectl, run};
use crate::support::namespace::Namespace;
use crate::support::{image_repository, release, repository};

/// The `sh` blocks of the section, in their order.
fn blocks() -> Vec<String> {
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let section = readme.split("\n## On a cluster\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let begun = section.split("\n```sh\n").skip(1);
    begun.map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// A copy of the kubeconfig whose namespace is that of the test, as a person's may be.
fn kubeconfig_of(namespace: &Namespace) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubectl(&["config", "view", "--raw", "--flatten"])).unwrap();
    let path = format!("--kubeconfig={}", file.path().display());
    let set = format!("--namespace={}", namespace.name);
    kubectl(&["config", &path, "set-context", "--current", &set]);
    file
}

#[test]
fn every_command_does_what_it_says() {
    let blocks = blocks();
    assert!(blocks.len() >= 5, "the section has {} blocks of commands", blocks.len());
    let _cluster = release::exclusive_without_release();
    release::uninstall();
    let namespace = Namespace::create("readme");
    let kubeconfig = kubeconfig_of(&namespace);

    let mut said = String::new();
    for block in &blocks {
        println!("{block}");
        let ran = run(
            Command::new("bash")
                .args(["-euo", "pipefail", "-c", block])
                .current_dir(repository(""))
                .env("KUBECONFIG", kubeconfig.path())
                .env("IMAGE_REPOSITORY", image_repository()),
            "",
        );
        println!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.success, "these commands failed:\n{block}\n{}", ran.stderr);
        said.push_str(&ran.stdout);
    }
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
