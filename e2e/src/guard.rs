//! A child process that ends with its starter, whichever way that ends.
//!
//! A test process may be killed at any time, and then runs no destructor. So a small shell stands
//! between it and the program (`guard.sh`): it holds the reading end of a pipe that closes with
//! the test process.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::process::Process;

const GUARD: &str = include_str!("guard.sh");

/// A running program. Dropping it ends the program.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
}

impl Guard {
    /// Starts `process` out of `tools`. `directory` is removed after the program when this process
    /// is gone; its output goes to `log`.
    pub(crate) fn spawn(
        process: &Process,
        tools: &Path,
        directory: &Path,
        log: &Path,
    ) -> io::Result<Self> {
        let log = File::create(log)?;
        let shell = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(directory)
            .arg(tools.join(process.program))
            .args(&process.arguments)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in a terminal goes to the whole group; the guard has to outlive it.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }

    /// Whether the program has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // The shell ends after the program; only a shell that is not there cannot be waited for.
        let _ = self.shell.wait();
    }
}
