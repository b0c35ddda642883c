//! `stowage up` on a full disk: a file system of this test's own, in a mount namespace of its
//! own. That needs root, or a kernel that gives a user its own namespaces.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "cli/support.rs"]
#[expect(dead_code, reason = "it serves the other tests of the command too")]
mod support;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::process::Command;

use support::{ADMIN, Place, Up, client, eventually, store_with_token};

/// `up` with its data on a small file system that only it sees.
fn command(place: &Place) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "--", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o size=1m,mode=700 stowage-test "$1" && shift && exec "$@""#)
        .arg("sh")
        .arg(place.data())
        .arg(env!("CARGO_BIN_EXE_stowage"))
        .args(place.up_arguments())
        .args(["--listen", "127.0.0.1:0"]);
    command
}

async fn send(request: RequestBuilder) -> Response {
    request.bearer_auth(ADMIN).send().await.unwrap()
}

fn patch(url: &str, version: &str, value: &str) -> RequestBuilder {
    client()
        .request(Method::PATCH, format!("{url}/api/storage?ns=cart"))
        .header("If-Match", version.to_owned())
        .header("X-Thesara-App-Id", "test")
        .json(&serde_json::json!([{"op": "set", "key": "k", "value": value}]))
}

#[tokio::test]
async fn writes_are_refused_with_507_reads_and_deletes_go_on_and_writes_resume() {
    let place = Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN))]);
    std::fs::create_dir(place.data()).unwrap();
    let mut up = place.start(command(&place));
    up.wait_ready().await;
    let url = up.url("demo");
    let document = |name: &str| format!("{url}/run-stores/{name}");
    let put =
        |name: &str, bytes: usize| send(client().put(document(name)).json(&"x".repeat(bytes)));

    assert_eq!(put("kept", 1_000).await.status(), StatusCode::OK);
    assert_eq!(send(patch(&url, "0", "kept")).await.status(), StatusCode::CREATED);
    let mut fillers = 0;
    let refused = loop {
        let answer = put(&format!("filler-{fillers}"), 100_000).await;
        if !answer.status().is_success() {
            break answer;
        }
        fillers += 1;
        assert!(fillers < 100, "a disk of 1 MiB is never full");
    };
    assert_eq!(refused.status(), StatusCode::INSUFFICIENT_STORAGE);
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("full"), "{problem}");
    let answer = send(patch(&url, "1", &"x".repeat(200_000))).await;
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);

    let read = send(client().get(document("kept"))).await;
    assert_eq!(read.status(), StatusCode::OK, "reads go on");
    assert_eq!(read.bytes().await.unwrap().len(), 1_002);
    let read = send(client().get(format!("{url}/api/storage?ns=cart"))).await;
    assert_eq!(read.headers()["etag"], "\"1\"", "the refused patch has left nothing");
    let management = up.ready_table().unwrap()["stores"]["demo"]["management"].clone();
    let ready = send(client().get(format!("{}/readyz", management.as_str().unwrap()))).await;
    assert_eq!(ready.status(), StatusCode::OK, "a full disk still serves");

    for filler in 0..fillers {
        let answer = send(client().delete(document(&format!("filler-{filler}")))).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "deletes go on");
    }
    assert_eq!(put("kept", 2_000).await.status(), StatusCode::OK, "writes resume");
    assert_eq!(send(patch(&url, "1", "again")).await.status(), StatusCode::OK);
    assert!(up.stop().await.success());
}

/// The data of a running `up`: it sees that, and nobody else.
fn data(place: &Place, up: &Up) -> PathBuf {
    format!("/proc/{}/root{}", up.pid(), place.data().display()).into()
}

/// Takes what room there is.
fn fill(filler: &Path) {
    let mut file = std::fs::File::options().create(true).append(true).open(filler).unwrap();
    let full = loop {
        if let Err(error) = file.write_all(&[0; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::StorageFull);
}

/// Waits until a change is told of that cannot be kept on a full disk, and keeps that full: where a
/// page came free meanwhile, the change would fit.
async fn wait_until_refused(up: &Up, filler: &Path) {
    eventually("a change that cannot be kept", || async {
        fill(filler);
        let said = "cannot be taken up: nothing was changed; trying again";
        up.output().contains(said).then_some(())
    })
    .await;
}

/// StoreNamespaces of a Store.
fn namespaces<'a>(store: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let one = |name: &str| {
        format!(
            "---\napiVersion: stowage.dev/v1alpha1\nkind: StoreNamespace\n\
             metadata: {{name: {name}}}\nspec: {{storeRef: {{name: {store}}}, contract: kv}}\n"
        )
    };
    names.into_iter().map(one).collect()
}

async fn status(url: &str, token: &str) -> StatusCode {
    client().get(url).bearer_auth(token).send().await.unwrap().status()
}

/// What goes from the manifests goes from the disk and the server alike, or not at all; and without
/// another change of the manifests, once that can be kept.
#[tokio::test]
async fn a_change_that_cannot_be_kept_changes_nothing_and_is_tried_again() {
    let with = |names: &[&str]| {
        store_with_token("demo", ADMIN) + &namespaces("demo", names.iter().copied())
    };
    let place = Place::new(&[("demo.yaml", &with(&["cart", "menu"]))]);
    std::fs::create_dir(place.data()).unwrap();
    let mut up = place.start(command(&place));
    up.wait_ready().await;
    let data = data(&place, &up);
    let binding = data.join("bindings/menu/token");
    let token = std::fs::read_to_string(&binding).unwrap();
    let url = format!("{}/api/storage?ns=menu", up.url("demo"));
    assert_eq!(status(&url, &token).await, StatusCode::OK);

    let filler = data.join("filler");
    fill(&filler);
    place.write("demo.yaml", &with(&["cart"]));
    wait_until_refused(&up, &filler).await;
    assert_eq!(std::fs::read_to_string(&binding).unwrap(), token, "nothing was changed");
    assert_eq!(status(&url, &token).await, StatusCode::OK, "nothing was changed");

    std::fs::remove_file(&filler).unwrap();
    up.wait_for("manifests changed: taken up").await;
    assert!(!binding.exists(), "it is gone with its credentials");
    assert_eq!(status(&url, &token).await, StatusCode::UNAUTHORIZED, "what was deleted is refused");
    assert!(up.stop().await.success());
}

/// What is kept of the first Store needs no room at all, and that of the second needs more than the
/// first one leaves.
#[tokio::test]
async fn a_change_of_two_stores_is_kept_of_both_or_of_none() {
    let many: Vec<String> = (0..80).map(|number| format!("menu-{number}")).collect();
    let demo = store_with_token("demo", ADMIN);
    let lake = store_with_token("lake", ADMIN) + "  suspend: true\n";
    let all = |cart: &[&str], menus: &[String]| {
        let cart = namespaces("demo", cart.iter().copied());
        demo.clone() + &lake + &cart + &namespaces("lake", menus.iter().map(String::as_str))
    };
    let before = all(&["cart"], &many);
    let place = Place::new(&[("all.yaml", &before)]);
    std::fs::create_dir(place.data()).unwrap();
    let mut up = place.start(command(&place));
    up.wait_ready().await;
    let data = data(&place, &up);
    let binding = data.join("bindings/cart/token");
    let token = std::fs::read_to_string(&binding).unwrap();
    let url = format!("{}/api/storage?ns=cart", up.url("demo"));

    let filler = data.join("filler");
    fill(&filler);
    place.write("all.yaml", &all(&[], &many[1..]));
    wait_until_refused(&up, &filler).await;
    assert!(data.join("tokens/demo.keys").exists(), "nothing was changed");
    std::fs::remove_file(&filler).unwrap();
    let mut left = std::fs::read_dir(data.join("tokens")).unwrap();
    let half_written = left.find(|it| {
        let name = it.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with('.')
    });
    assert!(half_written.is_none(), "{half_written:?}");
    place.write("all.yaml", &before);
    up.wait_for("manifests changed: taken up").await;
    assert_eq!(std::fs::read_to_string(&binding).unwrap(), token, "it is as it was");
    assert_eq!(status(&url, &token).await, StatusCode::OK, "and good");
    assert!(up.stop().await.success());
}

#[tokio::test]
async fn an_upload_that_does_not_fit_is_507_and_gives_its_room_back() {
    let place = Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN))]);
    std::fs::create_dir(place.data()).unwrap();
    let mut up = place.start(command(&place));
    up.wait_ready().await;
    let url = up.url("demo");
    let archive = format!("{url}/sites/blog/artifacts/b-1");
    let document = format!("{url}/run-stores/kept");
    assert_eq!(send(client().put(&archive).body("small")).await.status(), StatusCode::CREATED);
    for _ in 0..3 {
        let refused = send(client().put(&archive).body("x".repeat(4 << 20))).await;
        assert_eq!(refused.status(), StatusCode::INSUFFICIENT_STORAGE);
        let problem: serde_json::Value = refused.json().await.unwrap();
        assert_eq!(problem["error"], "out_of_space", "{problem}");
        let read = send(client().get(&archive)).await;
        assert_eq!(read.text().await.unwrap(), "small", "what stood there still does");
        let put = send(client().put(&document).json(&"x".repeat(10_000))).await;
        assert_eq!(put.status(), StatusCode::OK, "the room is there for others");
    }
    assert_eq!(send(client().delete(&archive)).await.status(), StatusCode::NO_CONTENT);
    assert!(up.stop().await.success());
}
