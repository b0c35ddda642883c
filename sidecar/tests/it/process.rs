//! The real binary as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

use super::harness::{ADMIN, eventually};

/// Where a process finds its configuration, tokens and data.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    /// A directory with a configuration for free ports and one token with every right.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("tokens")).expect("a directory");
        std::fs::write(dir.path().join("tokens/admin"), ADMIN).expect("a file");
        let place = Self { dir };
        place.configure("127.0.0.1:0", "127.0.0.1:0", "");
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration with these addresses and further lines.
    pub(crate) fn configure(&self, listen: &str, management: &str, extra: &str) {
        self.write_configuration(listen, management, "", extra);
    }

    /// Writes the configuration with further members of `auth`.
    pub(crate) fn configure_auth(&self, auth: &str) {
        self.write_configuration("127.0.0.1:0", "127.0.0.1:0", &format!(", {auth}"), "");
    }

    fn write_configuration(&self, listen: &str, management: &str, auth: &str, extra: &str) {
        let text = format!(
            "store: test\nlisten: {listen}\nmanagementListen: {management}\n\
             backend: {{volume: {{path: {}}}}}\nauth: {{tokensDir: {}{auth}}}\n{extra}\n",
            self.path("data").display(),
            self.path("tokens").display(),
        );
        std::fs::write(self.path("config.yaml"), text).expect("a file");
    }

    /// `serve`, with every stream piped.
    pub(crate) fn serve(&self) -> Command {
        let mut command = sidecar(&["serve", "--config"]);
        command.arg(self.path("config.yaml")).arg("--ready-file").arg(self.path("ready.json"));
        command
    }

    /// Runs `serve` where it is expected to refuse.
    pub(crate) async fn serve_refused(&self) -> Output {
        let output = self.serve().output();
        tokio::time::timeout(super::raw::PATIENCE, output)
            .await
            .expect("it ends at once")
            .expect("it starts")
    }

    /// Starts `serve` and waits until its ports are open.
    pub(crate) async fn start(&self) -> Process {
        self.start_by(self.serve()).await
    }

    /// The same, with further arguments.
    pub(crate) async fn start_with(&self, arguments: &[&str]) -> Process {
        let mut serve = self.serve();
        serve.args(arguments);
        self.start_by(serve).await
    }

    /// The same without a line for each request.
    pub(crate) async fn start_quietly(&self) -> Process {
        let mut serve = self.serve();
        serve.env("RUST_LOG", "warn");
        self.start_by(serve).await
    }

    /// The same, with a variable of its environment.
    pub(crate) async fn start_by_env(&self, name: &str, value: &Path) -> Process {
        let mut serve = self.serve();
        serve.env(name, value);
        self.start_by(serve).await
    }

    /// The same, where the process may have only so many files and sockets open.
    pub(crate) async fn start_with_descriptors(&self, most: u32) -> Process {
        let serve = self.serve();
        let serve = serve.as_std();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")])
            .arg(serve.get_program())
            .args(serve.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        self.start_by(shell).await
    }

    pub(crate) async fn start_by(&self, mut serve: Command) -> Process {
        let ready = self.path("ready.json");
        let _ = std::fs::remove_file(&ready);
        let mut child = serve.spawn().expect("it starts");
        let (address, management) = eventually("the ready file appears", async || {
            if let Some(status) = child.try_wait().expect("a child") {
                let mut text = String::new();
                if let Some(mut stderr) = child.stderr.take() {
                    let _ = stderr.read_to_string(&mut text).await;
                }
                panic!("it ended with {status}: {text}");
            }
            addresses(&ready)
        })
        .await;
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = child.stderr.take().expect("a pipe");
        let drained = tokio::spawn(drain(stderr, Arc::clone(&log)));
        Process { child, address, management, log, drained }
    }
}

/// A server whose log nobody reads stands still once the pipe is full.
async fn drain(mut stderr: ChildStderr, log: Arc<Mutex<Vec<u8>>>) {
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = stderr.read(&mut part).await {
        log.lock().expect("no panic while it is held").extend_from_slice(&part[..length]);
    }
}

fn addresses(ready: &Path) -> Option<(SocketAddr, SocketAddr)> {
    let table: serde_json::Value = serde_json::from_slice(&std::fs::read(ready).ok()?).ok()?;
    let address = |name: &str| table[name].as_str()?.strip_prefix("http://")?.parse().ok();
    Some((address("url")?, address("management")?))
}

/// The binary under test.
pub(crate) fn sidecar(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stowage-sidecar"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A server that is ready.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) management: SocketAddr,
    log: Arc<Mutex<Vec<u8>>>,
    drained: JoinHandle<()>,
}

impl Process {
    /// SIGKILL, and until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it is there to be killed");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().expect("no panic while it is held")).into_owned()
    }

    /// SIGTERM, and how it ends with what it wrote.
    pub(crate) async fn terminate(mut self) -> (ExitStatus, String) {
        let pid = self.pid();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        let status = tokio::time::timeout(super::raw::PATIENCE, self.child.wait())
            .await
            .expect("it ends within its grace")
            .expect("its status");
        (&mut self.drained).await.expect("the log is read to its end");
        (status, self.log())
    }
}
