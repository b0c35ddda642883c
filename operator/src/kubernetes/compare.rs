//! Whether a live object already is what is wanted.
//!
//! Pure. The API server adds defaults and other managers add fields, so a live object holds more
//! than what is wanted; what matters is that all that is wanted is there. With this an unchanged
//! object costs a read and no write, and a field that somebody edited is seen.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;
use stowage_config::ByteSize;

/// A list that several managers write to together: server-side apply merges it by `uid`.
const OWNER_REFERENCES: &str = "ownerReferences";

/// Whether `live` has everything of `desired`: each member of an object, and lists of the same
/// length whose items hold one by one. Of owner references only those that are wanted count:
/// what somebody else adds stays through an apply, so to miss it here would be to write the same
/// again and again. What is empty or null may as well be left out.
#[must_use]
pub fn holds(desired: &Value, live: Option<&Value>) -> bool {
    match (desired, live) {
        (desired, None) => is_empty(desired),
        (Value::Object(desired), Some(Value::Object(live))) => {
            desired.iter().all(|(name, value)| match (value, live.get(name)) {
                (Value::Array(desired), Some(Value::Array(live))) if name == OWNER_REFERENCES => {
                    holds_by_uid(desired, live)
                }
                (value, live) => holds(value, live),
            })
        }
        (Value::Array(desired), Some(Value::Array(live))) => {
            desired.len() == live.len()
                && desired.iter().zip(live).all(|(desired, live)| holds(desired, Some(live)))
        }
        (desired, Some(live)) => desired == live || is_empty(desired) && is_empty(live),
    }
}

fn holds_by_uid(desired: &[Value], live: &[Value]) -> bool {
    desired.iter().all(|desired| {
        let same = live.iter().find(|live| live.get("uid") == desired.get("uid"));
        same.is_some_and(|live| holds(desired, Some(live)))
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::String(_) | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A number of bytes as the API server itself would write it (its canonical form), so that what is
/// wanted and what is live read the same.
#[must_use]
pub fn canonical_bytes(size: &ByteSize) -> Quantity {
    let bytes = size.bytes();
    let binary = [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    for (shift, unit) in binary {
        if bytes > 0 && bytes.is_multiple_of(1 << shift) {
            return Quantity(format!("{}{unit}", bytes >> shift));
        }
    }
    let decimal = [(18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")];
    for (power, unit) in decimal {
        let factor = 10_u64.pow(power);
        if bytes > 0 && bytes.is_multiple_of(factor) {
            return Quantity(format!("{}{unit}", bytes / factor));
        }
    }
    Quantity(bytes.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wanted_is_there_or_it_is_not() {
        let live = json!({
            "replicas": 1, "added": "by the server", "none": {},
            "containers": [{"name": "a", "image": "x", "pullPolicy": "Always"}],
            "metadata": {"ownerReferences": [
                {"uid": "theirs", "kind": "A"}, {"uid": "ours", "kind": "B", "controller": true},
            ]},
        });
        let owner = |uid: &str, kind: &str| json!({"metadata": {"ownerReferences": [{"uid": uid, "kind": kind}]}});
        let table = [
            (json!({"replicas": 1}), true, "a member that is there"),
            (json!({"replicas": 2}), false, "another value"),
            (json!({"paused": false}), false, "a member that is not there"),
            (json!({"paused": null, "list": [], "map": {"a": null}}), true, "empty, left out"),
            (json!({"none": null}), true, "empty either way"),
            (json!({"containers": [{"name": "a"}]}), true, "defaults added in an item"),
            (json!({"containers": [{"name": "a"}, {"name": "b"}]}), false, "an item missing"),
            (json!({"containers": [{"name": "b"}]}), false, "another item"),
            (json!({"containers": []}), false, "an item too many"),
            (json!({"replicas": {"a": 1}}), false, "another type"),
            (owner("ours", "B"), true, "an owner among others"),
            (owner("ours", "A"), false, "an owner's field"),
            (owner("new", "B"), false, "an owner missing"),
        ];
        for (desired, expected, why) in table {
            assert_eq!(holds(&desired, Some(&live)), expected, "{why}: {desired}");
        }
    }

    #[test]
    fn sizes_read_as_the_api_server_writes_them() {
        for (written, canonical) in [
            ("1Gi", "1Gi"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("3G", "3G"),
            ("1001", "1001"),
        ] {
            let size: ByteSize = serde_json::from_value(json!(written)).unwrap();
            assert_eq!(canonical_bytes(&size).0, canonical, "{written}");
        }
    }
}
