//! The commands of a page, run as they are written.

use std::path::PathBuf;
use std::process::Command;

use super::kubectl::{kubectl, run};
use super::namespace::Namespace;
use super::{image_repository, repository};

/// The `sh` blocks of a section of a page, in their order.
pub(crate) fn blocks(page: &str, section: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository(page)).unwrap();
    let section = text.split(&format!("\n## {section}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let begun = section.split("\n```sh\n").skip(1);
    begun.map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// A shell in the repository, whose kubeconfig has the namespace of a test, as a person's may.
pub(crate) struct Shell {
    kubeconfig: tempfile::NamedTempFile,
    directory: PathBuf,
}

impl Shell {
    pub(crate) fn of(namespace: &Namespace) -> Self {
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(kubeconfig.path(), kubectl(&["config", "view", "--raw", "--flatten"]))
            .unwrap();
        let path = format!("--kubeconfig={}", kubeconfig.path().display());
        let set = format!("--namespace={}", namespace.name);
        kubectl(&["config", &path, "set-context", "--current", &set]);
        Self { kubeconfig, directory: repository("") }
    }

    /// The same in another directory.
    pub(crate) fn within(self, directory: PathBuf) -> Self {
        Self { directory, ..self }
    }

    /// Runs a block and gives its standard output.
    ///
    /// # Panics
    /// Where one of its commands fails.
    pub(crate) fn run(&self, block: &str) -> String {
        println!("{block}");
        let ran = run(
            Command::new("bash")
                .args(["-euo", "pipefail", "-c", block])
                .current_dir(&self.directory)
                .env("KUBECONFIG", self.kubeconfig.path())
                .env("IMAGE_REPOSITORY", image_repository()),
            "",
        );
        println!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.success, "these commands failed:\n{block}\n{}", ran.stderr);
        ran.stdout
    }
}
