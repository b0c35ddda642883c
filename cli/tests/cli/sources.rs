//! Git sources of `stowage up`, with real repositories.

use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{ADMIN, DEADLINE, Place, Up, client, eventually, mode, store_with_token};

/// A repository that a test commits to.
struct Repository(PathBuf);

impl Repository {
    fn new(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let repository = Self(path);
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.0)
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("git is installed (apt-get install git)");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits one file, and returns the commit.
    fn commit(&self, file: &str, text: &str) -> String {
        let path = self.0.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", file]);
        self.git(&["rev-parse", "HEAD"])
    }
}

fn source(repository: &Path, more: &str) -> String {
    format!(
        "---\napiVersion: stowage.dev/v1alpha1\nkind: RuntimeConfigSource\nmetadata: {{name: etl}}\n\
         spec:\n  repoId: etl\n  url: file://{}\n  interval: 1h\n  branches:\n    \
         - {{name: main, environment: production, storeRef: {{name: demo}}}}\n{more}",
        repository.display()
    )
}

const SCHEMA: &str = "  schema: {inline: {type: object, required: [steps]}}\n";

/// The revision that is served and the files, once they are there.
async fn served(up: &Up) -> Option<(String, Value)> {
    let request = client().get(format!("{}/runtimes/etl/main", up.url("demo")));
    let answer = request.bearer_auth(ADMIN).send().await.unwrap();
    if answer.status() == StatusCode::NOT_FOUND {
        return None;
    }
    let revision = answer.headers()["x-stowage-revision"].to_str().unwrap().to_owned();
    let files: Value = answer.json().await.unwrap();
    let files = files.as_array().unwrap().iter();
    Some((revision, files.map(|file| json!([file["filepath"], file["config"]])).collect()))
}

async fn served_at(up: &Up, commit: &str) -> Value {
    eventually(&format!("commit {commit} served"), || async {
        served(up).await.filter(|(revision, _)| revision == commit).map(|(_, files)| files)
    })
    .await
}

#[tokio::test]
async fn commits_are_served_and_an_invalid_one_is_refused_by_name() {
    let place = Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN))]);
    let repository = Repository::new(place.path("etl"));
    place.write("source.yaml", &source(&repository.0, SCHEMA));
    let first = repository.commit("etl/runtime.yaml", "steps: [1]\n");
    let up = place.ready(&["demo"]).await;

    assert_eq!(served_at(&up, &first).await, json!([["etl/runtime.yaml", {"steps": [1]}]]));
    let line = format!("source etl/main: published 1 file at {} (production)", &first[..7]);
    up.wait_for(&line).await;

    let second = repository.commit("etl/runtime.yaml", "steps: [2]\n");
    up.signal(Signal::HUP);
    let set = served_at(&up, &second).await;
    assert_eq!(set, json!([["etl/runtime.yaml", {"steps": [2]}]]));

    let invalid = repository.commit("bad/runtime.yaml", "stages: []\n");
    up.signal(Signal::HUP);
    up.wait_for(&format!("source etl/main: refused {} (production)", &invalid[..7])).await;
    up.wait_for("source etl/main: bad/runtime.yaml at").await;
    up.wait_for(&format!("the set of {} stays", &second[..7])).await;
    assert_eq!(served(&up).await, Some((second.clone(), set.clone())), "the old set is served");

    assert!(up.stop().await.success());
    let up = place.ready(&["demo"]).await;
    up.wait_for("source etl/main: refused").await;
    assert_eq!(served(&up).await, Some((second, set)), "also after a restart");
}

#[tokio::test]
async fn a_commit_arrives_at_the_next_interval_without_being_asked_for() {
    let place = Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN))]);
    let repository = Repository::new(place.path("etl"));
    let shortest = source(&repository.0, "").replace("interval: 1h", "interval: 10s");
    place.write("source.yaml", &shortest);
    let first = repository.commit("runtime.yaml", "a: 1\n");
    let up = place.ready(&["demo"]).await;
    served_at(&up, &first).await;
    let second = repository.commit("runtime.yaml", "a: 2\n");
    assert_eq!(served_at(&up, &second).await, json!([["runtime.yaml", {"a": 2}]]));
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_reported_and_found_later() {
    let place = Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN))]);
    let path = place.path("later");
    place.write("source.yaml", &source(&path, ""));
    let up = place.ready(&["demo"]).await;
    up.wait_for("source etl/main: not synced (production)").await;
    assert_eq!(served(&up).await, None);

    let repository = Repository::new(path);
    let commit = repository.commit("runtime.yaml", "a: 1\n");
    up.signal(Signal::HUP);
    served_at(&up, &commit).await;
}

#[tokio::test]
async fn sources_are_added_suspended_and_changed_while_serving() {
    let place = Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN))]);
    let repository = Repository::new(place.path("etl"));
    let first = repository.commit("runtime.yaml", "a: 1\n");
    let up = place.ready(&["demo"]).await;
    assert_eq!(served(&up).await, None);

    place.write("source.yaml", &source(&repository.0, ""));
    served_at(&up, &first).await;

    let before = up.output();
    place.write("source.yaml", &source(&repository.0, "  suspend: true\n"));
    up.wait_for_another("manifests changed: taken up", &before).await;
    let second = repository.commit("runtime.yaml", "a: 2\n");
    up.signal(Signal::HUP);
    up.wait_for("syncing every source now (0)").await;
    assert_eq!(
        served(&up).await.map(|(revision, _)| revision),
        Some(first),
        "what is served stays"
    );

    place.write("source.yaml", &source(&repository.0, "  include: [\"*.json\", \"*.yaml\"]\n"));
    served_at(&up, &second).await;
}

#[tokio::test]
async fn secrets_and_schemas_are_private_files_while_serving_only() {
    let place = Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN))]);
    let repository = Repository::new(place.path("etl"));
    let commit = repository.commit("runtime.yaml", "steps: []\n");
    let more = "  schema: {configMapRef: {name: shape, key: schema.json}}\n";
    let with_secret = "---\napiVersion: stowage.dev/v1alpha1\nkind: RuntimeConfigSource\n\
        metadata: {name: private}\nspec:\n  repoId: private\n  url: http://127.0.0.1:1/x.git\n  \
        auth: {secretRef: {name: git}}\n  branches: [{name: f/x, storeRef: {name: demo}}]\n\
        ---\napiVersion: v1\nkind: Secret\nmetadata: {name: git}\n\
        stringData: {username: robot, password: git-password-1}\n\
        ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shape}\n\
        data: {schema.json: '{\"required\": [\"steps\"]}'}\n";
    place.write("source.yaml", &(source(&repository.0, more) + with_secret));
    let up = place.ready(&["demo"]).await;
    served_at(&up, &commit).await;
    up.wait_for("source private/f/x: not synced").await;

    let secret = place.data().join(".run/demo/private/f%2Fx/auth/password");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "git-password-1");
    assert_eq!(mode(&secret), 0o600);
    assert_eq!(mode(secret.parent().unwrap()), 0o700);

    let wrong = repository.commit("runtime.yaml", "stages: []\n");
    up.signal(Signal::HUP);
    up.wait_for(&format!("refused {}", &wrong[..7])).await;
    assert!(!up.output().contains("git-password-1"), "{}", up.output());
    assert!(up.stop().await.success());
    assert!(!place.data().join(".run").exists(), "Secrets are gone with the process");
}

#[tokio::test]
async fn a_set_over_the_stores_limit_is_refused_as_over_http() {
    let store = store_with_token("demo", ADMIN) + "  limits: {maxRuntimeSetBytes: 100}\n";
    let place = Place::new(&[("demo.yaml", &store)]);
    let repository = Repository::new(place.path("etl"));
    repository.commit("runtime.yaml", &format!("a: {}\n", "x".repeat(100)));
    place.write("source.yaml", &source(&repository.0, ""));
    let up = place.ready(&["demo"]).await;
    up.wait_for("maxRuntimeSetBytes").await;
    assert_eq!(served(&up).await, None);
}

/// The files below a directory that hold a text.
fn files_with(text: &str, directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match std::fs::read(&path) {
            Ok(bytes) if String::from_utf8_lossy(&bytes).contains(text) => found.push(path),
            Ok(_) => {}
            Err(_) => found.extend(files_with(text, &path)),
        }
    }
    found
}

#[tokio::test]
async fn a_kill_during_a_sync_leaves_no_secret_for_longer_than_the_next_start() {
    const PASSWORD: &str = "git-password-0123";
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = source(Path::new("/"), "  auth: {secretRef: {name: git}}\n")
        .replace("file:///", &format!("http://{}/etl.git", hanging.local_addr().unwrap()));
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: git}}\n\
         stringData: {{username: robot, password: {PASSWORD}}}\n"
    );
    let demo = store_with_token("demo", ADMIN);
    let place = Place::new(&[("demo.yaml", &demo), ("source.yaml", &(text + &secret))]);
    let up = place.ready(&["demo"]).await;
    let fetch = tokio::time::timeout(DEADLINE, hanging.accept()).await.expect("git connects");
    up.kill().await;
    drop(fetch);
    place.remove("source.yaml");

    let up = place.ready(&["demo"]).await;
    let root = place.data().parent().unwrap().to_owned();
    // robot:git-password-0123 as git sends it.
    for secret in [PASSWORD, "cm9ib3Q6Z2l0LXBhc3N3b3JkLTAxMjM="] {
        assert_eq!(files_with(secret, &root), Vec::<PathBuf>::new(), "{secret}");
    }
    assert!(up.stop().await.success());
}
