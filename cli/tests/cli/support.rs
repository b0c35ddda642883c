//! A `stowage up` as a test sees it: manifests in a directory of their own, the real process,
//! its output, and waiting for conditions with a deadline.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

/// Long enough for a machine under load; a test that passes never waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const ADMIN: &str = "admin-0123456789abcdef";
pub(crate) const OTHER: &str = "other-0123456789abcdef";

/// Polls until there is a value.
pub(crate) async fn eventually<T, F, R>(what: &str, mut look: F) -> T
where
    F: FnMut() -> R,
    R: Future<Output = Option<T>>,
{
    let poll = async {
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(value) = look().await {
                return value;
            }
        }
    };
    match timeout(DEADLINE, poll).await {
        Ok(value) => value,
        Err(_) => panic!("not within {DEADLINE:?}: {what}"),
    }
}

/// A Store as YAML; `more` is further lines of its spec, indented by two.
pub(crate) fn store(name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: stowage.dev/v1alpha1\nkind: Store\nmetadata: {{name: {name}}}\nspec:\n  \
         backend: {{volume: {{size: 1Gi}}}}\n{more}"
    )
}

/// A Secret with one token of every right, and the Store `name` that takes it.
pub(crate) fn store_with_token(name: &str, token: &str) -> String {
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}-tokens}}\nstringData:\n  \
         admin: {token}\n"
    );
    secret + &store(name, &format!("  auth: {{tokensSecretRef: {{name: {name}-tokens}}}}\n"))
}

/// A directory of manifests and a data directory, both gone at the end.
pub(crate) struct Place {
    root: TempDir,
}

impl Place {
    /// With the given manifests as files.
    pub(crate) fn new(manifests: &[(&str, &str)]) -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.manifests()).unwrap();
        for (name, text) in manifests {
            place.write(name, text);
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.path("manifests")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Replaces a manifest in one step, as a careful editor does.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let temporary = self.path("writing");
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(temporary, self.manifests().join(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.manifests().join(name)).unwrap();
    }

    /// The arguments of `up` on this place.
    pub(crate) fn up_arguments(&self) -> Vec<String> {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        vec![
            "up".into(),
            "-f".into(),
            path(self.manifests()),
            "--data".into(),
            path(self.data()),
            "--ready-file".into(),
            path(self.path("ready.json")),
        ]
    }

    /// Starts `up`; every Store in `stores` takes free ports.
    pub(crate) fn up(&self, stores: &[&str], more: &[&str]) -> Up {
        let mut arguments = self.up_arguments();
        for store in stores {
            arguments.extend(["--listen".into(), format!("{store}=127.0.0.1:0")]);
        }
        arguments.extend(more.iter().map(|&a| a.to_owned()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_stowage"));
        command.args(arguments);
        self.start(command)
    }

    /// Starts a command that becomes `up` on this place.
    pub(crate) fn start(&self, command: Command) -> Up {
        // What a killed process left would be taken for this one's.
        let _ = std::fs::remove_file(self.path("ready.json"));
        Up::start(command, self.path("ready.json"))
    }

    /// Starts `up` and waits until it is ready.
    pub(crate) async fn ready(&self, stores: &[&str]) -> Up {
        let mut up = self.up(stores, &[]);
        up.wait_ready().await;
        up
    }
}

/// A running `stowage`; killed when dropped.
pub(crate) struct Up {
    child: Child,
    ready_file: PathBuf,
    output: Output,
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<String>>);

impl Output {
    fn collect(&self, from: impl AsyncRead + Unpin + Send + 'static) {
        let text = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut text = text.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Up {
    fn start(mut command: Command, ready_file: PathBuf) -> Self {
        let mut child = command
            .env_remove("RUST_LOG")
            .env("TMPDIR", ready_file.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = Output::default();
        output.collect(child.stdout.take().unwrap());
        output.collect(child.stderr.take().unwrap());
        Self { child, ready_file, output }
    }

    /// Everything printed so far.
    pub(crate) fn output(&self) -> String {
        self.output.text()
    }

    /// Waits for the ready file, and returns what it says.
    pub(crate) async fn wait_ready(&mut self) -> serde_json::Value {
        let file = self.ready_file.clone();
        let (child, output) = (&mut self.child, &self.output);
        eventually("the ready file", || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("ended with {status} instead of getting ready:\n{}", output.text());
            }
            let read = std::fs::read(&file).ok();
            async move { Some(serde_json::from_slice(&read?).expect("the ready file is JSON")) }
        })
        .await
    }

    /// What the ready file says at present.
    pub(crate) fn ready_table(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&std::fs::read(&self.ready_file).ok()?).ok()
    }

    /// A Store's URL.
    pub(crate) fn url(&self, store: &str) -> String {
        let table = self.ready_table().expect("ready");
        let url = table["stores"][store]["url"].as_str();
        url.unwrap_or_else(|| panic!("no store {store} in {table}")).to_owned()
    }

    /// Waits until the ready file lists exactly these Stores.
    pub(crate) async fn stores_are(&self, expected: &[&str]) {
        eventually(&format!("the stores {expected:?}"), || {
            let table = self.ready_table();
            async move {
                let table = table?;
                let names: Vec<_> = table["stores"].as_object()?.keys().cloned().collect();
                (names == expected).then_some(())
            }
        })
        .await;
    }

    /// Waits until the output holds a text.
    pub(crate) async fn wait_for(&self, text: &str) {
        let said = timeout(DEADLINE, async {
            let mut ticks = interval(Duration::from_millis(20));
            while !self.output().contains(text) {
                ticks.tick().await;
            }
        });
        if said.await.is_err() {
            panic!("no {text:?} within {DEADLINE:?} in:\n{}", self.output());
        }
    }

    /// Waits until the output holds a text more often than `before` did.
    pub(crate) async fn wait_for_another(&self, text: &str, before: &str) {
        let count = before.matches(text).count();
        eventually(&format!("{text:?} once more"), || {
            let more = self.output().matches(text).count() > count;
            async move { more.then_some(()) }
        })
        .await;
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("still running")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        match timeout(DEADLINE, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("still running after {DEADLINE:?}:\n{}", self.output()),
        }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// SIGKILL, and waits for the end.
    pub(crate) async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }
}

/// Runs a `stowage` that ends by itself: exit code, standard output, standard error.
pub(crate) async fn run(arguments: &[&str]) -> (i32, String, String) {
    let command = Command::new(env!("CARGO_BIN_EXE_stowage"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match timeout(DEADLINE, command).await {
        Ok(output) => output.unwrap(),
        Err(_) => panic!("stowage {arguments:?} did not end within {DEADLINE:?}"),
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// A client that goes nowhere but to the address.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        .permissions()
        .mode()
        & 0o777
}
