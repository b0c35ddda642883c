//! `check`: everything that `serve` would refuse, without opening a port or a store.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use stowage_config::{SidecarConfig, Token};

use super::arguments::CheckOptions;
use super::failure::Failure;
use super::tokens;
use crate::settings::{NoAuth, Settings};

/// Reads and checks the configuration.
///
/// # Errors
/// [`Failure::Configuration`] says which field is wrong.
pub(super) fn run(options: &CheckOptions) -> Result<ExitCode, Failure> {
    let loaded = load(&options.config, no_auth(options.insecure_no_auth))?;
    // A reader that has gone does not want to know.
    let _ =
        writeln!(std::io::stdout(), "the configuration of store {} is valid", loaded.config.store);
    Ok(ExitCode::SUCCESS)
}

/// A configuration with everything that it refers to.
pub(super) struct Loaded {
    /// What the file says.
    pub(super) config: SidecarConfig,
    /// The tokens that stood in its directory.
    pub(super) tokens: Vec<(String, Token)>,
    /// What both make.
    pub(super) settings: Settings,
}

/// Reads a configuration file and its tokens, and checks them together.
///
/// # Errors
/// [`Failure::Configuration`] says which field is wrong.
pub(super) fn load(file: &Path, no_auth: NoAuth) -> Result<Loaded, Failure> {
    let config: SidecarConfig =
        stowage_config::load(file).map_err(|e| Failure::Configuration(e.to_string()))?;
    let tokens = match &config.auth.tokens_dir {
        Some(dir) => tokens::read(dir).map_err(|e| Failure::Configuration(e.to_string()))?,
        None => Vec::new(),
    };
    let settings = Settings::new(&config, tokens.clone(), no_auth)
        .map_err(|e| Failure::Configuration(e.to_string()))?;
    Ok(Loaded { config, tokens, settings })
}

/// What the flag says.
pub(super) fn no_auth(insecure_no_auth: bool) -> NoAuth {
    if insecure_no_auth { NoAuth::Insecure } else { NoAuth::Refuse }
}
