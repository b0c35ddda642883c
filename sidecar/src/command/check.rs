//! `check`: everything that `serve` would refuse, without opening a port or a store.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use stowage_config::{SidecarConfig, Token};

use super::arguments::CheckOptions;
use super::failure::Failure;
use super::tokens::Found;
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
    tokens: Found,
    jwt_keys: Option<Vec<u8>>,
}

impl Loaded {
    /// Checks all of it together.
    ///
    /// # Errors
    /// [`Failure::Configuration`] says which field or which token is wrong.
    pub(super) fn settings(&self, no_auth: NoAuth) -> Result<Settings, Failure> {
        match self.tokens.faults.first() {
            Some(fault) => Err(Failure::Configuration(fault.clone())),
            None => self.settings_with(self.tokens.tokens.clone(), no_auth),
        }
    }

    /// Checks it with these tokens instead of those that were found.
    ///
    /// # Errors
    /// [`Failure::Configuration`] says which field is wrong.
    pub(super) fn settings_with(
        &self,
        tokens: Vec<(String, Token)>,
        no_auth: NoAuth,
    ) -> Result<Settings, Failure> {
        let secrets = Secrets { tokens, jwt_keys: self.jwt_keys.clone() };
        Settings::new(&self.config, secrets, no_auth)
            .map_err(|e| Failure::Configuration(e.to_string()))
    }

    /// The tokens that were found.
    pub(super) fn tokens(&self) -> &Found {
        &self.tokens
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
        None => Found::default(),
    };
    let jwt_keys = match &config.auth.jwt {
        Some(jwt) => keys::read(&jwt.keys).map_err(|e| Failure::Configuration(e.to_string()))?,
        None => None,
    };
    Ok(Loaded { config, tokens, jwt_keys })
}

/// What the flag says.
pub(super) fn no_auth(insecure_no_auth: bool) -> NoAuth {
    if insecure_no_auth { NoAuth::Insecure } else { NoAuth::Refuse }
}
