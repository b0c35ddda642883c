//! Helm brings the operator up.

use crate::support::kubectl::{helm, kubectl};
use crate::support::release::{self, NAME, NAMESPACE};

#[test]
fn the_operator_is_ready_and_passes_the_charts_test() {
    let _cluster = release::shared();
    let deployment = format!("deployment/{NAME}");
    let ready = kubectl(&[
        "get",
        &deployment,
        "--namespace",
        NAMESPACE,
        "--output=jsonpath={.status.readyReplicas}/{.spec.replicas}",
    ]);
    assert_eq!(ready, "1/1");
    let said = helm(&["test", NAME, "--namespace", NAMESPACE, "--logs", "--timeout=2m"]);
    assert!(said.contains("Phase:          Succeeded"), "{said}");
}
