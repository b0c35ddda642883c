//! `check`: everything that `serve` would refuse, without opening a port or a store.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use stowage_config::SidecarConfig;

use super::arguments::CheckOptions;
use super::failure::Failure;
use super::{keys, tokens};
use crate::settings::{NoAuth, Secrets, Settings};

/// Reads and checks the configuration.
///
/// # Errors
/// [`Failure::Configuration`] says which field is wrong.
pub(super) fn run(options: &CheckOptions) -> Result<ExitCode, Failure> {
    let loaded = load(&options.config)?;
    loaded.settings(no_auth(options.insecure_no_auth))?;
    // A reader that has gone does not want to know.
    let _ =
        writeln!(std::io::stdout(), "the configuration of store {} is valid", loaded.config.store);
    Ok(ExitCode::SUCCESS)
}

/// A configuration with everything that it refers to.
#[derive(PartialEq)]
pub(super) struct Loaded {
    /// What the file says.
    pub(super) config: SidecarConfig,
    /// What stood in the files that it names.
    secrets: Secrets,
}

impl Loaded {
    /// Checks both together.
    ///
    /// # Errors
    /// [`Failure::Configuration`] says which field is wrong.
    pub(super) fn settings(&self, no_auth: NoAuth) -> Result<Settings, Failure> {
        Settings::new(&self.config, self.secrets.clone(), no_auth)
            .map_err(|e| Failure::Configuration(e.to_string()))
    }
}

/// Reads a configuration file and the files that it names.
///
/// # Errors
/// [`Failure::Configuration`] says which field is wrong.
pub(super) fn load(file: &Path) -> Result<Loaded, Failure> {
    let config: SidecarConfig =
        stowage_config::load(file).map_err(|e| Failure::Configuration(e.to_string()))?;
    let tokens = match &config.auth.tokens_dir {
        Some(dir) => tokens::read(dir).map_err(|e| Failure::Configuration(e.to_string()))?,
        None => Vec::new(),
    };
    let jwt_keys = match &config.auth.jwt {
        Some(jwt) => keys::read(&jwt.keys).map_err(|e| Failure::Configuration(e.to_string()))?,
        None => None,
    };
    Ok(Loaded { config, secrets: Secrets { tokens, jwt_keys } })
}

/// What the flag says.
pub(super) fn no_auth(insecure_no_auth: bool) -> NoAuth {
    if insecure_no_auth { NoAuth::Insecure } else { NoAuth::Refuse }
}
