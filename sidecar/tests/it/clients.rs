//! Real clients, written for the source documents and not for this server, work unchanged.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::harness::{ADMIN, Server, Setup};
use super::raw::put;

/// Runs a Node program against a server; its exit code and output are the verdict.
async fn run_client(server: &Server, program: &str) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(program);
    let output = Command::new("node")
        .arg(&program)
        .env("STORE_URL", format!("http://{}", server.address))
        .env("STORE_TOKEN", ADMIN)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(super::raw::PATIENCE * 3, output).await {
        Ok(Ok(output)) => output,
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::NotFound => {
            panic!("this test needs Node 20 or newer: apt-get install -y nodejs")
        }
        Ok(Err(e)) => panic!("node does not run: {e}"),
        Err(_) => panic!("{} does not end", program.display()),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", program.display());
    assert!(text.contains("all checks passed"), "{}: {text}", program.display());
}

async fn server() -> Server {
    Setup::default().token("admin", ADMIN).start().await
}

#[tokio::test]
async fn the_kv_client_of_its_document() {
    run_client(&server().await, "kv.mjs").await;
}

#[tokio::test]
async fn the_run_store_client_of_its_document() {
    run_client(&server().await, "run-store.mjs").await;
}

#[tokio::test]
async fn the_runtimes_reader_of_its_document() {
    let server = server().await;
    let set = r#"{"revision":"0123abc","files":[
        {"filepath":"jobs/a_runtime.yaml","config":{"runtime":{"id":"a"}}},
        {"filepath":"b_runtime.json","config":{"runtime":{"id":"b"}}}]}"#;
    let put = put("/runtimes/etl/main", set).header("Authorization", &format!("Bearer {ADMIN}"));
    assert_eq!(server.send(&put).await.status, 201);
    run_client(&server, "runtimes.mjs").await;
}

#[tokio::test]
async fn the_artifact_client_of_its_document() {
    run_client(&server().await, "artifacts.mjs").await;
}
