//! The git program: what it may know and do, and how it is run and stopped.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::credentials::Credentials;
use crate::machine::Machine;
use crate::secret::Secret;
use crate::workspace::Workspace;
use stowage_config::{RepositoryUrl, Transport};

/// What is kept of an output that is read as a whole.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;

/// Why git could not be run at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error("{0} is not installed here: install it, or use an image that has it")]
    Missing(&'static str),
    #[error("the directory for temporary files cannot be used ({0}): free or mount one")]
    Scratch(io::ErrorKind),
    #[error("git could not be run ({0})")]
    Run(io::ErrorKind),
    #[error("git gave an answer that is not understood: {0}")]
    Answer(&'static str),
}

/// What git and each program that it starts may allocate: a pack names the size of what is in
/// it before it shows it, and git believes it.
#[cfg(target_os = "linux")]
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// git in a bare repository of its own, with nothing of its user's or machine's configuration.
#[derive(Debug)]
pub(crate) struct Git {
    program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    workspace: Workspace,
    secrets: Vec<Secret>,
}

/// What git answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Set for every fetch. No redirects: credentials and the protocol were checked for this URL
/// only. One pack instead of loose objects, and no fsync: the repository lives for seconds.
const CONFIG: &str = "\
[core]
\taskPass =
\tbigFileThreshold = 32m
\tdeltaBaseCacheLimit = 32m
\tfsmonitor = false
\tfsync = none
\thooksPath = /dev/null
\tmaxTreeDepth = 128
[credential]
\thelper =
[fetch]
\tunpackLimit = 1
[gc]
\tauto = 0
[maintenance]
\tauto = false
[http]
\tfollowRedirects = false
[init]
\tdefaultBranch = none
[pack]
\tthreads = 2
[protocol]
\tversion = 2
[submodule]
\trecurse = false
[transfer]
\tbundleURI = false
\tcredentialsInUrl = die
";

/// A local repository may belong to another user; its URL was allowed in so many words.
const CONFIG_FILE_URL: &str = "[safe]\n\tdirectory = *\n";

impl Git {
    /// Prepares a directory in which git can fetch from `url`.
    ///
    /// Credentials stand in files there, which only this user may read, never in arguments or
    /// the environment.
    ///
    /// # Errors
    /// [`GitError`] where a program is missing or the directory cannot be made.
    pub(crate) fn prepare(
        machine: &Machine,
        url: &RepositoryUrl,
        credentials: &Credentials,
    ) -> Result<Self, GitError> {
        let program = machine.find("git").ok_or(GitError::Missing("git"))?;
        let scratch = |e: io::Error| GitError::Scratch(e.kind());
        let workspace = Workspace::create(&machine.scratch).map_err(scratch)?;
        let config =
            workspace.write_private(".gitconfig", &config(url, credentials)).map_err(scratch)?;
        let mut environment: Vec<(&'static str, OsString)> = vec![
            ("GIT_ALLOW_PROTOCOL", allowed_protocols(url).into()),
            ("GIT_CONFIG_GLOBAL", config.into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_DIR", workspace.path().join("repository.git").into()),
            ("GIT_TERMINAL_PROMPT", "0".into()),
            ("HOME", workspace.path().into()),
            ("LC_ALL", "C".into()),
            ("PATH", machine.search_path.clone()),
        ];
        if let Credentials::Ssh { private_key, known_hosts } = credentials {
            let ssh = machine.find("ssh").ok_or(GitError::Missing("ssh (openssh-client)"))?;
            let key = format!("{}\n", private_key.expose());
            let key = workspace.write_private("key", &key).map_err(scratch)?;
            let hosts = workspace.write_private("known_hosts", known_hosts).map_err(scratch)?;
            environment.push(("GIT_SSH_COMMAND", ssh_command(&ssh, &key, &hosts)));
            environment.push(("GIT_SSH_VARIANT", "ssh".into()));
        }
        Ok(Self { program, environment, workspace, secrets: credentials.secrets() })
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// What no output may hold.
    pub(crate) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Runs git to its end.
    ///
    /// Cancel-safe: dropped, it kills git and all that git started.
    ///
    /// # Errors
    /// [`GitError::Run`] where it cannot be started. A failure of git itself is in the answer.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Answer, GitError> {
        let mut process = self.start(arguments, Stdio::null(), Stdio::piped())?;
        let (stdout, stderr) = tokio::join!(
            read_bounded(process.child.stdout.take()),
            read_bounded(process.child.stderr.take()),
        );
        let status = process.wait().await?;
        Ok(Answer { status, stdout: stdout?, stderr: stderr? })
    }

    /// Starts git with its standard output to be read while it runs.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn start(
        &self,
        arguments: &[&str],
        stdin: Stdio,
        stderr: Stdio,
    ) -> Result<Process, GitError> {
        let child = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.workspace.path())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|e| GitError::Run(e.kind()))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        bound_memory(group);
        Ok(Process { group: Group(group), child })
    }
}

/// Bounds the memory of a program that was just started, and of what it starts from now on:
/// git reads packs in programs of their own. Where the system does not allow it, the container's
/// limit is the only one.
#[cfg(target_os = "linux")]
fn bound_memory(process: Option<Pid>) {
    use rustix::process::{Resource, Rlimit, prlimit};
    let limit = Rlimit { current: Some(MEMORY_BYTES_MAX), maximum: Some(MEMORY_BYTES_MAX) };
    if let Some(Err(error)) = process.map(|pid| prlimit(Some(pid), Resource::Data, limit)) {
        tracing::debug!(%error, "the memory of git cannot be bounded");
    }
}

#[cfg(not(target_os = "linux"))]
fn bound_memory(_: Option<Pid>) {}

/// A running git, killed with everything that it started when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    /// Stands before `child`: fields are dropped in order, and as long as the child was not
    /// waited for, no other process can get the number of its group.
    group: Group,
    pub(crate) child: Child,
}

impl Process {
    /// Waits for the end.
    ///
    /// # Errors
    /// [`GitError::Run`] where the system cannot say how it ended.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, GitError> {
        let status = self.child.wait().await.map_err(|e| GitError::Run(e.kind()))?;
        self.group.0 = None;
        Ok(status)
    }
}

#[derive(Debug)]
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // All that can fail is that it is gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Keeps the beginning and reads the rest away, so that the writer never blocks.
async fn read_bounded(pipe: Option<impl AsyncRead + Unpin>) -> Result<String, GitError> {
    let Some(mut pipe) = pipe else { return Ok(String::new()) };
    let mut kept = Vec::new();
    let failed = |e: io::Error| GitError::Run(e.kind());
    (&mut pipe).take(OUTPUT_BYTES_MAX).read_to_end(&mut kept).await.map_err(failed)?;
    tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await.map_err(failed)?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// The configuration file. An `Authorization` header is scoped to the URL's origin.
fn config(url: &RepositoryUrl, credentials: &Credentials) -> String {
    let mut config = CONFIG.to_owned();
    if url.transport() == Transport::File {
        config += CONFIG_FILE_URL;
    }
    if let Credentials::Authorization(header) = credentials {
        // Neither value can hold a quote, a backslash or a line break: both were checked.
        let (origin, header) = (url.origin(), header.expose());
        config += &format!("[http \"{origin}\"]\n\textraHeader = \"Authorization: {header}\"\n");
    }
    config
}

fn allowed_protocols(url: &RepositoryUrl) -> &'static str {
    match url.transport() {
        Transport::Https | Transport::Ssh => "https:ssh",
        Transport::Http | Transport::File => "https:ssh:http:file",
    }
}

/// git hands this to a shell, so paths are quoted. Only the given key and the given host keys
/// count, and nothing is asked.
fn ssh_command(ssh: &Path, key: &Path, known_hosts: &Path) -> OsString {
    let mut command = quoted(ssh);
    command.push(" -F /dev/null -i ");
    command.push(quoted(key));
    command.push(" -o ");
    let mut hosts = OsString::from("UserKnownHostsFile=\"");
    hosts.push(known_hosts);
    hosts.push("\"");
    command.push(quoted(Path::new(&hosts)));
    for option in [
        "BatchMode=yes",
        "ConnectTimeout=30",
        "GlobalKnownHostsFile=/dev/null",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "PasswordAuthentication=no",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
    ] {
        command.push(" -o ");
        command.push(option);
    }
    command
}

/// A path as one word of a POSIX shell.
fn quoted(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut word = vec![b'\''];
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => word.extend_from_slice(b"'\\''"),
            other => word.push(*other),
        }
    }
    word.push(b'\'');
    OsString::from_vec(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_scoped_to_the_origin_and_only_files_are_trusted_as_such() {
        let url = RepositoryUrl::parse("https://git.example:8443/a/b", false).unwrap();
        let with = config(&url, &Credentials::Authorization(Secret::new("Bearer t")));
        assert!(with.ends_with(
            "[http \"https://git.example:8443/\"]\n\textraHeader = \"Authorization: Bearer t\"\n"
        ));
        assert!(!with.contains("[safe]"));
        let file = RepositoryUrl::parse("file:///srv/a", true).unwrap();
        assert!(config(&file, &Credentials::None).contains("[safe]"));
        assert_eq!(allowed_protocols(&url), "https:ssh");
        assert_eq!(allowed_protocols(&file), "https:ssh:http:file");
    }

    #[test]
    fn paths_are_one_word_of_the_shell() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
