//! The measured servers: each on a free port of the loopback, with its state in a directory of its
//! own on one file system, and with nothing left once it is dropped.

mod etcd;
mod nats;
mod nginx;
mod redis;
pub(crate) mod sidecar;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

pub(crate) use self::etcd::etcd;
pub(crate) use self::nats::nats;
pub(crate) use self::nginx::nginx;
pub(crate) use self::redis::redis;
pub(crate) use self::sidecar::sidecar;

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a server may take to end once it is told to.
const END_MAX: Duration = Duration::from_secs(20);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(2);

/// Where programs and state are.
#[derive(Debug)]
pub(crate) struct Places {
    /// The release binaries of this repository.
    pub(crate) binaries: PathBuf,
    /// What `scripts/bench-peers.sh` printed.
    pub(crate) peers: PathBuf,
    /// Removed at the end.
    pub(crate) scratch: PathBuf,
}

impl Places {
    fn peer(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = command(&self.peers.join("bin").join(program));
        command.args(arguments);
        command
    }

    /// A new directory below the scratch directory.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch.join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

/// A running server; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a program and waits until it has an address. What it says goes to `log`.
    ///
    /// # Errors
    /// It does not start, ends, or has no address within a minute.
    fn start(
        mut command: Command,
        log: &Path,
        address: impl Fn() -> Option<SocketAddr>,
    ) -> Result<Self> {
        let output = File::create(log)?;
        let shown = log.display();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start setpriv, which is in util-linux")?;
        let deadline = Instant::now() + START_MAX;
        loop {
            if let Some(address) = address() {
                return Ok(Self { child, address });
            }
            if let Some(status) = child.try_wait()? {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                bail!("a server ended with {status} and said in {shown}: {}", said.trim());
            }
            if Instant::now() > deadline {
                // The error is the lateness, whether it can be ended or not.
                let _ = (child.kill(), child.wait());
                let seconds = START_MAX.as_secs();
                bail!("a server does not answer within {seconds} s; it writes to {shown}");
            }
            sleep(LOOK);
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(pid.context("no process")?, Signal::TERM)?;
        let deadline = Instant::now() + END_MAX;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
            }
            sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What cannot be ended ends with this process.
        let _ = self.end();
    }
}

/// A program that ends with this one, whatever becomes of that.
fn command(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// An address that nobody listens at.
///
/// # Errors
/// There is none.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

/// The address once somebody listens there.
fn listening(address: SocketAddr) -> Option<SocketAddr> {
    TcpStream::connect(address).ok().map(|_| address)
}

/// A path as an argument.
fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8: choose another BENCH_DIR", path.display()))
}
