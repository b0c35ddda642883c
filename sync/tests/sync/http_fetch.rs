//! Fetching over HTTP: credentials, refusals, servers that hang, and where secrets may be seen.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use stowage_config::{ByteSize, GitAuth, SyncConfig};
use stowage_sync::{Outcome, sync_on};
use tempfile::TempDir;

use crate::git_http::GitHttp;
use crate::support::{DEADLINE, Recorder, Repository, Scratch, config, secret};

/// `me` with the password `s3cret-password`.
fn basic() -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("me:s3cret-password"))
}

/// Keys and values of a Secret; none stands for no Secret.
type Keys<'a> = &'a [(&'a str, &'a str)];

fn with_secret(url: &str, keys: Keys<'_>) -> (SyncConfig, TempDir) {
    let dir = secret(keys);
    let mut config = config(url, "main");
    config.auth = (!keys.is_empty()).then(|| GitAuth::SecretDir(dir.path().to_owned()));
    (config, dir)
}

#[tokio::test]
async fn a_branch_arrives_over_http_without_and_with_credentials() {
    let repository = Repository::with_config();
    let name = repository.path().file_name().unwrap().to_str().unwrap().to_owned();
    let root = repository.path().parent().unwrap();
    let bearer = "Bearer s3cret.token".to_owned();
    let user = [("username", "me\n"), ("password", "s3cret-password\n")];
    let token = [("bearerToken", "s3cret.token\n")];
    let table: [(Option<String>, Keys<'_>); 3] =
        [(None, &[]), (Some(basic()), &user), (Some(bearer), &token)];
    for (authorization, keys) in table {
        let server = GitHttp::start(root, authorization.as_deref()).await;
        let (config, _dir) = with_secret(&server.url(&format!("/git/{name}")), keys);
        let recorder = Recorder::default();
        let report = Scratch::new().sync(&config, &recorder).await;
        assert_eq!(report.outcome, Outcome::Published, "{report:?}");
        assert_eq!(recorder.last(), [r#"runtime.yaml={"name":"etl"}"#]);
    }
}

#[tokio::test]
async fn what_the_server_refuses_is_told_apart() {
    let repository = Repository::with_config();
    let name = repository.path().file_name().unwrap().to_str().unwrap().to_owned();
    let root = repository.path().parent().unwrap();
    let open = GitHttp::start(root, None).await;
    let closed = GitHttp::start(root, Some(&basic())).await;
    let wrong_password = [("username", "me"), ("password", "s3cret-but-wrong")];
    let wrong_token = [("bearerToken", "s3cret-but-wrong")];
    let git = format!("/git/{name}");
    let table: [(String, Keys<'_>, &str, &str); 9] = [
        (closed.url(&git), &wrong_password, "AuthenticationFailed", "username and password"),
        (closed.url(&git), &wrong_token, "AuthenticationFailed", "bearerToken"),
        (closed.url(&git), &[], "AuthenticationFailed", "username and password"),
        (open.url("/forbidden/a"), &[], "AuthenticationFailed", "right to read"),
        (open.url("/git/none"), &[], "RepositoryNotFound", "check the URL"),
        (open.url(&format!("/moved/{name}")), &[], "UrlRefused", "redirects"),
        (open.url("/broken/a"), &[], "Unreachable", "error: 500"),
        (open.url("/dumb/a"), &[], "FetchFailed", "smart protocol"),
        ("http://127.0.0.1:1/a".to_owned(), &[], "Unreachable", "could not be reached"),
    ];
    for (url, keys, reason, advice) in table {
        let (config, _dir) = with_secret(&url, keys);
        let recorder = Recorder::default();
        let report = Scratch::new().sync(&config, &recorder).await;
        assert_eq!(
            (report.outcome, report.reason.as_str()),
            (Outcome::Failed, reason),
            "{url} {report:?}"
        );
        assert!(report.message.contains(advice), "{url} {report:?}");
        assert_eq!(recorder.count(), 0);
    }
}

#[tokio::test]
async fn a_branch_that_vanished_is_told_from_a_repository_that_did() {
    let repository = Repository::with_config();
    let name = repository.path().file_name().unwrap().to_str().unwrap().to_owned();
    let server = GitHttp::start(repository.path().parent().unwrap(), None).await;
    let config = config(&server.url(&format!("/git/{name}")), "gone");
    let report = Scratch::new().sync(&config, &Recorder::default()).await;
    assert_eq!(report.reason, "BranchNotFound", "{report:?}");
}

#[tokio::test]
async fn plain_http_needs_to_be_allowed_and_credentials_need_their_keys() {
    let recorder = Recorder::default();
    let (mut config, _dir) = with_secret("http://127.0.0.1:1/a", &[("token", "s3cret")]);
    let report = Scratch::new().sync(&config, &recorder).await;
    assert_eq!(report.reason, "CredentialsUnusable", "{report:?}");
    assert!(report.message.contains("username and password, or bearerToken"), "{report:?}");
    config.allow_insecure_urls = false;
    let report = Scratch::new().sync(&config, &recorder).await;
    assert_eq!(report.reason, "UrlRefused", "{report:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_left_in_time() {
    let server = GitHttp::start(Path::new("/nowhere"), None).await;
    let mut config = config(&server.url("/hang/a"), "main");
    config.timeout = "1s".parse().unwrap();
    let started = Instant::now();
    let report = Scratch::new().sync(&config, &Recorder::default()).await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Failed, "TimedOut"));
    assert!(report.message.contains("fetching") && report.message.contains("1s"), "{report:?}");
    assert!(started.elapsed() < DEADLINE / 2, "took {:?}", started.elapsed());
    no_process_mentions(&config.url).await;
}

#[tokio::test]
async fn a_sync_that_is_dropped_leaves_no_process_and_no_file() {
    let server = GitHttp::start(Path::new("/nowhere"), None).await;
    let scratch = Scratch::new();
    let config = config(&server.url("/hang/dropped"), "main");
    let recorder = Recorder::default();
    tokio::select! {
        report = sync_on(&scratch.machine, &config, &recorder) => panic!("it ended: {report:?}"),
        () = server.asked() => {}
    }
    assert_eq!(scratch.left_over(), Vec::<PathBuf>::new());
    no_process_mentions(&config.url).await;
}

#[tokio::test]
async fn a_repository_over_the_limit_is_cut_off() {
    let repository = Repository::with_config();
    let noise: Vec<u8> = (0..3_000_000_u64)
        .flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17).to_le_bytes())
        .collect();
    std::fs::write(repository.path().join("noise.bin"), noise).unwrap();
    repository.commit(&[]);
    let name = repository.path().file_name().unwrap().to_str().unwrap().to_owned();
    let server = GitHttp::start(repository.path().parent().unwrap(), None).await;
    let mut config = config(&server.url(&format!("/git/{name}")), "main");
    config.limits.max_repository_bytes = ByteSize::from_bytes(4 << 20);
    let recorder = Recorder::default();
    let report = Scratch::new().sync(&config, &recorder).await;
    assert_eq!((report.outcome, report.reason.as_str()), (Outcome::Failed, "TooLarge"));
    assert!(report.message.contains("4194304 bytes"), "{report:?}");
    assert_eq!(recorder.count(), 0);
}

#[tokio::test]
async fn a_server_that_never_stops_sending_is_cut_off() {
    let repository = Repository::with_config();
    let name = repository.path().file_name().unwrap().to_str().unwrap().to_owned();
    let server = GitHttp::start(repository.path().parent().unwrap(), None).await;
    let mut config = config(&server.url(&format!("/endless/{name}")), "main");
    config.limits.max_repository_bytes = ByteSize::from_bytes(8 << 20);
    let report = Scratch::new().sync(&config, &Recorder::default()).await;
    assert_eq!(report.reason, "TooLarge", "{report:?}");
    no_process_mentions(&config.url).await;
}

#[tokio::test]
async fn a_pack_that_claims_much_memory_does_not_get_it() {
    let repository = Repository::with_config();
    let name = repository.path().file_name().unwrap().to_str().unwrap().to_owned();
    let server = GitHttp::start(repository.path().parent().unwrap(), None).await;
    let config = config(&server.url(&format!("/greedy/{name}")), "main");
    let report = Scratch::new().sync(&config, &Recorder::default()).await;
    assert_eq!(report.reason, "TooLarge", "{report:?}");
    assert!(report.message.contains("more memory"), "{report:?}");
}

#[tokio::test]
async fn while_a_fetch_runs_its_secrets_are_in_no_argument_and_no_environment() {
    let server = GitHttp::start(Path::new("/nowhere"), Some(&basic())).await;
    let keys = [("username", "me"), ("password", "s3cret-password")];
    let (config, _dir) = with_secret(&server.url("/hang/listed"), &keys);
    let scratch = Scratch::new();
    let recorder = Recorder::default();
    let watch = async {
        // The server got the right header: so git has the secret at this moment.
        server.asked().await;
        let processes = processes();
        let fetching = processes.iter().filter(|p| p.contains(&config.url)).count();
        assert!(fetching >= 1, "git is not seen to run");
        let encoded = basic().split_off("Basic ".len());
        for secret in ["s3cret-password", &encoded] {
            let showing = processes.iter().find(|p| p.contains(secret));
            assert_eq!(showing, None, "a process shows {secret}");
        }
        let workspace = scratch.left_over().pop().expect("a directory while it runs");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&workspace), 0o700);
        assert_eq!(mode(&workspace.join(".gitconfig")), 0o600);
    };
    let watched = tokio::time::timeout(DEADLINE, async {
        tokio::select! {
            report = sync_on(&scratch.machine, &config, &recorder) => panic!("ended: {report:?}"),
            () = watch => {}
        }
    });
    watched.await.expect("git asks the server");
}

#[tokio::test]
async fn secrets_are_in_no_log() {
    let server = GitHttp::start(Path::new("/nowhere"), None).await;
    let keys = [("username", "me"), ("password", "s3cret-password")];
    let (config, _dir) = with_secret(&server.url("/git/none"), &keys);
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::trace!("the log is kept");
    let report = Scratch::new().sync(&config, &Recorder::default()).await;
    assert_eq!(report.outcome, Outcome::Failed, "{report:?}");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the log is kept"));
    assert!(!log.contains("s3cret"), "{log}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Arguments and environment of every process that can be seen.
fn processes() -> Vec<String> {
    let read = |path: PathBuf| std::fs::read(path).unwrap_or_default();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter(|e| e.file_name().to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())))
        .map(|e| [read(e.path().join("cmdline")), read(e.path().join("environ"))].concat())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

async fn no_process_mentions(text: &str) {
    let gone = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while processes().iter().any(|p| p.contains(text)) {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("git is gone");
}
