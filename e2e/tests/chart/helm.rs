//! Runs Helm and kubectl, and reads what a chart renders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use stowage_e2e::ToolSet;

/// The namespace and name of the releases that are only rendered.
pub(crate) const NAMESPACE: &str = "stowage-system";

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

pub(crate) fn chart() -> PathBuf {
    repository("charts/stowage")
}

/// One of the test cluster's programs.
pub(crate) fn program(name: &str) -> Command {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    let tools = TOOLS.get_or_init(|| ToolSet::ControlPlane.directory().unwrap());
    let mut command = Command::new(tools.join(name));
    // Nothing of the person who runs the tests: neither their clusters nor their Helm settings.
    command.env_clear().env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// Runs a program to its end, and fails the test with what it said where its success is another.
pub(crate) fn run(command: &mut Command, success: bool) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert_eq!(status.success(), success, "{command:?}: {status}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn template_command(release: &str, arguments: &[&str]) -> Command {
    let mut command = program("helm");
    command.args(["template", release]).arg(chart());
    command.args(["--namespace", NAMESPACE, "--kube-version", "1.33"]).args(arguments);
    command
}

/// What the chart makes with these arguments, `--set` or others.
pub(crate) fn template(arguments: &[&str]) -> Objects {
    release("stowage", arguments)
}

/// What the chart makes for a release of another name.
pub(crate) fn release(name: &str, arguments: &[&str]) -> Objects {
    let (stdout, _) = run(&mut template_command(name, arguments), true);
    Objects(serde_saphyr::from_multiple(&stdout).unwrap())
}

/// What Helm says of arguments that the chart refuses.
pub(crate) fn refusal(arguments: &[&str]) -> String {
    run(&mut template_command("stowage", arguments), false).1
}

/// A copy of the chart that a test may change.
pub(crate) fn copy_of_chart(target: &Path) {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to.join(entry.file_name()));
            } else {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    copy(&chart(), target);
}

/// Rendered objects, in the order in which Helm gives them.
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl Objects {
    pub(crate) fn of(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    pub(crate) fn names(&self, kind: &str) -> Vec<&str> {
        let names = self.of(kind).into_iter().map(|object| object["metadata"]["name"].as_str());
        names.map(Option::unwrap).collect()
    }

    /// The only one of its kind.
    pub(crate) fn one(&self, kind: &str) -> &Value {
        let found = self.of(kind);
        assert_eq!(found.len(), 1, "{kind}: {:?}", self.names(kind));
        found[0]
    }

    /// The pod of the operator's Deployment.
    pub(crate) fn pod(&self) -> &Value {
        &self.one("Deployment")["spec"]["template"]["spec"]
    }

    /// The operator's arguments.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        let arguments = self.pod()["containers"][0]["args"].as_array().unwrap();
        arguments.iter().map(|argument| argument.as_str().unwrap()).collect()
    }
}
