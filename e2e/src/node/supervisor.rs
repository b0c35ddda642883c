//! Starts the node's programs and watches over them. It is process 1 of the node, so it also
//! collects the processes that lost their parents.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::NodeError;
use super::layout::LOGS;
use crate::process::{Process, last_lines};

/// The programs that were started. The node ends with the first of them that does.
pub(super) struct Supervisor {
    path: OsString,
    running: HashMap<Pid, &'static str>,
}

impl Supervisor {
    /// Finds programs in `tools` before `PATH`.
    pub(super) fn new(tools: &Path) -> io::Result<Self> {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
        let folders =
            std::iter::once(tools.to_owned()).chain(env::split_paths(&inherited)).chain(system);
        let path = env::join_paths(folders).map_err(io::Error::other)?;
        Ok(Self { path, running: HashMap::new() })
    }

    /// A command that finds the cluster's programs.
    pub(super) fn command(&self, program: &str) -> Command {
        // The lookup of `Command` uses the PATH of this process, so `env` looks the program up.
        let mut command = Command::new("env");
        command.env("PATH", &self.path).arg(program);
        command
    }

    /// Starts programs whose output goes to a log of their own.
    pub(super) fn start(&mut self, processes: &[Process]) -> Result<(), NodeError> {
        for process in processes {
            let failed = |source| NodeError::Start { program: process.program, source };
            let log = File::create(log_of(process.program)).map_err(failed)?;
            let child = self
                .command(process.program)
                .args(&process.arguments)
                .stdin(Stdio::null())
                .stdout(log.try_clone().map_err(failed)?)
                .stderr(log)
                .spawn()
                .map_err(failed)?;
            let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            self.running.extend(id.map(|id| (id, process.program)));
        }
        Ok(())
    }

    /// Waits until `condition` holds, which is told by `Ok`.
    pub(super) fn wait_until<E: ToString>(
        &mut self,
        what: &'static str,
        within: Duration,
        mut condition: impl FnMut(&Self) -> Result<(), E>,
    ) -> Result<(), NodeError> {
        let deadline = Instant::now() + within;
        loop {
            let Err(reason) = condition(self) else { return Ok(()) };
            self.collect(WaitOptions::NOHANG)?;
            if Instant::now() > deadline {
                let reason = reason.to_string();
                return Err(NodeError::Waited { what, seconds: within.as_secs(), reason });
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Watches until a program ends, which is never right.
    pub(super) fn watch(&mut self) -> NodeError {
        loop {
            if let Err(error) = self.collect(WaitOptions::empty()) {
                return error;
            }
        }
    }

    /// Collects processes that have ended.
    fn collect(&self, options: WaitOptions) -> Result<(), NodeError> {
        loop {
            match wait(options) {
                Ok(Some((id, status))) => {
                    if let Some(&program) = self.running.get(&id) {
                        let status = describe(status);
                        let log = last_lines(&log_of(program));
                        return Err(NodeError::Ended { program, status, log });
                    }
                }
                Ok(None) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(NodeError::Watch(error.into())),
            }
        }
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "in an unknown way".to_owned(),
    }
}

fn log_of(program: &str) -> PathBuf {
    Path::new(LOGS).join(format!("{program}.log"))
}
