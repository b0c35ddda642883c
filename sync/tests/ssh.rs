//! Fetching over SSH from a real sshd on a loopback port.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

mod support;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stowage_config::{GitAuth, SyncConfig};
use stowage_sync::{Machine, Outcome};
use support::{DEADLINE, Recorder, Repository, Scratch, config, secret};
use tempfile::TempDir;
use tokio::net::TcpListener;

const SSHD: &str = "/usr/sbin/sshd";

/// Answers each connection with an sshd of its own, as inetd would: so the port is bound here,
/// and nothing outlives the test.
struct SshServer {
    dir: TempDir,
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SshServer {
    async fn start() -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "{SSHD} is missing: install it with `apt-get install -y openssh-server`"
        );
        // The distribution's sshd wants this directory where it runs as root; it makes it itself
        // only where an init system starts it.
        if !Path::new("/run/sshd").exists() {
            let _ = std::fs::create_dir_all("/run/sshd");
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["host", "client", "stranger", "other_host"] {
            keygen(&dir.path().join(name));
        }
        let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::copy(file("client.pub"), file("authorized_keys")).unwrap();
        let settings = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
            file("host"),
            file("authorized_keys"),
        );
        std::fs::write(file("sshd_config"), settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(serve(listener, dir.path().join("sshd_config")));
        Self { dir, port, task }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    fn known_hosts(&self, host_key: &str) -> String {
        format!("[127.0.0.1]:{} {}", self.port, self.read(host_key))
    }

    fn config(&self, repository: &Path) -> SyncConfig {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let (user, path) = (user.trim(), repository.to_str().unwrap());
        config(&format!("ssh://{user}@127.0.0.1:{}{path}", self.port), "main")
    }
}

async fn serve(listener: TcpListener, settings: PathBuf) {
    let mut servers = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        let socket = OwnedFd::from(stream);
        let mut server = tokio::process::Command::new(SSHD)
            .args(["-i", "-e", "-f"])
            .arg(&settings)
            .stdin(Stdio::from(socket.try_clone().unwrap()))
            .stdout(Stdio::from(socket))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        servers.spawn(async move { server.wait().await });
    }
}

fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .expect("ssh-keygen is missing: install it with `apt-get install -y openssh-client`");
    assert!(made.success());
}

#[tokio::test]
async fn a_branch_arrives_over_ssh() {
    let (server, repository, recorder) =
        (SshServer::start().await, Repository::with_config(), Recorder::default());
    let commit = repository.git(["rev-parse", "HEAD"]).trim().to_owned();
    let keys = secret(&[
        ("ssh-privatekey", &server.read("client")),
        ("known_hosts", &server.known_hosts("host.pub")),
    ]);
    let mut config = server.config(repository.path());
    // What a cluster allows suffices.
    config.allow_insecure_urls = false;
    config.auth = Some(GitAuth::SecretDir(keys.path().to_owned()));
    let report = Scratch::new().sync(&config, &recorder).await;
    assert_eq!(report.outcome, Outcome::Published, "{report:?}");
    assert_eq!(report.revision, Some(commit));
    assert_eq!(recorder.last(), [r#"runtime.yaml={"name":"etl"}"#]);
}

/// git hands the ssh command to a shell, and ssh splits its options into words.
#[tokio::test]
async fn the_directory_for_temporary_files_may_have_any_name() {
    let (server, repository, recorder) =
        (SshServer::start().await, Repository::with_config(), Recorder::default());
    let keys = secret(&[
        ("ssh-privatekey", &server.read("client")),
        ("known_hosts", &server.known_hosts("host.pub")),
    ]);
    let mut config = server.config(repository.path());
    config.auth = Some(GitAuth::SecretDir(keys.path().to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let scratch = dir.path().join("it's $HOME; a `dir`");
    std::fs::create_dir(&scratch).unwrap();
    let machine = Machine { scratch, ..Machine::from_env() };
    let report = stowage_sync::sync_on(&machine, &config, &recorder).await;
    assert_eq!(report.outcome, Outcome::Published, "{report:?}");
}

#[tokio::test]
async fn wrong_keys_and_hosts_are_told_apart() {
    let (server, repository, recorder) =
        (SshServer::start().await, Repository::with_config(), Recorder::default());
    let (client, stranger) = (server.read("client"), server.read("stranger"));
    let right = server.known_hosts("host.pub");
    let wrong = server.known_hosts("other_host.pub");
    let elsewhere = format!("git.example {}", server.read("host.pub"));
    let broken = "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret\n-----END OPENSSH PRIVATE KEY-----";
    let table = [
        (&stranger, &right, "AuthenticationFailed", "deploy key"),
        (&client, &wrong, "HostKeyRejected", "known_hosts"),
        (&client, &elsewhere, "HostKeyRejected", "known_hosts"),
        (&broken.to_owned(), &right, "CredentialsUnusable", "ssh-privatekey"),
    ];
    for (key, hosts, reason, advice) in table {
        let keys = secret(&[("ssh-privatekey", key), ("known_hosts", hosts)]);
        let mut config = server.config(repository.path());
        config.auth = Some(GitAuth::SecretDir(keys.path().to_owned()));
        let report = Scratch::new().sync(&config, &recorder).await;
        assert_eq!(
            (report.outcome, report.reason.as_str()),
            (Outcome::Failed, reason),
            "{report:?}"
        );
        assert!(report.message.contains(advice), "{report:?}");
        assert!(!serde_json::to_string(&report).unwrap().contains("OPENSSH"), "{report:?}");
    }
    assert_eq!(recorder.count(), 0);
}

#[tokio::test]
async fn a_repository_that_does_not_exist_is_named_over_ssh() {
    let (server, recorder) = (SshServer::start().await, Recorder::default());
    let keys = secret(&[
        ("ssh-privatekey", &server.read("client")),
        ("known_hosts", &server.known_hosts("host.pub")),
    ]);
    let mut config = server.config(Path::new("/nowhere/etl.git"));
    config.auth = Some(GitAuth::SecretDir(keys.path().to_owned()));
    let report = Scratch::new().sync(&config, &recorder).await;
    assert_eq!(report.reason, "RepositoryNotFound", "{report:?}");
}

#[tokio::test]
async fn an_ssh_server_that_hangs_is_left_in_time() {
    let (repository, recorder) = (Repository::with_config(), Recorder::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = SshServer::start().await;
    let keys = secret(&[
        ("ssh-privatekey", &server.read("client")),
        ("known_hosts", &server.known_hosts("host.pub")),
    ]);
    let port = listener.local_addr().unwrap().port();
    let path = repository.path().to_str().unwrap();
    let mut config = config(&format!("ssh://git@127.0.0.1:{port}{path}"), "main");
    config.auth = Some(GitAuth::SecretDir(keys.path().to_owned()));
    config.timeout = "1s".parse().unwrap();
    let started = std::time::Instant::now();
    let report = Scratch::new().sync(&config, &recorder).await;
    assert_eq!(report.reason, "TimedOut", "{report:?}");
    assert!(started.elapsed() < DEADLINE / 2, "took {:?}", started.elapsed());
}
