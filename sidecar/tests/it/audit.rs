//! The audit line of each write, in the log of the real binary.

use serde_json::{Value, json};

use super::harness::ADMIN;
use super::process::Place;
use super::raw::{Request, delete, get, patch, put};

const READER: &str = "reader-0123456789abcd";

fn with(request: Request, token: &str) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

/// What the log says of writes, each with the members that count.
pub(crate) fn lines(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines: Vec<Value> = lines.filter(|line| line["target"] == "stowage::audit").collect();
    for line in &mut lines {
        let members = line.as_object_mut().expect("an object");
        for name in ["timestamp", "level", "target", "message"] {
            members.remove(name).unwrap_or_else(|| panic!("expected {name}: {members:?}"));
        }
    }
    lines
}

#[tokio::test]
async fn every_write_with_the_right_to_it_is_told_once_and_nothing_of_what_it_holds() {
    let place = Place::new();
    let reader = format!(r#"{{"token":"{READER}","access":"read"}}"#);
    std::fs::write(place.path("tokens/reader"), reader).expect("a file");
    let process = place.start_with(&["--log-format", "json"]).await;
    let cart = "/api/storage?ns=cart";
    let operations = r#"[{"op":"set","key":"hidden","value":"hidden"}]"#;
    let admin = |request: Request, id: &str| with(request, ADMIN).header("X-Request-Id", id);
    let send = async |request: Request| request.send(process.address).await;

    let first = send(admin(put("/run-stores/doc?x=hidden", "\"hidden\""), "w1")).await.etag();
    let second = admin(put("/run-stores/doc", "2"), "w2").header("If-Match", &first);
    let second = send(second).await.etag();
    let lost = admin(put("/run-stores/doc", "3"), "w3").header("If-Match", "\"hidden\"");
    assert_eq!(send(lost).await.status, 412);
    send(admin(patch(cart, "0", operations), "w4")).await;
    send(admin(patch(cart, "1", "[1]"), "w5")).await;
    send(admin(delete("/run-stores/doc"), "w6").header("If-Match", &second)).await;
    send(admin(put("/", "1"), "w7")).await;
    send(admin(delete("/jobs/j"), "w8")).await;

    // Reads, and writes without the right to them.
    send(admin(get("/run-stores/doc"), "r1")).await;
    assert_eq!(send(with(put("/", "2"), READER).header("X-Request-Id", "r2")).await.status, 403);
    assert_eq!(send(put("/", "2").header("X-Request-Id", "r3")).await.status, 401);
    assert_eq!(send(admin(put("/nowhere", "2"), "r4")).await.status, 404);

    let (_, log) = process.terminate().await;
    let (first, second) = (first.trim_matches('"'), second.trim_matches('"'));
    let line = |id: &str, method: &str, route: &str, contract: &str, name: &str, status: u16| {
        json!({
            "token": "admin", "request_id": id, "method": method, "route": route,
            "contract": contract, "name": name, "status": status,
        })
    };
    let between = |mut line: Value, old: Option<&str>, new: Option<&str>| {
        for (name, tag) in [("old_etag", old), ("new_etag", new)] {
            if let Some(tag) = tag {
                line[name] = tag.into();
            }
        }
        line
    };
    let document =
        |id, method, status| line(id, method, "/run-stores/{name}", "runStore", "doc", status);
    let namespace = |id, status| line(id, "PATCH", "/api/storage", "kv", "cart", status);
    let default = send_tag(&log, "w7");
    let expected = [
        between(document("w1", "PUT", 200), None, Some(first)),
        between(document("w2", "PUT", 200), Some(first), Some(second)),
        between(document("w3", "PUT", 412), Some(second), None),
        between(namespace("w4", 201), Some("0"), Some("1")),
        between(namespace("w5", 400), None, None),
        between(document("w6", "DELETE", 204), Some(second), None),
        between(line("w7", "PUT", "/", "runStore", "/", 200), None, Some(&default)),
        between(line("w8", "DELETE", "/jobs/{job}", "jobs", "j", 404), None, None),
    ];
    let found = lines(&log);
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for secret in [ADMIN, READER, "hidden"] {
        assert!(!log.contains(secret), "{secret} must not be logged: {log}");
    }
}

/// The new tag that the line of a request tells.
fn send_tag(log: &str, id: &str) -> String {
    let line = lines(log).into_iter().find(|line| line["request_id"] == id);
    let line = line.unwrap_or_else(|| panic!("expected a line of {id}: {log}"));
    line["new_etag"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_client_that_leaves_half_a_body_behind_has_its_line() {
    let place = Place::new();
    let process = place.start_with(&["--log-format", "json"]).await;
    let mut connection = super::raw::Connection::open(process.address).await;
    let half = with(put("/", "1"), ADMIN).header("Content-Length", "100");
    connection.send(&half.header("X-Request-Id", "left").bytes()).await;
    super::harness::eventually("the request is under way", async || {
        let metrics = get("/metrics").send(process.management).await.text();
        metrics.contains("stowage_http_requests_in_flight 1").then_some(())
    })
    .await;
    drop(connection);
    super::harness::eventually("the line is there", async || {
        let line = lines(&process.log()).into_iter().find(|line| line["request_id"] == "left")?;
        assert!([499, 400].map(Value::from).contains(&line["status"]), "{line}");
        Some(())
    })
    .await;
}
