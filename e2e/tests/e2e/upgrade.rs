//! Upgrading and removing the operator leaves what people made.

use serde_json::{Value, json};

use crate::support::http::Caller;
use crate::support::kubectl::{helm, kubectl};
use crate::support::namespace::Namespace;
use crate::support::release::{self, NAME, NAMESPACE};
use crate::support::stores;

const DEFINITIONS: [&str; 3] =
    ["stores.stowage.dev", "storenamespaces.stowage.dev", "runtimeconfigsources.stowage.dev"];

struct Before {
    store: String,
    pod: String,
    claim: String,
}

fn look(namespace: &Namespace) -> Before {
    let uid = |what: &str| stores::uid(&namespace.get(what));
    Before {
        store: uid("store/demo"),
        pod: uid("pod/demo-0"),
        claim: uid("persistentvolumeclaim/demo-data"),
    }
}

fn unchanged(namespace: &Namespace, caller: &Caller, before: &Before, when: &str) {
    let now = look(namespace);
    assert_eq!(now.store, before.store, "the Store was replaced {when}");
    assert_eq!(now.claim, before.claim, "the volume was replaced {when}");
    assert_eq!(now.pod, before.pod, "the pod was replaced {when}");
    let restarts = &namespace.get("pod/demo-0")["status"]["containerStatuses"][0]["restartCount"];
    assert_eq!(restarts, &Value::from(0), "the pod was restarted {when}");
    let found = caller.get("/run-stores/kept").unwrap();
    assert_eq!((found.status, found.body.as_str()), (200, r#"{"run":7}"#), "{when}");
}

#[test]
fn upgrade_and_uninstall_leave_data_and_definitions_and_a_new_release_takes_them_up() {
    let _cluster = release::exclusive();
    let namespace = Namespace::create("upgrade");
    let caller = stores::demo(&namespace);
    let written = caller.put("/run-stores/kept", &[], &json!({"run": 7})).unwrap();
    assert_eq!(written.status, 200, "{written:?}");
    let before = look(&namespace);

    release::install(&[
        "--set=logFormat=text",
        "--set=replicas=2",
        "--set-string=podLabels.team=a",
    ]);
    unchanged(&namespace, &caller, &before, "by the upgrade");
    stores::ready(&namespace, "demo");

    release::uninstall();
    for definition in DEFINITIONS {
        kubectl(&["get", "crd", definition]);
    }
    unchanged(&namespace, &caller, &before, "by the uninstallation");

    release::install(&[]);
    stores::ready(&namespace, "demo");
    unchanged(&namespace, &caller, &before, "by the new installation");
    // It works on what it found.
    namespace.apply(&stores::manifest("demo", &json!({"suspend": true})));
    namespace.wait_for_reason("store/demo", "Ready", "False", "Suspended", crate::support::SOON);
    namespace.apply(&stores::manifest("demo", &json!({"suspend": false})));
    let caller = stores::ready(&namespace, "demo");
    let found = caller.get("/run-stores/kept").unwrap();
    assert_eq!((found.status, found.body.as_str()), (200, r#"{"run":7}"#), "after a suspension");
    let listed = helm(&["list", "--namespace", NAMESPACE, "--short"]);
    assert_eq!(listed.trim(), NAME);
}
