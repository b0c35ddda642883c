//! The life of a branch: first commit, more, rewritten, gone, back.

use stowage_sync::{Machine, Outcome};

use crate::support::{Recorder, Repository, Scratch, config};
use crate::{file_config, file_url};

#[tokio::test]
async fn a_branch_becomes_a_set_and_follows_its_commits() {
    let (repository, recorder, scratch) = (Repository::new(), Recorder::default(), Scratch::new());
    let first = repository.commit(&[
        ("b/my-runtime.json", "{ \"n\": 1.50 }"),
        ("a-runtime.yaml", "name: etl\n"),
        ("README.md", "# no config\n"),
    ]);
    let config = file_config(&repository);
    let report = scratch.sync(&config, &recorder).await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Published, "Published"));
    assert_eq!((report.revision.as_ref(), report.files), (Some(&first), 2));
    assert_eq!(report.etag.as_deref(), Some("\"1\""));
    assert_eq!(
        recorder.last(),
        [r#"a-runtime.yaml={"name":"etl"}"#, r#"b/my-runtime.json={"n":1.50}"#]
    );

    let second = repository.commit(&[("README.md", "# still none\n")]);
    let report = scratch.sync(&config, &recorder).await;
    assert_eq!((report.outcome, report.revision), (Outcome::Unchanged, Some(second)));

    let third = repository.commit(&[("a-runtime.yaml", "name: etl2\n")]);
    let report = scratch.sync(&config, &recorder).await;
    assert_eq!((report.outcome, report.revision), (Outcome::Published, Some(third)));
    assert_eq!(recorder.last()[0], r#"a-runtime.yaml={"name":"etl2"}"#);
}

#[tokio::test]
async fn a_rewritten_branch_is_followed() {
    let (repository, recorder, scratch) =
        (Repository::with_config(), Recorder::default(), Scratch::new());
    let config = file_config(&repository);
    scratch.sync(&config, &recorder).await;
    repository.git(["checkout", "--quiet", "--orphan", "other"]);
    repository.commit(&[("runtime.yaml", "name: rewritten\n")]);
    repository.git(["branch", "--force", "main", "other"]);
    let report = scratch.sync(&config, &recorder).await;
    assert_eq!(report.outcome, Outcome::Published, "{report:?}");
    assert_eq!(recorder.last(), [r#"runtime.yaml={"name":"rewritten"}"#]);
}

#[tokio::test]
async fn a_branch_may_go_and_come_back() {
    let (repository, recorder, scratch) =
        (Repository::with_config(), Recorder::default(), Scratch::new());
    repository.git(["branch", "feature/x"]);
    let config = config(&file_url(repository.path()), "feature/x");
    assert_eq!(scratch.sync(&config, &recorder).await.outcome, Outcome::Published);

    repository.git(["branch", "--delete", "--force", "feature/x"]);
    let report = scratch.sync(&config, &recorder).await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Failed, "BranchNotFound"));
    assert!(report.message.contains("feature/x"), "{report:?}");
    assert_eq!(recorder.count(), 1, "the old set stays");

    repository.git(["branch", "feature/x"]);
    assert_eq!(scratch.sync(&config, &recorder).await.outcome, Outcome::Unchanged);
}

#[tokio::test]
async fn a_repository_that_does_not_exist_is_named() {
    let recorder = Recorder::default();
    let report = Scratch::new().sync(&config("file:///nowhere/etl.git", "main"), &recorder).await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Failed, "RepositoryNotFound"));
    assert_eq!(recorder.count(), 0);
}

#[tokio::test]
async fn an_empty_repository_has_no_branch() {
    let (repository, recorder) = (Repository::new(), Recorder::default());
    let report = Scratch::new().sync(&file_config(&repository), &recorder).await;
    assert_eq!(report.reason, "BranchNotFound", "{report:?}");
}

#[tokio::test]
async fn git_that_is_not_installed_is_named() {
    let (repository, recorder) = (Repository::with_config(), Recorder::default());
    let mut scratch = Scratch::new();
    for search_path in ["", ".", "/nowhere:relative"] {
        scratch.machine = Machine { search_path: search_path.into(), ..scratch.machine };
        let report = scratch.sync(&file_config(&repository), &recorder).await;
        assert_eq!(report.reason, "GitMissing", "{report:?}");
        assert!(report.message.contains("install"), "{report:?}");
    }
}

#[tokio::test]
async fn a_directory_for_temporary_files_that_cannot_be_used_is_named() {
    let (repository, recorder) = (Repository::with_config(), Recorder::default());
    let machine = Machine { scratch: "/nowhere".into(), ..Machine::from_env() };
    let report = stowage_sync::sync_on(&machine, &file_config(&repository), &recorder).await;
    assert_eq!(report.reason, "FetchFailed", "{report:?}");
    assert!(report.message.contains("temporary files"), "{report:?}");
    assert!(!report.message.contains("nowhere"), "{report:?}");
}

#[tokio::test]
async fn a_publisher_that_fails_is_quoted() {
    struct Down;
    #[async_trait::async_trait]
    impl stowage_sync::Publisher for Down {
        async fn publish(
            &self,
            _: &stowage_sync::ConfigSet,
        ) -> Result<stowage_sync::Published, stowage_sync::PublishError> {
            Err(stowage_sync::PublishError::Refused("the volume is full".to_owned()))
        }
    }
    let repository = Repository::with_config();
    let report =
        stowage_sync::sync_on(&Scratch::new().machine, &file_config(&repository), &Down).await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Failed, "PublishFailed"));
    assert!(report.message.contains("the volume is full"), "{report:?}");
    assert_eq!(report.files, 1);
}

#[tokio::test]
async fn a_publisher_that_hangs_is_left_in_time_and_named() {
    struct Hangs;
    #[async_trait::async_trait]
    impl stowage_sync::Publisher for Hangs {
        async fn publish(
            &self,
            _: &stowage_sync::ConfigSet,
        ) -> Result<stowage_sync::Published, stowage_sync::PublishError> {
            std::future::pending().await
        }
    }
    let repository = Repository::with_config();
    let mut config = file_config(&repository);
    config.timeout = "2s".parse().unwrap();
    let report = stowage_sync::sync_on(&Scratch::new().machine, &config, &Hangs).await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Unknown, "TimedOut"));
    assert!(report.message.starts_with("publishing the set"), "{report:?}");
    assert!(report.revision.is_some() && report.duration_ms >= 2_000, "{report:?}");
}

/// Another sync publishes while the first fetch runs: here a newer commit arrives meanwhile.
struct OvertakenOnce {
    repository: Repository,
    prepared: std::sync::atomic::AtomicU32,
    recorder: Recorder,
}

#[async_trait::async_trait]
impl stowage_sync::Publisher for OvertakenOnce {
    async fn prepare(&self, _: &str, _: &str) -> Result<(), stowage_sync::PublishError> {
        self.prepared.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    }

    async fn publish(
        &self,
        set: &stowage_sync::ConfigSet,
    ) -> Result<stowage_sync::Published, stowage_sync::PublishError> {
        if self.prepared.load(std::sync::atomic::Ordering::SeqCst) == 1 {
            self.repository.commit(&[("runtime.yaml", "name: newer\n")]);
            return Err(stowage_sync::PublishError::Overtaken);
        }
        self.recorder.publish(set).await
    }
}

#[tokio::test]
async fn a_sync_that_was_overtaken_looks_at_the_branch_anew() {
    let publisher = OvertakenOnce {
        repository: Repository::with_config(),
        prepared: Default::default(),
        recorder: Recorder::default(),
    };
    let config = file_config(&publisher.repository);
    let scratch = Scratch::new();
    let report = stowage_sync::sync_on(&scratch.machine, &config, &publisher).await;
    assert_eq!((report.outcome, report.files), (Outcome::Published, 1), "{report:?}");
    assert_eq!(publisher.prepared.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert_eq!(publisher.recorder.last(), [r#"runtime.yaml={"name":"newer"}"#]);
    assert_eq!(publisher.recorder.count(), 1, "what was fetched first is not published");
}
