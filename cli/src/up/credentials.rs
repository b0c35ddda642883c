//! The tokens of a Store: from its Secret or kept here, plus one for each StoreNamespace.

use std::sync::Arc;

use stowage_config::{Token, TokenGrant};
use stowage_sidecar::settings::{NoAuth, Settings};

use super::data_dir::DataDir;
use super::kept_token;
use super::plan::{Credentials, StorePlan};
use crate::exit::Failure;

/// The name of a made token in logs. No key of a Secret holds a `/`.
const MADE: &str = "stowage/up";

/// A Store's settings with its tokens resolved.
pub(crate) struct Resolved {
    /// What the server takes.
    pub(crate) settings: Arc<Settings>,
    /// The token that was made for it.
    pub(crate) made: Option<String>,
    /// The token of each StoreNamespace, in the plan's order.
    pub(crate) namespace_tokens: Vec<String>,
}

/// Reads or makes the tokens of a Store and checks everything together.
///
/// # Errors
/// [`Failure::Input`] where the settings are refused, [`Failure::Environment`] where a token
/// cannot be kept.
pub(crate) fn resolve(store: &StorePlan, data: &DataDir) -> Result<Resolved, Failure> {
    let mut tokens = Vec::new();
    let mut made = None;
    let no_auth = match &store.credentials {
        Credentials::Secret { tokens: named, .. } => {
            tokens.extend(named.iter().cloned());
            NoAuth::Refuse
        }
        Credentials::Made => {
            let value = kept_token::read_or_make(&data.token(&store.name))?;
            tokens.push((
                MADE.to_owned(),
                Token { value: value.clone(), grant: TokenGrant::default() },
            ));
            made = Some(value);
            NoAuth::Refuse
        }
        Credentials::Nobody => NoAuth::Insecure,
    };
    let mut namespace_tokens = Vec::new();
    for namespace in &store.namespaces {
        let value = kept_token::read_or_make(&data.binding(&namespace.name).join("token"))?;
        // Where everyone may do everything, a token would only take rights away.
        if no_auth == NoAuth::Refuse {
            tokens.push((
                format!("namespace/{}", namespace.name),
                Token { value: value.clone(), grant: namespace.grant() },
            ));
        }
        namespace_tokens.push(value);
    }
    let settings = Settings::new(&store.config, tokens, no_auth)
        .map_err(|e| Failure::Input(format!("Store {}: {e}", store.name)))?;
    Ok(Resolved { settings: Arc::new(settings), made, namespace_tokens })
}
