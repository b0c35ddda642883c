//! Tokens are rotated by editing their Secret, and revoked, while applications go on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::http::Caller;
use crate::support::namespace::Namespace;
use crate::support::release;
use crate::support::stores::{self, TOKEN, tokens};
use crate::support::{SetOnDrop, eventually};

const NEXT: &str = "rotated-0123456789abcdef";
/// The kubelet brings files up to date by itself only once a minute.
const WITHIN: Duration = Duration::from_secs(30);

/// Writes until `until` is set; gives the statuses other than 200.
fn write(caller: &Caller, document: &str, done: &AtomicU64, until: &AtomicBool) -> Vec<String> {
    let mut failed = Vec::new();
    while !until.load(Ordering::Relaxed) {
        match caller.put(document, &[], &json!({"n": done.load(Ordering::Relaxed)})) {
            Ok(answer) if answer.status == 200 => {
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) if answer.status == 401 => {
                failed.push("401".to_owned());
                // The removed token stays removed.
                break;
            }
            other => failed.push(format!("{other:?}")),
        }
    }
    failed
}

fn wait_for_status(caller: &Caller, status: u16) -> Duration {
    let started = Instant::now();
    eventually(&format!("a request is answered {status}"), WITHIN, || {
        match caller.get("/run-stores/none") {
            Ok(answer) if answer.status == status => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    started.elapsed()
}

#[test]
fn a_token_is_rotated_without_a_lost_request_or_a_restart() {
    let _cluster = release::shared();
    let namespace = Namespace::create("tokens");
    let old = stores::demo(&namespace);
    let new = old.with_token(NEXT);
    let before = stores::pod(&namespace, "demo").unwrap();
    assert_eq!(new.get("/run-stores/none").unwrap().status, 401, "before the rotation");

    let (stop_old, stop_new) = (AtomicBool::new(false), AtomicBool::new(false));
    let (done_old, done_new) = (AtomicU64::new(0), AtomicU64::new(0));
    let (failed_old, failed_new) = thread::scope(|scope| {
        let old_writer = scope.spawn(|| write(&old, "/run-stores/old", &done_old, &stop_old));
        // Whatever fails below, the writers end.
        let _stop = (SetOnDrop(&stop_old), SetOnDrop(&stop_new));

        namespace.apply(&tokens(&[("admin", TOKEN), ("next", NEXT)]));
        let accepted = wait_for_status(&new, 404);
        let new_writer = scope.spawn(|| write(&new, "/run-stores/new", &done_new, &stop_new));
        let written = done_old.load(Ordering::Relaxed);
        eventually("the old token is good while both are", WITHIN, || {
            let now = done_old.load(Ordering::Relaxed);
            if now > written + 10 { Ok(()) } else { Err(format!("{now} writes")) }
        });

        // As `kubectl edit` does. `kubectl apply` would leave a key that was once in `stringData`.
        let remove = json!({"data": {"admin": null}}).to_string();
        namespace.kubectl(&["patch", "secret/demo-tokens", "--type=merge", "--patch", &remove]);
        let refused = wait_for_status(&old, 401);
        let written = done_new.load(Ordering::Relaxed);
        eventually("the new token is good when it is alone", WITHIN, || {
            let now = done_new.load(Ordering::Relaxed);
            if now > written + 10 { Ok(()) } else { Err(format!("{now} writes")) }
        });
        println!(
            "new token accepted after {:.1} s, old one refused after {:.1} s",
            accepted.as_secs_f32(),
            refused.as_secs_f32()
        );
        stop_old.store(true, Ordering::Relaxed);
        stop_new.store(true, Ordering::Relaxed);
        (old_writer.join().unwrap(), new_writer.join().unwrap())
    });
    assert_eq!(failed_old, ["401"], "the old token, after {done_old:?} writes");
    assert_eq!(failed_new, [""; 0], "the new token, after {done_new:?} writes");

    let after = stores::pod(&namespace, "demo").unwrap();
    assert_eq!(stores::uid(&after), stores::uid(&before), "the pod was replaced");
    let restarts = &after["status"]["containerStatuses"][0]["restartCount"];
    assert_eq!(restarts, &json!(0), "the pod was restarted");
}

/// What is granted stands in the pod's configuration, which the kubelet brings up to date.
#[test]
fn a_namespaces_token_is_taken_and_revoked_without_a_restart() {
    const CART: &str = "/api/storage?ns=cart";
    let _cluster = release::shared();
    let namespace = Namespace::create("tenants");
    let caller = stores::demo(&namespace);
    let before = stores::pod(&namespace, "demo").unwrap();
    let tenant = |generation: u32| {
        let spec = json!({
            "storeRef": {"name": "demo"}, "contract": "kv", "tokenGeneration": generation,
        });
        json!({
            "apiVersion": "stowage.dev/v1alpha1", "kind": "StoreNamespace",
            "metadata": {"name": "cart"}, "spec": spec,
        })
        .to_string()
    };
    let token = || -> Result<String, String> {
        let secret = namespace.try_get("secret/cart-stowage")?;
        let token = secret["data"]["token"].as_str().ok_or("no token")?;
        Ok(token.to_owned())
    };
    // As it stands in a Secret, which is enough to tell two apart.
    let other_than = |before: &str| {
        eventually("there is another token", WITHIN, || {
            let now = token()?;
            if now == before { Err("the same as before".to_owned()) } else { Ok(now) }
        })
    };
    let plain = || {
        let template = "--output=go-template={{.data.token | base64decode}}";
        namespace.kubectl(&["get", "secret/cart-stowage", template])
    };
    let answers = |caller: &Caller, path: &str, status: u16| {
        let started = Instant::now();
        eventually(&format!("{path} is answered {status}"), WITHIN, || match caller.get(path) {
            Ok(answer) if answer.status == status => Ok(()),
            other => Err(format!("{other:?}")),
        });
        started.elapsed()
    };
    namespace.apply(&tenant(0));
    let first = other_than("");
    let holder = caller.with_token(plain().trim());
    let taken = answers(&holder, CART, 200);
    answers(&holder, "/run-stores/none", 403);

    namespace.apply(&tenant(1));
    other_than(&first);
    let next = caller.with_token(plain().trim());
    let revoked = answers(&holder, CART, 401);
    answers(&next, CART, 200);
    namespace.kubectl(&["delete", "stns/cart"]);
    let gone = answers(&next, CART, 401);
    println!(
        "taken after {:.1} s, revoked after {:.1} s, gone after {:.1} s",
        taken.as_secs_f32(),
        revoked.as_secs_f32(),
        gone.as_secs_f32()
    );
    let after = stores::pod(&namespace, "demo").unwrap();
    assert_eq!(stores::uid(&after), stores::uid(&before), "the pod was replaced");
}
