//! One API server for all tests, and a namespace for each.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use kube::{Api, Client};
use stowage_e2e::{ControlPlane, ToolSet};
use stowage_operator::Context;
use tokio::sync::OnceCell;

use super::operator::{Operator, options};

/// The operator's user in tests.
pub(crate) const OPERATOR_USER: &str = "system:serviceaccount:stowage-system:stowage";
const RELEASE_NAMESPACE: &str = "stowage-system";

/// A namespace that no other test has.
pub(crate) struct TestNamespace {
    pub(crate) name: String,
    /// The administrator's client.
    pub(crate) admin: Client,
    plane: &'static ControlPlane,
}

impl TestNamespace {
    /// A fresh one on the API server that all tests of this process share, whose definitions and
    /// rights are in place.
    pub(crate) async fn new(prefix: &str) -> Self {
        static PREPARED: OnceCell<()> = OnceCell::const_new();
        let plane = ControlPlane::shared();
        PREPARED.get_or_init(async || prepare(plane).await).await;
        Self::on(plane, prefix).await
    }

    /// A fresh one on an API server of the caller's own, for a test that changes what all would
    /// see.
    pub(crate) async fn alone(prefix: &str) -> Self {
        // It lives as long as the process, like the shared one.
        let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().unwrap()));
        prepare(plane).await;
        Self::on(plane, prefix).await
    }

    async fn on(plane: &'static ControlPlane, prefix: &str) -> Self {
        let name = plane.namespace(prefix).await.unwrap();
        Self { name, admin: Client::try_from(plane.config()).unwrap(), plane }
    }

    /// The objects of a kind in it, as the administrator.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.admin.clone(), &self.name)
    }

    /// What a reconcile has at hand, as the administrator.
    pub(crate) fn context(&self) -> Context {
        Context::new(self.admin.clone(), options(&self.name))
    }

    /// Runs the operator in it, as its service account.
    pub(crate) fn operator(&self) -> Operator {
        Operator::start(self.plane.config_as(OPERATOR_USER), &self.name)
    }

    /// As [`Self::operator`], with the controller of sources alone.
    pub(crate) fn operator_of_sources(&self) -> Operator {
        Operator::start_sources(self.plane.config_as(OPERATOR_USER), &self.name)
    }
}

async fn prepare(plane: &'static ControlPlane) {
    plane.apply_crds().await.unwrap();
    // Programs that block, beside a runtime that has other tests to run.
    tokio::task::spawn_blocking(|| apply_rights(plane)).await.unwrap();
}

/// Gives the operator's service account what the chart gives it, and nothing else.
fn apply_rights(plane: &ControlPlane) {
    let tools = ToolSet::ControlPlane.directory().unwrap();
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/stowage");
    let rights = Command::new(tools.join("helm"))
        .args(["template", "stowage"])
        .arg(chart)
        .args(["--namespace", RELEASE_NAMESPACE, "--kube-version", "1.33"])
        .args(["--show-only", "templates/rbac.yaml"])
        .args(["--show-only", "templates/serviceaccount.yaml"])
        .output()
        .unwrap();
    assert!(rights.status.success(), "{}", String::from_utf8_lossy(&rights.stderr));
    let namespace = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{{\"name\":\"{RELEASE_NAMESPACE}\"}}}}\n"
    );
    let mut kubectl = Command::new(tools.join("kubectl"))
        .arg("--kubeconfig")
        .arg(plane.kubeconfig())
        .args(["apply", "--server-side", "--filename", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = kubectl.stdin.take().unwrap();
    input.write_all(&[namespace.as_bytes(), b"---\n", &rights.stdout].concat()).unwrap();
    drop(input);
    assert!(kubectl.wait().unwrap().success(), "the chart's rights are not applied");
}
