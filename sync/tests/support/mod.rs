//! What the tests share: real repositories, a publisher that remembers, a machine of one's own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use stowage_config::SyncConfig;
use stowage_sync::{ConfigSet, Machine, PublishError, Published, Publisher, SyncReport, sync_on};
use tempfile::TempDir;

/// Everything that takes longer has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A repository that tests commit to, with a fixed author and date.
pub(crate) struct Repository {
    dir: TempDir,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let repository = Self { dir: tempfile::tempdir().unwrap() };
        repository.git(["init", "--quiet", "--initial-branch=main", "--template="]);
        repository
    }

    /// A repository with one commit of one valid config.
    pub(crate) fn with_config() -> Self {
        let repository = Self::new();
        repository.commit(&[("runtime.yaml", "name: etl\n")]);
        repository
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the files, commits everything there is, and gives the commit's id.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            let path = self.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "--message", "a commit"]);
        self.git(["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn git<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "t"), ("GIT_AUTHOR_EMAIL", "t@t.example")])
            .envs([("GIT_COMMITTER_NAME", "t"), ("GIT_COMMITTER_EMAIL", "t@t.example")])
            .envs([("GIT_AUTHOR_DATE", "1700000000 +0000")])
            .envs([("GIT_COMMITTER_DATE", "1700000000 +0000")])
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Keeps every set that it is given.
#[derive(Default)]
pub(crate) struct Recorder {
    sets: Mutex<Vec<ConfigSet>>,
}

impl Recorder {
    pub(crate) fn count(&self) -> usize {
        self.sets.lock().unwrap().len()
    }

    /// The files of the last set, as `path=content` lines.
    pub(crate) fn last(&self) -> Vec<String> {
        self.sets.lock().unwrap().last().map(lines).unwrap_or_default()
    }
}

fn lines(set: &ConfigSet) -> Vec<String> {
    set.files.iter().map(|f| format!("{}={}", f.filepath, f.config.get())).collect()
}

#[async_trait]
impl Publisher for Recorder {
    async fn publish(&self, set: &ConfigSet) -> Result<Published, PublishError> {
        let mut sets = self.sets.lock().unwrap();
        let changed = sets.last().map(lines) != Some(lines(set));
        sets.push(set.clone());
        Ok(Published { changed, etag: format!("\"{}\"", sets.len()) })
    }
}

/// A machine with a directory for temporary files of its own.
pub(crate) struct Scratch {
    dir: TempDir,
    pub(crate) machine: Machine,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine { scratch: dir.path().to_owned(), ..Machine::from_env() };
        Self { dir, machine }
    }

    pub(crate) fn left_over(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().path()).collect()
    }

    /// Syncs, and checks what holds of every sync: it ends in time, leaves nothing behind, and
    /// its report shows neither a secret nor a path of this machine.
    pub(crate) async fn sync(&self, config: &SyncConfig, recorder: &Recorder) -> SyncReport {
        let running = sync_on(&self.machine, config, recorder);
        let report = tokio::time::timeout(DEADLINE, running).await.expect("a sync ends");
        assert_eq!(self.left_over(), Vec::<PathBuf>::new(), "left by {report:?}");
        let text = serde_json::to_string(&report).unwrap();
        let local = config.url.strip_prefix("file://").unwrap_or("s3cret");
        for forbidden in ["s3cret", local, self.dir.path().to_str().unwrap()] {
            assert!(!text.contains(forbidden), "{forbidden} is in {text}");
        }
        report
    }
}

/// A configuration for a repository and a branch, with nothing else set.
pub(crate) fn config(url: &str, branch: &str) -> SyncConfig {
    serde_json::from_value(serde_json::json!({
        "repoId": "etl", "branch": branch, "url": url, "allowInsecureUrls": true,
        "target": {"url": "http://127.0.0.1:1"},
    }))
    .unwrap()
}

/// A directory with the keys of a Secret.
pub(crate) fn secret(keys: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (key, value) in keys {
        std::fs::write(dir.path().join(key), value).unwrap();
    }
    dir
}
