//! `stowage-sidecar` as a person or a pod runs it: exit codes, sentences, signals, reload.

use std::os::unix::fs::symlink;
use std::process::Output;

use tokio::net::TcpListener;

use super::harness::{ADMIN, eventually};
use super::process::{Place, sidecar};
use super::raw::{Connection, Request, get, put};

fn with(request: Request, token: &str) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn wrong_configurations_end_with_64_and_a_sentence() {
    let table: &[(&str, &[&str])] = &[
        ("cors: {allowedOrigins: [app.example]}", &["cors.allowedOrigins[0]"]),
        ("contracts: [kv, kv]", &["contracts[1]"]),
        (
            "contracts: [queues]",
            &["queues", "line 6", "expected one of runStore, kv, jobs, runtimes, artifacts"],
        ),
        ("color: red", &["color"]),
        ("limits: {maxJsonBytes: lots}", &["lots", "not a size"]),
        ("limits: {requestsPerSecond: 0}", &["0 requests per second", "1 to 1000000", "line 6"]),
        ("limits: {requestsPerSecond: 1000001}", &["1 to 1000000"]),
        ("limits: {headerTimeout: 1ms}", &["1ms is too short", "100ms or more"]),
        ("tracing: {otlp: {endpoint: \"ftp://c\"}}", &["line 6", "write http://HOST:PORT"]),
        (
            "tracing: {otlp: {endpoint: \"http://c\", caFile: /ca.crt}}",
            &["tracing.otlp.caFile", "write https://"],
        ),
        ("limits: {stallTimeout: 500ms}", &["500ms is too short", "1s or more"]),
        ("namespaces: [{name: ..}]", &["namespaces[0].name"]),
    ];
    for (extra, parts) in table {
        let place = Place::new();
        place.configure("127.0.0.1:0", "127.0.0.1:0", extra);
        let output = place.serve_refused().await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{extra}: {text}");
        for part in *parts {
            assert!(text.contains(part), "{extra}: {text:?} lacks {part:?}");
        }
        let check = sidecar(&["check", "--config"]).arg(place.path("config.yaml")).output().await;
        let check = check.expect("it runs");
        assert_eq!(check.status.code(), Some(64), "check of {extra}");
        assert_eq!(stderr(&check), text, "check says what serve says");
        assert!(!place.path("data").exists(), "{extra}: nothing was made");
    }
}

#[tokio::test]
async fn a_missing_file_or_token_ends_with_64() {
    let place = Place::new();
    let output = sidecar(&["serve", "--config", "/nonexistent.yaml"]).output().await;
    assert_eq!(output.expect("it runs").status.code(), Some(64));

    std::fs::write(place.path("tokens/weak"), "hunter2").expect("a file");
    let output = place.serve_refused().await;
    assert_eq!(output.status.code(), Some(64));
    let text = stderr(&output);
    assert!(text.contains("weak") && !text.contains("hunter2"), "{text}");

    std::fs::write(place.path("tokens/weak"), ADMIN).expect("a file");
    let text = stderr(&place.serve_refused().await);
    assert!(text.contains("auth.tokens.weak") && !text.contains(ADMIN), "{text}");

    std::fs::remove_dir_all(place.path("tokens")).expect("a directory");
    let output = place.serve_refused().await;
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));

    std::fs::create_dir(place.path("tokens")).expect("a directory");
    let output = place.serve_refused().await;
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("--insecure-no-auth"), "{}", stderr(&output));
}

#[tokio::test]
async fn wrong_usage_ends_with_64_and_help_with_0() {
    let table: &[(&[&str], i32, &str)] = &[
        (&[], 64, "Usage: stowage-sidecar <COMMAND>"),
        (&["srve"], 64, "'serve'"),
        (&["sync", "--cnfig", "x"], 64, "'--config'"),
        (&["sync", "--help"], 0, "2   files are invalid"),
        (&["serve", "--help"], 0, "64  the flags"),
        (&["--version"], 0, env!("CARGO_PKG_VERSION")),
    ];
    for (arguments, code, part) in table {
        let output = sidecar(arguments).output().await.expect("it runs");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said:?} lacks {part:?}");
    }
}

/// Pasted from the help, they must be taken.
#[tokio::test]
async fn the_configurations_of_the_help_are_in_order() {
    async fn shown(command: &str) -> String {
        let output = sidecar(&[command, "--help"]).output().await.expect("it runs");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = help.lines().skip_while(|line| !line.starts_with("The least configuration"));
        let lines = lines.skip(1).take_while(|line| !line.is_empty());
        lines.map(|line| format!("{}\n", line.trim_start())).collect()
    }
    let serve: stowage_config::SidecarConfig =
        serde_saphyr::from_str(&shown("serve").await).expect("a configuration");
    assert_eq!(serve.store, "demo");
    let sync: stowage_config::SyncConfig =
        serde_saphyr::from_str(&shown("sync").await).expect("a configuration");
    assert_eq!(sync.repo_id, "etl");
}

#[tokio::test]
async fn insecure_no_auth_serves_everyone() {
    let place = Place::new();
    std::fs::remove_file(place.path("tokens/admin")).expect("a file");
    let mut command = sidecar(&["check", "--insecure-no-auth", "--config"]);
    let output = command.arg(place.path("config.yaml")).output().await.expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[tokio::test]
async fn a_port_or_a_directory_in_use_is_said_and_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let taken = taken.local_addr().expect("an address");
    let _held = TcpListener::bind(taken).await;
    let place = Place::new();
    let holder = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = holder.local_addr().expect("an address").to_string();
    for (listen, management, field) in
        [(address.as_str(), "127.0.0.1:0", "listen"), ("127.0.0.1:0", &address, "managementListen")]
    {
        place.configure(listen, management, "");
        let output = place.serve_refused().await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("{field}: ")) && text.contains("in use"), "{text}");
    }

    place.configure("127.0.0.1:0", "127.0.0.1:0", "");
    let first = place.start().await;
    let output = place.serve_refused().await;
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("backend.volume.path") && text.contains("in use"), "{text}");
    let read = with(get("/"), ADMIN).send(first.address).await;
    assert_eq!(read.status, 404, "the first one serves on");
}

#[tokio::test]
async fn sigterm_ends_with_0_and_everything_is_there_after_a_restart() {
    let place = Place::new();
    let process = place.start().await;
    assert_eq!(get("/readyz").send(process.management).await.status, 200);
    let tag = with(put("/", "[1]"), ADMIN).send(process.address).await.etag();
    let (status, log) = process.terminate().await;
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("stopped"), "{log}");
    assert!(!place.path("ready.json").exists(), "the ready file is taken back");

    let process = place.start().await;
    let read = with(get("/"), ADMIN).send(process.address).await;
    assert_eq!((read.text().as_str(), read.etag()), ("[1]", tag));
}

#[tokio::test]
async fn connections_leave_descriptors_for_the_volume_and_the_probes() {
    let place = Place::new();
    let process = place.start_with_descriptors(64).await;
    let mut client = Connection::open(process.address).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(Connection::open(process.address).await);
    }
    for _ in 0..3 {
        client.send(&with(put("/", "{}"), ADMIN).bytes()).await;
        let written = client.answer(false).await.expect("an answer");
        assert_eq!(written.status, 200, "{}", written.text());
    }
    assert_eq!(get("/readyz").send(process.management).await.status, 200);
}

#[tokio::test]
async fn uploads_leave_descriptors_for_the_volume_too() {
    let place = Place::new();
    let process = place.start_with_descriptors(64).await;
    let upload = |number: usize| {
        let target = format!("/sites/s/artifacts/b{number}");
        with(put(&target, "archive"), ADMIN).bytes()
    };
    let mut uploads = Vec::new();
    for number in 0..40 {
        let mut connection = Connection::open(process.address).await;
        let bytes = upload(number);
        connection.send(&bytes[..bytes.len() - 1]).await;
        uploads.push(connection);
    }
    // As many as may be served are under way; the others wait to be accepted.
    let temporary = place.path("data/.stowage/tmp");
    eventually("uploads are under way", async || {
        (temporary.read_dir().expect("a directory").count() >= 12).then_some(())
    })
    .await;
    for (number, connection) in uploads.iter_mut().enumerate() {
        connection.send(&upload(number)[upload(number).len() - 1..]).await;
        let answer = connection.answer(false).await.expect("an answer");
        assert_eq!(answer.status, 201, "upload {number}: {}", answer.text());
        connection.half_close().await;
    }
    assert_eq!(get("/readyz").send(process.management).await.status, 200);
}

#[tokio::test]
async fn the_access_log_has_one_line_per_request_and_no_secret() {
    let place = Place::new();
    let process = place.start().await;
    let request = with(put("/run-stores/doc?x=hidden-query", r#""hidden-body""#), ADMIN)
        .header("X-Request-Id", "id-1");
    assert_eq!(request.send(process.address).await.status, 200);
    let wrong = with(get("/run-stores/doc"), "hidden-0123456789abcdef");
    assert_eq!(wrong.send(process.address).await.status, 401);
    let (_, log) = process.terminate().await;
    let access = |line: &&str| line.contains("stowage::access") && line.contains("id-1");
    let line = log.lines().find(access).expect("a line for the request");
    for part in ["PUT", "/run-stores/{name}", "200", "duration_ms", "admin"] {
        assert!(line.contains(part), "{line} lacks {part}");
    }
    assert_eq!(log.lines().filter(access).count(), 1, "{log}");
    for secret in [ADMIN, "hidden"] {
        assert!(!log.contains(secret), "{secret} must not be logged: {log}");
    }
}

#[tokio::test]
async fn tokens_are_read_again_as_a_mounted_secret_changes() {
    let place = Place::new();
    // A Secret's mount: keys are links through ..data, which is swapped as a whole.
    let tokens = place.path("tokens");
    std::fs::remove_file(tokens.join("admin")).expect("a file");
    let version = |name: &str, text: &str| {
        std::fs::create_dir(tokens.join(name)).expect("a directory");
        std::fs::write(tokens.join(name).join("admin"), text).expect("a file");
    };
    let swap = |name: &str| {
        symlink(name, tokens.join("..data_tmp")).expect("a link");
        std::fs::rename(tokens.join("..data_tmp"), tokens.join("..data")).expect("a swap");
    };
    version("..1", ADMIN);
    swap("..1");
    symlink("..data/admin", tokens.join("admin")).expect("a link");
    let process = place.start().await;
    let status = async |token: &str| with(get("/"), token).send(process.address).await.status;
    assert_eq!(status(ADMIN).await, 404);

    version("..2", "rotated-0123456789abcdef");
    swap("..2");
    eventually("the new token holds", async || {
        (status("rotated-0123456789abcdef").await == 404).then_some(())
    })
    .await;
    assert_eq!(status(ADMIN).await, 401, "the old one does not");

    version("..3", "weak");
    swap("..3");
    eventually("what is no token any more is refused", async || {
        (status("rotated-0123456789abcdef").await == 401).then_some(())
    })
    .await;
    version("..4", "third-0123456789abcdef");
    swap("..4");
    eventually("the next good token holds", async || {
        (status("third-0123456789abcdef").await == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_configuration_is_read_again_while_the_server_runs() {
    let place = Place::new();
    let process = place.start().await;
    let status = async || with(put("/", r#"{"a": 1}"#), ADMIN).send(process.address).await.status;
    let configure = |extra: &str| place.configure("127.0.0.1:0", "127.0.0.1:0", extra);
    let before = status().await;
    assert!(before < 300, "{before}: the store takes a document");

    configure("limits: {maxJsonBytes: 2}");
    eventually("the limit holds", async || (status().await == 413).then_some(())).await;

    configure("contracts: [kv, kv]");
    eventually("what is wrong is logged", async || process.log().contains("twice").then_some(()))
        .await;
    assert_eq!(status().await, 413, "and changes nothing");

    configure("contracts: [kv]\nshutdownGrace: 3s");
    eventually("the contract is gone", async || (status().await == 404).then_some(())).await;
    let told = async || process.log().contains("takes effect at the next start").then_some(());
    eventually("what waits for the next start is told", told).await;
}

#[tokio::test]
async fn version_and_help_are_told() {
    let version = sidecar(&["version"]).output().await.expect("it runs");
    assert!(version.status.success());
    assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")));
    for command in [&["--help"][..], &["serve", "--help"], &["sync", "--help"]] {
        let help = sidecar(command).output().await.expect("it runs");
        assert!(help.status.success(), "{command:?}");
        assert!(!help.stdout.is_empty(), "{command:?}");
    }
}

#[tokio::test]
async fn a_damaged_journal_is_named_looked_at_and_cut() {
    let place = Place::new();
    place.configure("127.0.0.1:0", "127.0.0.1:0", "");
    let server = place.start().await;
    let body = "\"to be damaged\"";
    // The second one proves that the first was durable.
    for (name, body) in [("a", body), ("b", "2")] {
        let request = with(put(&format!("/run-stores/{name}"), body), ADMIN);
        assert_eq!(request.send(server.address).await.status, 200);
    }
    server.kill().await;
    let data = place.path("data");
    let segment = data.join(".stowage/journal/00000000000000000001.journal");
    let mut bytes = std::fs::read(&segment).expect("the journal");
    let at = bytes.windows(body.len()).position(|window| window == body.as_bytes());
    bytes[at.expect("the document is in the journal")] ^= 1;
    std::fs::write(&segment, bytes).expect("damage");

    let refused = place.serve_refused().await;
    let text = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    let named = "is damaged at byte 64: a record that was durable does not check out (sequence 1)";
    assert!(text.contains(named), "{text}");

    let run = |arguments: Vec<&str>| {
        let mut command = sidecar(&arguments);
        command.arg(&data);
        async move { command.output().await.expect("it runs") }
    };
    let looked = run(vec!["verify"]).await;
    let said = String::from_utf8_lossy(&looked.stdout).into_owned();
    assert_eq!(looked.status.code(), Some(2), "{said}");
    let cut = "00000000000000000001.journal:64";
    assert!(said.contains(&format!("repair --truncate-at {cut}")), "{said}");
    assert!(said.contains("from there on, may not be in the tree"), "none follows: {said}");

    for (wrong, code) in [("00000000000000000001.journal:72", 64), ("nowhere", 64)] {
        let output = run(vec!["repair", "--truncate-at", wrong]).await;
        assert_eq!(output.status.code(), Some(code), "{wrong}: {}", stderr(&output));
    }
    let output = run(vec!["repair", "--truncate-at", cut]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let looked = run(vec!["verify"]).await;
    assert_eq!(looked.status.code(), Some(0), "{}", String::from_utf8_lossy(&looked.stdout));
    let server = place.start().await;
    let answer = with(put("/run-stores/b", "1"), ADMIN).send(server.address).await;
    assert_eq!(answer.status, 200, "what is left is served: {}", answer.text());
    let in_use = run(vec!["verify"]).await;
    assert_eq!(in_use.status.code(), Some(1), "{}", stderr(&in_use));
}
