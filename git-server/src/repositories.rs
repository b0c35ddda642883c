//! Bare repositories to serve.

use std::path::Path;
use std::process::{Command, Output};

/// A repository could not be made.
#[derive(Debug)]
pub struct CreateError(String);

impl std::fmt::Display for CreateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CreateError {}

/// Makes an empty bare repository at `path`, with the branch `main`, that everyone may push to; one
/// that is there stays as it is.
///
/// # Errors
/// [`CreateError`] with what git says.
pub fn create(path: &Path) -> Result<(), CreateError> {
    if path.join("HEAD").exists() {
        return Ok(());
    }
    git(Command::new("git")
        .args(["init", "--quiet", "--bare", "--initial-branch=main"])
        .arg(path))?;
    git(Command::new("git").arg("-C").arg(path).args(["config", "http.receivepack", "true"]))
}

fn git(command: &mut Command) -> Result<(), CreateError> {
    let ran =
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").output();
    match ran {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(output) => Err(CreateError(String::from_utf8_lossy(&output.stderr).into_owned())),
        Err(error) => Err(CreateError(format!("git cannot be run: {error}"))),
    }
}
