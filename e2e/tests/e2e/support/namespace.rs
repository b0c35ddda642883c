//! A namespace for each test, in which pods have to keep to the restricted Pod Security Standard.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::kubectl::{Said, kubectl, run};
use super::release::NAMESPACE as RELEASE_NAMESPACE;
use super::{SOON, eventually};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Removed at the end; where the test fails, what is in it is printed first.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    /// A fresh one, named after the test.
    pub(crate) fn create(test: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{test}-{}-{number}", std::process::id());
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        });
        let created = Self { name };
        created.apply(&namespace.to_string());
        eventually("the namespace's service account", SOON, || {
            created.try_kubectl(&["get", "serviceaccount", "default"]).result()
        });
        created
    }

    /// `kubectl` in this namespace, whether it succeeds or not.
    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> Said {
        run(self.command().args(arguments), "")
    }

    /// `kubectl` in this namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.name], arguments].concat())
    }

    /// Applies manifests, as YAML or JSON.
    pub(crate) fn apply(&self, manifests: &str) -> String {
        self.kubectl_with(&["apply", "-f", "-"], manifests)
    }

    /// `kubectl` with something on its standard input.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> String {
        let said = run(self.command().args(arguments), input);
        assert!(said.success, "kubectl {}: {}{}", arguments.join(" "), said.stderr, said.stdout);
        said.stdout
    }

    /// Applies a file of the repository.
    pub(crate) fn apply_file(&self, path: &str) {
        self.kubectl(&["apply", "-f", super::repository(path).to_str().unwrap()]);
    }

    fn command(&self) -> Command {
        let mut command = Command::new("kubectl");
        command.args(["--namespace", &self.name]);
        command
    }

    /// An object (`store/demo`) or a list of them (`pods`), where there is one.
    pub(crate) fn try_get(&self, what: &str) -> Result<Value, String> {
        let text = self.try_kubectl(&["get", "-o", "json", what]).result()?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// An object (`store/demo`) or a list of them (`pods`).
    pub(crate) fn get(&self, what: &str) -> Value {
        self.try_get(what).unwrap_or_else(|said| panic!("kubectl get {what}: {said}"))
    }

    /// `kubectl wait --for=condition=CONDITION WHAT`.
    pub(crate) fn wait(&self, condition: &str, what: &str) {
        self.kubectl(&["wait", &format!("--for=condition={condition}"), "--timeout=3m", what]);
    }

    /// Waits until a condition of an object has this status and reason, and gives its message.
    pub(crate) fn wait_for_reason(
        &self,
        what: &str,
        kind: &str,
        status: &str,
        reason: &str,
        within: Duration,
    ) -> String {
        eventually(&format!("{what} is {kind}={status} with {reason}"), within, || {
            let object = self.try_get(what)?;
            let found = condition(&object, kind).ok_or("it has no such condition")?;
            if found["status"] == status && found["reason"] == reason {
                return Ok(found["message"].as_str().unwrap_or_default().to_owned());
            }
            Err(format!("{found}"))
        })
    }

    /// The Events about an object: reason, type, note.
    pub(crate) fn events(&self, kind: &str, name: &str) -> Vec<(String, String, String)> {
        let events = self.get("events.v1.events.k8s.io");
        let items = events["items"].as_array().unwrap().iter();
        items
            .filter(|event| {
                event["regarding"]["kind"] == kind && event["regarding"]["name"] == name
            })
            .map(|event| {
                let field = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                (field("reason"), field("type"), field("note"))
            })
            .collect()
    }

    fn report(&self) {
        println!("--- what is in the namespace {}", self.name);
        let own = "stores,storenamespaces,runtimeconfigsources";
        let all = format!("pods,services,statefulsets,jobs,cronjobs,persistentvolumeclaims,{own}");
        let managed = "--selector=app.kubernetes.io/name=stowage";
        for arguments in [
            &["get", &all, "-o", "wide"][..],
            &["get", own, "-o", "jsonpath={range .items[*]}{.kind} {.status}{'\\n'}{end}"],
            &["get", "events", "--sort-by=.metadata.creationTimestamp"],
            &["logs", "--all-containers", "--prefix", "--tail=20", managed],
        ] {
            let said = self.try_kubectl(arguments);
            println!("$ kubectl {}\n{}{}", arguments.join(" "), said.stdout, said.stderr);
        }
        println!("$ what the operator logged about it, and its last lines");
        let operator = "--selector=app.kubernetes.io/component=operator";
        let release = ["logs", "--namespace", RELEASE_NAMESPACE, operator, "--tail=-1"];
        let log = self.try_kubectl(&release).stdout;
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.len().saturating_sub(5);
        let about = |(number, line): &(usize, &&str)| *number >= last || line.contains(&self.name);
        for (_, line) in lines.iter().enumerate().filter(about) {
            println!("{line}");
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.report();
        }
        // The next test need not wait for it.
        self.try_kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// A condition of an object.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}
