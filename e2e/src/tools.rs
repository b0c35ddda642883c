//! Where the programs of a cluster are: built once from `e2e/tools/go.mod`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// What kept the programs from being there.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    /// The script could not be run.
    #[error("cannot run {}: {source}", script.display())]
    Run {
        /// The script.
        script: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The script failed; it said why on standard error.
    #[error("the programs of the test cluster are not there ({0}); the lines above say why")]
    Failed(ExitStatus),
}

/// Which programs are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolSet {
    /// The API server, etcd, `kubectl` and Helm.
    ControlPlane,
    /// These, and everything that runs pods.
    Node,
}

impl ToolSet {
    /// The directory of the programs. What is missing is built first, which takes minutes and says
    /// so on standard error.
    ///
    /// # Errors
    /// Where they cannot be built.
    pub fn directory(self) -> Result<PathBuf, ToolsError> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/cluster-tools.sh");
        let output = Command::new(&script)
            .arg(match self {
                Self::ControlPlane => "control-plane",
                Self::Node => "node",
            })
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| ToolsError::Run { script, source })?;
        if !output.status.success() {
            return Err(ToolsError::Failed(output.status));
        }
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
    }
}
