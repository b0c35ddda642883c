//! What the API server recorded of the operator's writes. Only a local cluster has that.

use std::fs;

use serde_json::Value;
use stowage_e2e::node::AUDIT_LOG;

use super::release::{NAME, NAMESPACE};

/// A write: `patch stores/status shop/demo`.
pub(crate) type Write = String;

/// All writes of the operator so far, without those that renew its Lease.
pub(crate) fn operator_writes() -> Vec<Write> {
    let log = fs::read_to_string(AUDIT_LOG).unwrap_or_else(|error| {
        panic!("{AUDIT_LOG}: {error}; writes are only counted on the cluster of `make cluster`")
    });
    let operator = format!("system:serviceaccount:{NAMESPACE}:{NAME}");
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["user"]["username"] == *operator)
        .filter_map(|event| write(&event))
        .collect()
}

fn write(event: &Value) -> Option<Write> {
    let object = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut resource = text(&object["resource"]);
    if resource == "leases" {
        return None;
    }
    if let Some(subresource) = object["subresource"].as_str() {
        resource = format!("{resource}/{subresource}");
    }
    let (namespace, name) = (text(&object["namespace"]), text(&object["name"]));
    Some(format!("{} {resource} {namespace}/{name}", text(&event["verb"])))
}
