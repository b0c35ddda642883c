//! `stowage-sidecar sync` from a real Git repository into a real store.

use std::path::Path;
use std::process::Output;

use stowage_sync::{Outcome, SyncReport};

use super::harness::{ADMIN, Server, Setup};
use super::process::sidecar;
use super::raw::get;

/// A repository with a branch `main`, and the configuration that syncs it.
struct Source {
    dir: tempfile::TempDir,
}

impl Source {
    async fn new(target: &str) -> Self {
        let source = Self { dir: tempfile::tempdir().expect("a directory") };
        std::fs::create_dir(source.repository()).expect("a directory");
        source.git(&["init", "--quiet", "--initial-branch=main"]).await;
        std::fs::write(source.path("token"), ADMIN).expect("a file");
        source.configure(target, "");
        source
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn repository(&self) -> std::path::PathBuf {
        self.path("repository")
    }

    fn configure(&self, target: &str, extra: &str) {
        let text = format!(
            "repoId: etl\nbranch: main\nurl: file://{}\nallowInsecureUrls: true\ntimeout: 20s\n\
             target: {{url: \"{target}\", tokenFile: {}}}\n{extra}\n",
            self.repository().display(),
            self.path("token").display(),
        );
        std::fs::write(self.path("sync.yaml"), text).expect("a file");
    }

    async fn git(&self, arguments: &[&str]) {
        let output = tokio::process::Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.repository())
            .output()
            .await
            .expect("this test needs git: apt-get install -y git");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
    }

    async fn commit(&self, file: &str, text: &str) {
        std::fs::write(self.repository().join(file), text).expect("a file");
        self.git(&["add", "--all"]).await;
        self.git(&["commit", "--quiet", "--message", "change"]).await;
    }

    async fn sync(&self) -> (Option<i32>, SyncReport) {
        let output = self.run().await;
        let line = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("expected one line of JSON, got {line:?}: {e} {output:?}"));
        (output.status.code(), report)
    }

    async fn run(&self) -> Output {
        let mut command = sidecar(&["sync", "--config"]);
        command.arg(self.path("sync.yaml")).arg("--report-file").arg(self.path("report"));
        let output = tokio::time::timeout(super::raw::PATIENCE * 2, command.output());
        output.await.expect("it ends").expect("it runs")
    }
}

fn read_report(path: &Path) -> SyncReport {
    let text = std::fs::read(path).expect("a report file");
    assert!(text.len() <= 4096, "{} bytes fit no termination message", text.len());
    serde_json::from_slice(&text).expect("whole JSON")
}

async fn served(server: &Server) -> super::raw::Answer {
    let admin = format!("Bearer {ADMIN}");
    server.send(&get("/runtimes/etl/main/a_runtime.yaml").header("Authorization", &admin)).await
}

#[tokio::test]
async fn the_exit_code_says_how_a_sync_ended() {
    let server = Setup::default().token("admin", ADMIN).start().await;
    let source = Source::new(&server.url("/")).await;

    source.commit("a_runtime.yaml", "runtime: {id: 1}").await;
    let (code, first) = source.sync().await;
    assert_eq!((code, first.outcome), (Some(0), Outcome::Published), "{first:?}");
    let answer = served(&server).await;
    assert_eq!(answer.text(), r#"{"runtime":{"id":1}}"#);
    assert_eq!(answer.header("x-stowage-revision"), first.revision);
    assert_eq!(read_report(&source.path("report")), first);

    source.commit("README", "not a config").await;
    let (code, second) = source.sync().await;
    assert_eq!((code, second.outcome), (Some(0), Outcome::Unchanged), "{second:?}");
    assert_eq!(second.etag, first.etag);
    assert_eq!(served(&server).await.header("x-stowage-revision"), second.revision);

    source.commit("a_runtime.yaml", "runtime: {id: [").await;
    let (code, invalid) = source.sync().await;
    assert_eq!((code, invalid.outcome), (Some(2), Outcome::Invalid), "{invalid:?}");
    assert_eq!(invalid.invalid.first().map(|f| f.file.as_str()), Some("a_runtime.yaml"));
    let still = served(&server).await;
    assert_eq!(still.text(), answer.text(), "the old set stays");
    assert_eq!(still.header("x-stowage-revision"), second.revision);

    std::fs::write(source.path("token"), "wrong-0123456789abcdef").expect("a file");
    source.commit("a_runtime.yaml", "runtime: {id: 2}").await;
    let (code, failed) = source.sync().await;
    assert_eq!((code, failed.outcome), (Some(1), Outcome::Failed), "{failed:?}");
    assert_eq!(failed.reason, "PublishFailed");
    assert!(!format!("{failed:?}").contains("wrong-0123"), "{failed:?}");
    assert_eq!(served(&server).await.text(), answer.text(), "the old set stays");
}

#[tokio::test]
async fn a_store_out_of_reach_ends_with_a_code_that_says_to_try_again() {
    let source = Source::new("http://127.0.0.1:1").await;
    let text = std::fs::read_to_string(source.path("sync.yaml")).expect("a file");
    let text = text.replace("timeout: 20s", "timeout: 1s");
    std::fs::write(source.path("sync.yaml"), text).expect("a file");
    source.commit("a_runtime.yaml", "runtime: {id: 1}").await;
    let (code, report) = source.sync().await;
    assert_eq!((code, report.reason.as_str()), (Some(75), "StoreUnavailable"), "{report:?}");
}

#[tokio::test]
async fn a_wrong_configuration_ends_with_64() {
    let source = Source::new("http://127.0.0.1:1/path").await;
    let output = source.run().await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("target.url"), "{text}");

    source.configure("http://127.0.0.1:1", "color: red");
    let output = source.run().await;
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("color"));
}
