//! A wrong value is refused with its name, before anything is sent to a cluster.

use crate::helm::{refusal, template};

#[test]
fn a_wrong_value_is_refused_by_its_name() {
    let cases = [
        ("replica=2", "'replica'"),
        ("replicas=two", "/replicas"),
        ("replicas=-1", "/replicas"),
        ("replicas=11", "/replicas"),
        ("watchNamespaces=a", "/watchNamespaces"),
        ("watchNamespaces={Team_A}", "/watchNamespaces/0"),
        ("watchNamespaces={a,a}", "/watchNamespaces"),
        ("images.repo=x", "'repo'"),
        ("images.repository=", "/images/repository"),
        ("images.repository=https://x", "/images/repository"),
        ("images.tag=a b", "/images/tag"),
        // A number may not come out as it was written: --set-string.
        ("images.tag=20261121", "/images/tag"),
        ("images.pullPolicy=Sometimes", "/images/pullPolicy"),
        ("images.operator.version=1", "'version'"),
        ("images.operator.digest=abc", "/images/operator/digest"),
        ("imagePullSecrets[0].name=x", "/imagePullSecrets/0"),
        ("crds.keep=true", "'keep'"),
        ("crds.install=maybe", "/crds/install"),
        ("rbac.create=false", "'create'"),
        ("rbac.aggregate=1", "/rbac/aggregate"),
        ("rbac.storageClasses=all", "/rbac/storageClasses"),
        ("concurrency=0", "/concurrency"),
        ("allowInsecureGitUrls=maybe", "/allowInsecureGitUrls"),
        ("logFormat=xml", "/logFormat"),
        ("serviceMonitor.enabled=maybe", "/serviceMonitor/enabled"),
        ("serviceMonitor.interval=often", "/serviceMonitor/interval"),
        ("serviceMonitor.label.x=y", "'label'"),
        ("serviceAccount.name=x", "'name'"),
        ("resources.limit.memory=1Gi", "'limit'"),
        ("resources.limits.memory=much", "/resources/limits/memory"),
        ("podAnnotations.a=1", "/podAnnotations/a"),
        ("nodeSelector.a=true", "/nodeSelector/a"),
        ("tolerations.key=x", "/tolerations"),
        ("affinity.node=x", "'node'"),
        ("priorityClassName=High_", "/priorityClassName"),
        ("fullnameOverride=Depot", "/fullnameOverride"),
        ("securityContext.runAsUser=0", "'securityContext'"),
        ("extraArgs={x}", "'extraArgs'"),
    ];
    for (value, place) in cases {
        let said = refusal(&["--set", value]);
        assert!(said.contains(place), "--set {value}: `{place}` is not in:\n{said}");
    }
}

/// What Helm adds where the chart is a part of another one.
#[test]
fn values_of_a_parent_chart_are_let_through() {
    assert_eq!(template(&["--set=global.x=y"]).names("Deployment"), ["stowage"]);
}
