//! What a Store is made of comes back when somebody deletes it.

use serde_json::json;

use crate::support::namespace::Namespace;
use crate::support::release;
use crate::support::{SOON, eventually, stores};

#[test]
fn a_deleted_child_comes_back_and_the_data_is_there() {
    let _cluster = release::shared();
    let namespace = Namespace::create("children");
    let caller = stores::demo(&namespace);
    let written = caller.put("/run-stores/kept", &[], &json!({"run": 7})).unwrap();
    assert_eq!(written.status, 200, "{written:?}");

    for child in [
        "configmap/demo-config",
        "secret/demo-signing-key",
        "secret/demo-server-tokens",
        "secret/demo-publisher",
        "serviceaccount/demo",
        "service/demo-headless",
        "service/demo",
        "statefulset/demo",
    ] {
        let before = stores::uid(&namespace.get(child));
        namespace.kubectl(&["delete", child]);
        eventually(&format!("{child} comes back"), SOON, || {
            let after = stores::uid(&namespace.try_get(child)?);
            if after == before { Err("it is still the old one") } else { Ok(()) }
                .map_err(str::to_owned)
        });
        let caller = stores::ready(&namespace, "demo");
        let found = eventually(&format!("it serves after {child} was deleted"), SOON, || {
            caller.get("/run-stores/kept")
        });
        assert_eq!((found.status, found.body.as_str()), (200, r#"{"run":7}"#), "after {child}");
    }
}
