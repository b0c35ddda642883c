//! The tokens of a Store: from its Secret or kept here, plus one for each StoreNamespace, signed.

use std::fs;
use std::sync::Arc;

use stowage_config::{Token, TokenGrant};
use stowage_sidecar::settings::{NoAuth, Secrets, Settings};

use super::data_dir::DataDir;
use super::pending::Pending;
use super::plan::{Credentials, StorePlan};
use super::{kept_token, namespace_tokens};
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
    /// When there is something to renew or to take back, in seconds since 1970.
    pub(crate) due_at: Option<u64>,
    /// What is to be kept before any of it is used.
    pub(crate) pending: Vec<Pending>,
}

/// Reads or makes the tokens of a Store and checks everything together; writes nothing. `now` in
/// seconds since 1970.
///
/// # Errors
/// [`Failure::Input`] where the settings are refused, [`Failure::Environment`] where what is kept
/// cannot be read.
pub(crate) fn resolve(store: &StorePlan, data: &DataDir, now: u64) -> Result<Resolved, Failure> {
    let mut tokens = Vec::new();
    let mut made = None;
    let mut pending = Vec::new();
    let no_auth = match &store.credentials {
        Credentials::Secret { tokens: named, .. } => {
            tokens.extend(named.iter().cloned());
            NoAuth::Refuse
        }
        Credentials::Made => {
            let (value, new) = kept_token::read_or_make(&data.token(&store.name))?;
            pending.extend(new);
            tokens.push((
                MADE.to_owned(),
                Token { value: value.clone(), grant: TokenGrant::default() },
            ));
            made = Some(value);
            NoAuth::Refuse
        }
        Credentials::Nobody => NoAuth::Insecure,
    };
    let issued = namespace_tokens::issue(store, data, now)?;
    let mut config = store.config.clone();
    // Where everyone may do everything, a token would only take rights away.
    if no_auth == NoAuth::Refuse {
        config.auth.namespace_tokens = issued.known;
        tokens.extend(issued.earlier);
    }
    pending.extend(issued.pending);
    for (file, value) in &store.tracing_files {
        let content = value.expose().to_vec();
        if fs::read(file).ok().as_ref() != Some(&content) {
            let (doing, path) = ("write a Secret of a collector to", file.clone());
            pending.push(Pending::Write { doing, path, content });
        }
    }
    let jwt_keys = store.jwt_keys.as_ref().map(|keys| keys.expose().to_vec());
    let settings = Settings::new(&config, Secrets { tokens, jwt_keys }, no_auth)
        .map_err(|e| Failure::Input(format!("Store {}: {e}", store.name)))?;
    Ok(Resolved {
        settings: Arc::new(settings),
        made,
        namespace_tokens: issued.values,
        due_at: issued.due_at,
        pending,
    })
}
