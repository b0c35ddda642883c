//! Running `kubectl` and `helm`, as a person does.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// What a program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            success: output.status.success(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Its standard output, where it succeeded; else its standard error.
    pub(crate) fn result(self) -> Result<String, String> {
        if self.success { Ok(self.stdout) } else { Err(self.stderr) }
    }
}

/// Runs a program to its end with `input` as its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    // It may end without reading; what it says then counts.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Said::of(child.wait_with_output().unwrap())
}

/// Runs `kubectl` and gives its standard output.
///
/// # Panics
/// Where it fails, with what it says.
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    succeeds("kubectl", arguments)
}

/// Runs `helm` and gives its standard output.
///
/// # Panics
/// Where it fails, with what it says.
pub(crate) fn helm(arguments: &[&str]) -> String {
    succeeds("helm", arguments)
}

fn succeeds(program: &str, arguments: &[&str]) -> String {
    let said = run(Command::new(program).args(arguments), "");
    assert!(said.success, "{program} {}:\n{}{}", arguments.join(" "), said.stdout, said.stderr);
    said.stdout
}
