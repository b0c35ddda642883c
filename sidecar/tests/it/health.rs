//! Common, "Fixed endpoints": health, the second port, and what is only there for debugging.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::failing::Failing;
use super::harness::{ADMIN, Server, Setup, eventually};
use super::open_metrics::Exposition;
use super::raw::{Request, get, head, patch, put};
use super::rows::{row, run};

#[tokio::test]
async fn health_is_200_with_strings_only() {
    let server = Setup::default().token("admin", ADMIN).start().await;
    for path in ["/health", "//health", "/run-stores/any/health"] {
        let answer = server.send(&get(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        let health = answer.json();
        assert_eq!(health["status"], "healthy", "{path}");
        let time = health["time"].as_str().expect("a text");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{path}: {time} is RFC 3339");
        let members = health.as_object().expect("an object");
        assert!(members.values().all(serde_json::Value::is_string), "{health}");
        assert_eq!(server.send(&head(path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_second_port_needs_no_credentials() {
    let server = Setup::default().token("admin", ADMIN).start().await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(path).send(server.management).await.status, 200, "{path}");
        assert_eq!(server.send(&get(path)).await.status, 404, "{path} on the main port");
    }
    assert_eq!(get("/nowhere").send(server.management).await.status, 404);
    let refused = put("/readyz", "1").send(server.management).await;
    assert_eq!((refused.status, refused.header("allow").as_deref()), (405, Some("GET,HEAD")));
    assert_eq!(refused.header("content-type").as_deref(), Some("application/problem+json"));
}

#[tokio::test]
async fn every_answer_of_the_second_port_has_its_fields() {
    let server = Setup::default().token("admin", ADMIN).start().await;
    let rows = [
        (get("/livez"), 200),
        (get("/readyz"), 200),
        (get("/metrics"), 200),
        (head("/metrics"), 200),
        (get("/nowhere"), 404),
        (put("/readyz", "1"), 405),
        (Request::new("OPTIONS", "/livez"), 405),
    ];
    for (request, status) in rows {
        let name = format!("{} {}", request.method, request.target);
        let made = request.send(server.management).await;
        assert_eq!(made.status, status, "{name}");
        assert_eq!(made.header("x-storage-backend").as_deref(), Some("local"), "{name}");
        assert_eq!(made.header("x-request-id").map(|id| id.len()), Some(32), "{name}: one is made");
        let taken = request.header("X-Request-Id", "abc-1").send(server.management).await;
        assert_eq!(taken.header("x-request-id").as_deref(), Some("abc-1"), "{name}: it is taken");
    }
}

#[tokio::test]
async fn readiness_asks_the_store_at_most_once_a_second() {
    let store = Arc::new(Failing::default());
    let server = Setup::default().store(store.clone()).start().await;
    let ready = async || get("/readyz").send(server.management).await.status;
    assert_eq!(ready().await, 200);
    for _ in 0..20 {
        ready().await;
    }
    let looks = store.checks.load(Ordering::Relaxed);
    assert!((1..=3).contains(&looks), "expected a look a second, got {looks}");
    store.unready.store(true, Ordering::Relaxed);
    let status =
        eventually("readiness fails", async || Some(ready().await).filter(|status| *status != 200))
            .await;
    assert_eq!(status, 503);
    let problem = get("/readyz").send(server.management).await;
    assert_eq!(problem.header("retry-after").as_deref(), Some("1"));
    assert!(!problem.text().contains("/srv"), "{}", problem.text());
}

#[tokio::test]
async fn metrics_count_by_template_and_end_as_open_metrics() {
    let server = Setup::default().token("admin", ADMIN).start().await;
    let admin = format!("Bearer {ADMIN}");
    server.send(&put("/run-stores/secret", "1").header("Authorization", &admin)).await;
    server.send(&get("/run-stores/secret")).await;
    server.send(&super::raw::Request::new("BREW", "/nowhere")).await;
    let answer = get("/metrics").send(server.management).await;
    let kind = answer.header("content-type").expect("a type");
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = answer.text();
    for line in [
        r#"stowage_http_requests_total{route="/run-stores/{name}",method="PUT",status="200"} 1"#,
        r#"stowage_http_requests_total{route="/run-stores/{name}",method="GET",status="401"} 1"#,
        r#"stowage_http_requests_total{route="unmatched",method="other",status="404"} 1"#,
        r#"stowage_auth_failures_total{status="401"} 1"#,
        "stowage_http_requests_in_flight 0",
        "stowage_http_request_body_bytes_total 1",
        "stowage_store_info{store=\"test\",backend=\"local\"} 1",
        "stowage_build_info{version=",
        "stowage_http_request_duration_seconds_count{",
        "# EOF",
    ] {
        assert!(text.contains(line), "expected {line} in:\n{text}");
    }
    assert!(!text.contains("secret"), "raw paths must not be labels:\n{text}");
}

/// Everything that is counted is there after some work of every kind, and every reader takes it.
#[tokio::test]
async fn metrics_are_open_metrics_and_tell_of_the_engine() {
    let server = Server::start().await;
    let scrape = async || {
        let text = get("/metrics").send(server.management).await.text();
        Exposition::parse(&text).unwrap_or_else(|e| panic!("{e} in:\n{text}"))
    };
    let before = scrape().await;
    assert_eq!(before.value("stowage_commit_records_count", &[]), Some(0.0));
    for number in 0..3 {
        server.send(&put(&format!("/run-stores/{number}"), "[1]")).await;
        server.send(&get("/run-stores/none")).await;
    }
    let kv = patch("/api/storage?ns=a", "0", r#"[{"op":"set","key":"k","value":1}]"#);
    assert_eq!(server.send(&kv).await.status, 201);
    let after = eventually("the tree is up to date", async || {
        let now = scrape().await;
        (now.value("stowage_dirty_entries", &[]) == Some(0.0)).then_some(now)
    })
    .await;
    let value = |name: &str| after.value(name, &[]).unwrap_or_else(|| panic!("no {name}"));
    // Each write came alone; the checkpoint's own record may have come with one.
    assert!(value("stowage_commit_records_count") >= 4.0, "{after:?}");
    assert!(value("stowage_commit_records_sum") >= 4.0, "{after:?}");
    assert!(value("stowage_journal_sync_duration_seconds_count") >= 4.0, "{after:?}");
    assert!(value("stowage_checkpoint_duration_seconds_count") >= 1.0, "{after:?}");
    assert!(value("stowage_checkpoint_age_seconds") < 20.0, "{after:?}");
    assert!(value("stowage_cache_entries") >= 4.0, "{after:?}");
    assert!(value("stowage_cache_bytes") > 0.0, "{after:?}");
    assert!(value("stowage_journal_segments") >= 1.0, "{after:?}");
    assert_eq!(value("stowage_dirty_bytes"), 0.0);
    assert_eq!(value("stowage_commit_queue_records"), 0.0);
    assert_eq!(value("stowage_out_of_space_total"), 0.0);
    for used in ["journal", "cache", "dirty"] {
        let (bytes, limit) =
            (format!("stowage_{used}_bytes"), format!("stowage_{used}_limit_bytes"));
        assert!(value(&bytes) <= value(&limit), "{used}: {after:?}");
    }
    assert!(value("stowage_volume_available_bytes") <= value("stowage_volume_size_bytes"));
    let name = "stowage_http_request_duration_seconds_count";
    let labels = [("route", "/run-stores/{name}"), ("method", "GET"), ("status_class", "4xx")];
    assert_eq!(after.value(name, &labels), Some(3.0));
    let labels = [("route", "/run-stores/{name}"), ("method", "PUT"), ("status_class", "2xx")];
    assert_eq!(after.value(name, &labels), Some(3.0));
    assert!(after.names().len() > 20, "{:?}", after.names());
}

#[tokio::test]
async fn storage_info_answers_only_for_debugging() {
    let info = "/_debug/storage-info";
    let admin = || get(info).header("Authorization", &format!("Bearer {ADMIN}"));
    let limited = r#"{"token":"limited-0123456789abc","namespaces":["a"]}"#;
    let of_a_contract = r#"{"token":"runtimes-0123456789ab","contracts":["runtimes"]}"#;
    let debug = || {
        Setup::default()
            .in_memory()
            .token("admin", ADMIN)
            .token("runtimes", of_a_contract)
            .token("limited", limited)
            .config("debug: true")
    };
    let off = row("not there unless it is enabled").when(admin()).then(404);
    let options = row("nor does it take a method")
        .when(Request::new("OPTIONS", info))
        .then(404)
        .lacks("Allow");
    let preflight = row("nor a preflight")
        .when(
            Request::new("OPTIONS", info)
                .header("Origin", "https://a.example")
                .header("Access-Control-Request-Method", "GET"),
        )
        .then(404);
    let other = row("nor any other").when(put(info, "{}")).then(404);
    run(|| Setup::default().in_memory().token("admin", ADMIN), [off, options, preflight, other])
        .await;
    let rows = [
        row("backend and path")
            .when(admin())
            .then(200)
            .body(r#"{"backend":"local","kvPath":"/srv/test/kv","bucket":null}"#),
        row("needs credentials").when(get(info)).then(401),
        row("a token for single namespaces does not see it")
            .when(get(info).header("Authorization", "Bearer limited-0123456789abc"))
            .then(403),
        row("nor one for a single contract")
            .when(get(info).header("Authorization", "Bearer runtimes-0123456789ab"))
            .then(403),
    ];
    run(debug, rows).await;
}

#[tokio::test]
async fn a_failed_store_ends_the_server_with_its_reason() {
    let store = Arc::new(Failing::default());
    let server: Server = Setup::default().store(store.clone()).start().await;
    assert_eq!(server.send(&get("/")).await.status, 404);
    store.fail.notify_one();
    let error = server.ended().await.expect_err("a failure");
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    let closed = store.closed.load(Ordering::Relaxed);
    assert!(closed, "the store is shut down");
}
