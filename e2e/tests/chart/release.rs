//! A release on an API server.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use stowage_e2e::ControlPlane;
use tempfile::TempDir;

use crate::helm::{chart, program, run};

/// An API server, and Helm and kubectl for it.
pub(crate) struct Cluster<'a> {
    plane: &'a ControlPlane,
    /// Where Helm keeps what it keeps.
    home: TempDir,
}

impl<'a> Cluster<'a> {
    pub(crate) fn new(plane: &'a ControlPlane) -> Self {
        Self { plane, home: tempfile::tempdir().unwrap() }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = program(name);
        command.env("KUBECONFIG", self.plane.kubeconfig()).env("HOME", self.home.path());
        command
    }

    pub(crate) fn helm(&self, arguments: &[&str]) -> String {
        run(self.command("helm").args(arguments), true).0
    }

    /// `helm ACTION NAME CHART`, in the namespace of the name; it gives what Helm printed.
    pub(crate) fn deploy(
        &self,
        action: &str,
        name: &str,
        chart: &Path,
        arguments: &[&str],
    ) -> String {
        run(&mut self.deployment(action, name, chart, arguments), true).0
    }

    /// What Helm says where it refuses to install.
    pub(crate) fn refused_install(&self, name: &str, arguments: &[&str]) -> String {
        run(&mut self.deployment("install", name, &chart(), arguments), false).1
    }

    fn deployment(&self, action: &str, name: &str, chart: &Path, arguments: &[&str]) -> Command {
        let mut command = self.command("helm");
        command.args([action, name]).arg(chart).args(["--namespace", name]).args(arguments);
        if action == "install" {
            command.arg("--create-namespace");
        }
        command
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        run(self.command("kubectl").args(arguments), true).0
    }

    /// Whether kubectl ends with success.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> bool {
        self.command("kubectl").args(arguments).output().unwrap().status.success()
    }

    /// What kubectl says where it fails.
    pub(crate) fn kubectl_fails(&self, arguments: &[&str]) -> String {
        run(self.command("kubectl").args(arguments), false).1
    }

    /// An object as the API server has it.
    pub(crate) fn get(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat());
        serde_json::from_str(&text).unwrap()
    }

    /// Whether a ServiceAccount, as `NAMESPACE:NAME`, may do something: `kubectl auth can-i`.
    pub(crate) fn can(&self, account: &str, arguments: &[&str]) -> bool {
        let user = format!("--as=system:serviceaccount:{account}");
        let output = self
            .command("kubectl")
            .args(["auth", "can-i", &user])
            .args(arguments)
            .output()
            .unwrap();
        match String::from_utf8_lossy(&output.stdout).trim() {
            "yes" => true,
            "no" => false,
            _ => panic!("can-i {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Waits until the API server serves the three kinds.
    pub(crate) fn wait_for_kinds(&self) {
        for definition in stowage_crds::definitions() {
            let name = format!("crd/{}", definition.metadata.name.unwrap());
            self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &name]);
        }
    }
}
