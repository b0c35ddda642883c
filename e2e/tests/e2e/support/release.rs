//! The one release of the chart, and who may work on it at a time.

use std::process::Command;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use super::kubectl::{helm, kubectl, run};
use super::{image_repository, repository};

/// The namespace of the release.
pub(crate) const NAMESPACE: &str = "stowage-system";
/// The name of the release, of its Deployment and of its Lease.
pub(crate) const NAME: &str = "stowage";

static CLUSTER: RwLock<()> = RwLock::new(());
static INSTALLED: Mutex<bool> = Mutex::new(false);

/// The operator is there and stays, together with other tests.
pub(crate) fn shared() -> RwLockReadGuard<'static, ()> {
    let guard = CLUSTER.read().unwrap_or_else(PoisonError::into_inner);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        install(&[]);
        *installed = true;
    }
    guard
}

/// The operator is there, and no other test is.
pub(crate) fn exclusive() -> RwLockWriteGuard<'static, ()> {
    let guard = exclusive_without_release();
    install(&[]);
    guard
}

/// No other test is there, and nothing is said about the operator. The test after this one installs
/// it again.
pub(crate) fn exclusive_without_release() -> RwLockWriteGuard<'static, ()> {
    let guard = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
    *INSTALLED.lock().unwrap_or_else(PoisonError::into_inner) = false;
    guard
}

/// Installs the chart or upgrades it, with a new pod: its image may have been built anew under the
/// same tag.
pub(crate) fn install(more: &[&str]) {
    let chart = repository("charts/stowage");
    let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let arguments = [
        "upgrade",
        "--install",
        NAME,
        chart.to_str().unwrap(),
        "--namespace",
        NAMESPACE,
        "--create-namespace",
        "--wait",
        "--timeout=3m",
        &format!("--set=images.repository={}", image_repository()),
        "--set=allowInsecureGitUrls=true",
        &format!("--set-string=podAnnotations.test-run={run}"),
    ];
    helm(&[&arguments[..], more].concat());
}

/// Removes the release where it is there.
pub(crate) fn uninstall() {
    let there = run(Command::new("helm").args(["status", NAME, "--namespace", NAMESPACE]), "");
    if there.success {
        helm(&["uninstall", NAME, "--namespace", NAMESPACE, "--wait"]);
    }
}

/// The UID of the operator's pod.
pub(crate) fn operator_pod() -> String {
    let pods = kubectl(&[
        "get",
        "pods",
        "--namespace",
        NAMESPACE,
        "--selector=app.kubernetes.io/component=operator",
        "--field-selector=status.phase=Running",
        "--output=jsonpath={.items[0].metadata.uid}",
    ]);
    assert!(!pods.is_empty(), "the operator has no running pod");
    pods
}
