//! Local clusters come up, run side by side, and leave nothing on the host, whichever of their
//! processes ends first. Takes root.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use support::{processes_naming, wait_for};

const STEP: Duration = Duration::from_secs(180);

/// A local cluster of one test. Taken down with the value, also when the test fails.
struct Local {
    name: String,
    before: Host,
}

impl Local {
    fn named(name: &str) -> Self {
        // Another run of this test may be going on elsewhere on the machine.
        let name = format!("{name}-{}", std::process::id());
        Self { name, before: Host::look() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // A shell starts what runs in its background with SIGINT ignored, and so may these tests
        // have been started.
        let mut command = Command::new("env");
        command
            .args(["--default-signal=INT", env!("CARGO_BIN_EXE_stowage-cluster")])
            .args(["--name", &self.name])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("stowage-cluster runs")
    }

    /// Runs a command that is to succeed, and gives what it printed.
    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}\n{printed}{said}", output.status);
        printed
    }

    /// Begins to bring it up, and waits until process 1 of the node is there.
    fn begin(&self) -> Child {
        let up = self.command(&["up"]).stdout(Stdio::null()).spawn().expect("up starts");
        wait_for("the node begins", STEP, || self.keeper("node"));
        up
    }

    fn directory(&self) -> Option<PathBuf> {
        let entries = fs::read_dir("/run/stowage-cluster").ok()?;
        let prefix = format!("{}.", self.name);
        entries
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
    }

    /// The process id of one of the cluster's keepers.
    fn keeper(&self, role: &str) -> Option<i32> {
        let text = fs::read_to_string(self.directory()?.join(role)).ok()?;
        text.split_once(' ')?.0.parse().ok()
    }

    /// The `unshare` that process 1 of the node dies with.
    fn unshare(&self) -> Option<i32> {
        let mut found = processes_naming(&format!("{}.", self.name)).into_iter();
        found.find(|(_, line)| line.starts_with("unshare ")).map(|(pid, _)| pid)
    }

    fn control_groups(&self) -> Vec<PathBuf> {
        let prefix = format!("stowage-{}.", self.name);
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if entry.file_name().to_string_lossy().starts_with(&prefix) {
                        found.push(entry.path());
                    }
                    folders.push(entry.path());
                }
            }
        }
        found
    }

    /// Files that are named after it, in the cache and where instances are.
    fn files(&self) -> Vec<PathBuf> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let cache = variable("STOWAGE_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("stowage")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/stowage")));
        let folders = [cache.expect("a cache"), PathBuf::from("/run/stowage-cluster")];
        let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let paths = entries.flatten().map(|entry| entry.path());
        paths.filter(|path| path.to_string_lossy().contains(&self.name)).collect()
    }

    /// Waits until nothing of it is on the host.
    fn assert_nothing_is_left(&self) {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            let left = (
                processes_naming(&format!("{}.", self.name)),
                self.files(),
                self.control_groups(),
                Host::look().beside(&self.before),
            );
            if left == Default::default() {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "left of the cluster: {left:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).stdout(Stdio::null()).status();
    }
}

/// What a node might change of the host. The tests of this file run beside one another and beside
/// anything else on the machine, so only what is a node's is looked at.
#[derive(Debug, Default, PartialEq, Eq)]
struct Host(BTreeSet<String>);

impl Host {
    fn look() -> Self {
        let mut found = BTreeSet::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let covered =
            ["/run/stowage", "/proc/sys/", "/var/lib/cni", "/var/lib/kubelet", "/var/log"];
        found.extend(
            mounts
                .lines()
                .filter_map(|line| line.split(' ').nth(4))
                .filter(|point| covered.iter().any(|start| point.starts_with(start)))
                .map(|point| format!("mount {point}")),
        );
        for entry in fs::read_dir("/sys/class/net").expect("links").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("stowage") || name.starts_with("veth") {
                found.insert(format!("link {name}"));
            }
        }
        for path in [
            "/var/lib/cni",
            "/var/lib/kubelet",
            "/var/log/pods",
            "/var/log/containers",
            "/run/stowage",
            "/run/containerd",
        ] {
            if Path::new(path).exists() {
                found.insert(format!("file {path}"));
            }
        }
        for setting in ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"] {
            let value = fs::read_to_string(format!("/proc/sys/{setting}")).unwrap_or_default();
            found.insert(format!("setting {setting} {}", value.trim()));
        }
        Self(found)
    }

    /// What is here and was not there before.
    fn beside(&self, before: &Self) -> Self {
        Self(self.0.difference(&before.0).cloned().collect())
    }
}

fn kill(signal: &str, pid: i32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill {signal} {pid}: {status}");
}

#[test]
fn it_comes_up_is_used_and_goes_down() {
    let local = Local::named("whole");
    let printed = local.succeeds(&["up"]);
    assert!(printed.contains("the node is Ready"), "it said: {printed}");
    assert_eq!(Host::look().beside(&local.before), Host::default(), "while it runs");
    let printed = local.succeeds(&["up"]);
    assert!(printed.contains("is up already"), "it said: {printed}");

    let home = tempfile::tempdir().expect("a directory");
    let at_home = format!("HOME={}", home.path().display());
    for command in ["kubectl get pods", "helm list", "helm plugin list"] {
        let words: Vec<&str> = command.split(' ').collect();
        local.succeeds(&[&["run", "--", "env", &at_home], &words[..]].concat());
        let kept: Vec<_> = fs::read_dir(home.path()).expect("a home").flatten().collect();
        assert!(kept.is_empty(), "{command} left {kept:?} at home");
    }

    let version = local.succeeds(&["shell", "--", "helm", "version", "--short"]);
    assert!(version.starts_with("v3"), "helm said {version}");
    let code = local.run(&["run", "--", "sh", "-c", "exit 7"]).status.code();
    assert_eq!(code, Some(7), "the status of the program inside");
    let here = std::env::current_dir().expect("a directory");
    let there = local.succeeds(&["run", "--", "pwd"]);
    assert_eq!(Path::new(there.trim_end()), here, "it runs where it was called");

    let scratch = tempfile::tempdir().expect("a directory");
    let archive = scratch.path().join("image.tar");
    let image = "stowage.test/imported:7";
    stowage_e2e::node::write_busybox_as(image, &archive).expect("an archive");
    let printed = local.succeeds(&["images", "import", archive.to_str().expect("UTF-8")]);
    assert!(printed.contains(image), "it said: {printed}");
    let image = format!("--image={image}");
    let pod =
        ["kubectl", "run", "imported", &image, "--image-pull-policy=Never", "--restart=Never"];
    let pod = [&["run", "--"], &pod[..], &["--command", "--", "echo", "here"]].concat();
    local.succeeds(&pod);
    let done = "--for=jsonpath={.status.phase}=Succeeded";
    local.succeeds(&["run", "--", "kubectl", "wait", done, "pod/imported", "--timeout=120s"]);
    assert_eq!(local.succeeds(&["run", "--", "kubectl", "logs", "imported"]), "here\n");

    // A cluster gets along without its janitor; `down` does the janitor's work then.
    kill("-KILL", local.keeper("janitor").expect("a janitor"));
    local.succeeds(&["run", "--", "kubectl", "get", "--raw=/readyz"]);
    let printed = local.succeeds(&["down"]);
    assert!(printed.contains("is down"), "it said: {printed}");
    // Nothing to wait for: `down` has returned.
    assert_eq!((local.files(), local.control_groups()), Default::default());
    local.assert_nothing_is_left();
    let printed = local.succeeds(&["down"]);
    assert!(printed.contains("does not run"), "it said: {printed}");
    let output = local.run(&["run", "--", "true"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("make cluster"), "it said: {said}");
}

#[test]
fn killing_process_1_of_a_node_with_pods_leaves_nothing() {
    let local = Local::named("killed");
    local.succeeds(&["up"]);
    let image = format!("--image={}", stowage_e2e::node::BUSYBOX);
    local.succeeds(&["run", "--", "kubectl", "run", "pod", &image, "--", "sleep", "3600"]);
    let ready = "--for=condition=Ready";
    local.succeeds(&["run", "--", "kubectl", "wait", ready, "pod/pod", "--timeout=120s"]);
    kill("-KILL", local.keeper("node").expect("a node"));
    local.assert_nothing_is_left();
}

#[test]
fn ctrl_c_while_it_comes_up_leaves_nothing() {
    for signal in ["-INT", "-KILL"] {
        let local = Local::named("interrupted");
        let mut up = local.begin();
        kill(signal, i32::try_from(up.id()).expect("a process id"));
        up.wait().expect("up ends");
        local.assert_nothing_is_left();
    }
}

#[test]
fn killing_what_holds_the_namespaces_leaves_nothing() {
    let local = Local::named("unshared");
    let mut up = local.begin();
    kill("-KILL", local.unshare().expect("unshare"));
    let status = up.wait().expect("up ends");
    assert!(!status.success(), "up says that it did not come up");
    local.assert_nothing_is_left();
}

#[test]
fn up_ends_what_has_lost_its_janitor() {
    let local = Local::named("janitor");
    let mut up = local.begin();
    kill("-KILL", local.keeper("janitor").expect("a janitor"));
    let status = up.wait().expect("up ends");
    assert!(!status.success(), "up says that it did not come up");
    // Nothing to wait for: `up` has returned.
    assert_eq!((local.files(), local.control_groups()), Default::default());
    local.assert_nothing_is_left();
}

#[test]
fn what_a_killed_janitor_could_not_remove_the_next_command_does() {
    let local = Local::named("unswept");
    let mut up = local.begin();
    kill("-KILL", local.keeper("janitor").expect("a janitor"));
    kill("-KILL", i32::try_from(up.id()).expect("a process id"));
    kill("-KILL", local.keeper("node").expect("a node"));
    up.wait().expect("up ends");
    assert!(local.directory().is_some(), "there is nobody left to remove it");
    // Of another name, because whoever comes next is the one who can.
    Local::named("next").succeeds(&["down"]);
    local.assert_nothing_is_left();
}
