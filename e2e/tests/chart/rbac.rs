//! The rights, as an API server sees them once the chart is installed.

use stowage_e2e::ControlPlane;

use crate::helm::chart;
use crate::release::Cluster;

/// What is asked, in which namespace, and whether the operator may.
type Row = (&'static str, &'static str, bool);

fn check(cluster: &Cluster, account: &str, rows: &[Row]) {
    for (question, namespace, expected) in rows {
        let mut arguments: Vec<&str> = question.split(' ').collect();
        arguments.push(match *namespace {
            "" => "--all-namespaces",
            name => ["--namespace", name].join("=").leak(),
        });
        let found = cluster.can(account, &arguments);
        assert_eq!(found, *expected, "{account}: {question} in `{namespace}`");
    }
}

#[test]
fn for_all_namespaces() {
    let plane = ControlPlane::start().unwrap();
    let cluster = Cluster::new(&plane);
    cluster.deploy("install", "stowage", &chart(), &[]);
    cluster.wait_for_kinds();
    check(
        &cluster,
        "stowage:stowage",
        &[
            ("list stores.stowage.dev", "", true),
            ("patch stores.stowage.dev --subresource=status", "default", true),
            ("patch stores.stowage.dev", "default", true),
            ("patch storenamespaces.stowage.dev", "default", false),
            ("patch runtimeconfigsources.stowage.dev", "default", false),
            ("create stores.stowage.dev", "default", false),
            ("delete stores.stowage.dev", "default", false),
            ("create statefulsets.apps", "default", true),
            ("delete statefulsets.apps", "default", false),
            ("delete services", "default", false),
            ("create deployments.apps", "default", false),
            ("watch secrets", "", true),
            ("delete persistentvolumeclaims", "default", true),
            ("deletecollection persistentvolumeclaims", "default", false),
            ("create persistentvolumeclaims", "default", true),
            ("create pods", "default", false),
            ("create pods --subresource=exec", "default", false),
            ("create events.events.k8s.io", "default", true),
            ("get storageclasses.storage.k8s.io", "", true),
            ("list nodes", "", false),
            ("update leases.coordination.k8s.io", "stowage", true),
            ("get leases.coordination.k8s.io", "default", false),
            ("create roles.rbac.authorization.k8s.io", "default", false),
            ("create serviceaccounts --subresource=token", "default", false),
        ],
    );
    // Of `helm test`.
    check(
        &cluster,
        "stowage:stowage-verify",
        &[
            ("list stores.stowage.dev", "stowage", true),
            ("list storenamespaces.stowage.dev", "stowage", true),
            ("list runtimeconfigsources.stowage.dev", "stowage", true),
            ("create stores.stowage.dev", "stowage", true),
            ("delete stores.stowage.dev", "stowage", false),
            ("list stores.stowage.dev", "default", false),
            ("get secrets", "stowage", false),
        ],
    );
    for (role, verb) in [("stowage-view", "list"), ("stowage-edit", "create")] {
        let found = cluster.get(&["clusterrole", role]);
        assert!(found["rules"][0]["verbs"].to_string().contains(verb), "{found}");
    }
}

#[test]
fn for_some_namespaces() {
    let plane = ControlPlane::start().unwrap();
    let cluster = Cluster::new(&plane);
    for namespace in ["team-a", "team-b"] {
        cluster.kubectl(&["create", "namespace", namespace]);
    }
    cluster.deploy("install", "stowage", &chart(), &["--set=watchNamespaces={team-a,team-b}"]);
    cluster.wait_for_kinds();
    check(
        &cluster,
        "stowage:stowage",
        &[
            ("list stores.stowage.dev", "team-a", true),
            ("watch secrets", "team-b", true),
            ("list stores.stowage.dev", "", false),
            ("list stores.stowage.dev", "default", false),
            ("delete persistentvolumeclaims", "team-a", true),
            ("delete persistentvolumeclaims", "default", false),
            ("patch stores.stowage.dev", "default", false),
            ("get secrets", "default", false),
            ("get secrets", "stowage", false),
            ("update leases.coordination.k8s.io", "stowage", true),
            ("update leases.coordination.k8s.io", "team-a", false),
            ("get storageclasses.storage.k8s.io", "", true),
        ],
    );
    // A second release, for another namespace of the same cluster.
    cluster.kubectl(&["create", "namespace", "team-c"]);
    cluster.deploy(
        "install",
        "second",
        &chart(),
        &["--set=watchNamespaces={team-c},crds.install=false,rbac.aggregate=false"],
    );
    check(
        &cluster,
        "second:second-stowage",
        &[
            ("list stores.stowage.dev", "team-c", true),
            ("list stores.stowage.dev", "team-a", false),
        ],
    );
}
