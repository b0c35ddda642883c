//! What a running server looks up on every request; replaced as a whole while it runs.

mod origins;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use stowage_config::{Auth, Backend, Contract, Limits, SidecarConfig, Token, Tracing};
use stowage_store::{Name, NameKind};
use tokio::sync::watch;

use crate::auth::{Credentials, JwtRules, NamespaceRules};
pub(crate) use origins::{AllowedOrigins, OriginRule};

/// Whether a server without any credentials may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAuth {
    /// Refuse: the default.
    Refuse,
    /// Serve everyone everything; said on the command line in so many words.
    Insecure,
    /// Let nobody in: of a server that runs, all tokens may be taken away.
    Nobody,
}

/// How long takes what no configuration says; tests have less time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often a stream of events says, by a comment, that it lives.
    pub comment_every: Duration,
    /// How long a body may stall between two pieces.
    pub body_idle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { comment_every: Duration::from_secs(15), body_idle: Duration::from_secs(30) }
    }
}

/// Checked settings: a configuration together with the tokens it refers to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a request may weigh.
    pub limits: Limits,
    /// How long takes what no configuration says.
    pub pace: Pace,
    /// The Store's name.
    pub(crate) store: String,
    /// The contracts that are served.
    pub(crate) contracts: Vec<Contract>,
    /// Whom the server knows.
    pub(crate) credentials: Credentials,
    /// Which browser origins may call.
    pub(crate) origins: AllowedOrigins,
    /// Whether a PUT to the run store needs a condition.
    pub(crate) require_precondition: bool,
    /// Where `/_debug/storage-info` says the data stands; `None` where it does not answer.
    pub(crate) debug_path: Option<PathBuf>,
    /// Where traces go; what holds at the start.
    pub(crate) tracing: Option<Tracing>,
    quotas: HashMap<String, Quota>,
}

/// What a namespace may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    /// The most bytes of the snapshot.
    pub(crate) max_bytes: Option<u64>,
    /// The most keys.
    pub(crate) max_keys: Option<u64>,
}

/// What stands in the files that a configuration names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The tokens, by name.
    pub tokens: Vec<(String, Token)>,
    /// The JWK Set or the secret that JWTs are checked with, where it is in a file.
    pub jwt_keys: Option<Vec<u8>>,
}

impl From<Vec<(String, Token)>> for Secrets {
    fn from(tokens: Vec<(String, Token)>) -> Self {
        Self { tokens, jwt_keys: None }
    }
}

/// Why a configuration cannot be served; the process exits with 64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSettings(pub String);

impl Settings {
    /// Checks a configuration and the secrets that go with it.
    ///
    /// # Errors
    /// [`InvalidSettings`] says which field is wrong and what to write there.
    pub fn new(
        config: &SidecarConfig,
        secrets: impl Into<Secrets>,
        no_auth: NoAuth,
    ) -> Result<Self, InvalidSettings> {
        let secrets = secrets.into();
        check_ports(config)?;
        check_tracing(config)?;
        let Backend::Volume(volume) = &config.backend;
        Ok(Self {
            limits: config.limits.clone(),
            pace: Pace::default(),
            store: config.store.clone(),
            contracts: checked_contracts(&config.contracts)?,
            credentials: checked_credentials(&config.auth, secrets, no_auth)?,
            origins: AllowedOrigins::parse(&config.cors.allowed_origins)
                .map_err(|e| InvalidSettings(e.to_string()))?,
            require_precondition: config.run_store.require_precondition,
            debug_path: config.debug.then(|| volume.path.clone()),
            tracing: config.tracing.clone(),
            quotas: checked_quotas(config)?,
        })
    }

    /// Puts them in force in the place of those that a server has; requests under way end under the
    /// ones that they began with.
    pub fn succeed(self: Arc<Self>, current: &watch::Sender<Arc<Self>>) {
        self.credentials.learn_from(&current.borrow().credentials);
        current.send_replace(self);
    }

    /// Whether everyone may do everything.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.credentials, Credentials::Everyone)
    }

    /// Where the keys of JWTs are fetched, if they are.
    pub(crate) fn jwks_url(&self) -> Option<&Uri> {
        self.credentials.jwt()?.url()
    }

    /// What a namespace may hold: its own quota, and never more than the limit for all.
    pub(crate) fn quota(&self, namespace: &Name) -> Quota {
        let own = self.quotas.get(namespace.as_str()).copied().unwrap_or_default();
        let all = self.limits.max_namespace_bytes.as_ref().map(stowage_config::ByteSize::bytes);
        let max_bytes = match (own.max_bytes, all) {
            (Some(own), Some(all)) => Some(own.min(all)),
            (own, all) => own.or(all),
        };
        Quota { max_bytes, ..own }
    }
}

fn refuse<T>(sentence: impl Into<String>) -> Result<T, InvalidSettings> {
    Err(InvalidSettings(sentence.into()))
}

fn check_ports(config: &SidecarConfig) -> Result<(), InvalidSettings> {
    if config.listen == config.management_listen && config.listen.port() != 0 {
        return refuse(format!(
            "managementListen: {} is also what listen says; give the second port an address of \
             its own",
            config.management_listen
        ));
    }
    Ok(())
}

fn check_tracing(config: &SidecarConfig) -> Result<(), InvalidSettings> {
    match &config.tracing {
        Some(Tracing { otlp }) if otlp.ca_file.is_some() && !otlp.endpoint.is_https() => refuse(
            "tracing.otlp.caFile: it is for a collector behind TLS; write https:// in the \
             endpoint, or take it out",
        ),
        _ => Ok(()),
    }
}

fn checked_contracts(contracts: &[Contract]) -> Result<Vec<Contract>, InvalidSettings> {
    if contracts.is_empty() {
        return refuse(
            "contracts: the list is empty, so nothing would be served; name at least one",
        );
    }
    let mut seen = HashSet::new();
    for (i, contract) in contracts.iter().enumerate() {
        if !seen.insert(contract) {
            return refuse(format!(
                "contracts[{i}]: {} stands there twice; remove one",
                contract.as_str()
            ));
        }
    }
    Ok(contracts.to_vec())
}

fn checked_credentials(
    auth: &Auth,
    secrets: Secrets,
    no_auth: NoAuth,
) -> Result<Credentials, InvalidSettings> {
    let Secrets { tokens, jwt_keys } = secrets;
    let jwt = match &auth.jwt {
        None => None,
        Some(jwt) => Some(
            JwtRules::new(jwt, jwt_keys.as_deref()).map_err(|e| InvalidSettings(e.to_string()))?,
        ),
    };
    let namespaces = match &auth.namespace_tokens {
        None => None,
        Some(tokens) => {
            Some(NamespaceRules::new(tokens).map_err(|e| InvalidSettings(e.to_string()))?)
        }
    };
    if tokens.is_empty() && jwt.is_none() && namespaces.is_none() {
        match no_auth {
            NoAuth::Insecure => return Ok(Credentials::Everyone),
            NoAuth::Refuse => {
                return refuse(
                    "auth: there is no token, so nobody could write; put at least one token into \
                     auth.tokensDir, set auth.jwt, or start with --insecure-no-auth to let everyone read and write \
                     everything",
                );
            }
            NoAuth::Nobody => {}
        }
    }
    if let Some((other, name)) = stowage_config::same_value(&tokens) {
        return refuse(format!(
            "auth.tokens.{name}: it has the same value as auth.tokens.{other}; give each token a \
             value of its own"
        ));
    }
    Ok(Credentials::tokens(tokens, namespaces, jwt, auth.anonymous))
}

fn checked_quotas(config: &SidecarConfig) -> Result<HashMap<String, Quota>, InvalidSettings> {
    let mut quotas = HashMap::new();
    for (i, entry) in config.namespaces.iter().enumerate() {
        if let Err(e) = Name::parse(NameKind::Namespace, &entry.name) {
            return refuse(format!("namespaces[{i}].name: {e}"));
        }
        let quota = Quota {
            max_bytes: entry.max_bytes.as_ref().map(stowage_config::ByteSize::bytes),
            max_keys: entry.max_keys,
        };
        if quotas.insert(entry.name.clone(), quota).is_some() {
            return refuse(format!(
                "namespaces[{i}].name: {} stands there twice; remove one",
                entry.name
            ));
        }
    }
    Ok(quotas)
}

#[cfg(test)]
mod tests {
    use stowage_config::TokenGrant;

    use super::*;

    fn config(extra: &str) -> SidecarConfig {
        let text = format!("store: s\nbackend: {{volume: {{path: data}}}}\n{extra}");
        serde_saphyr::from_str(&text).unwrap()
    }

    fn token(name: &str, value: &str) -> (String, Token) {
        (name.into(), Token { value: value.into(), grant: TokenGrant::default() })
    }

    #[test]
    fn every_refusal_names_the_field_and_what_to_do() {
        let one = || vec![token("a", "a-0123456789abcdef")];
        let twice = || vec![token("a", "a-0123456789abcdef"), token("b", "a-0123456789abcdef")];
        type Row = (&'static str, Vec<(String, Token)>, &'static [&'static str]);
        let table: &[Row] = &[
            ("", vec![], &["auth:", "--insecure-no-auth"]),
            ("auth: {anonymous: read}", vec![], &["auth:", "--insecure-no-auth"]),
            ("", twice(), &["auth.tokens.b", "auth.tokens.a", "a value of its own"]),
            ("contracts: []", one(), &["contracts:", "at least one"]),
            ("contracts: [kv, kv]", one(), &["contracts[1]", "kv", "remove one"]),
            (
                "cors: {allowedOrigins: [https://a.example, https://b.example/x]}",
                one(),
                &["cors.allowedOrigins[1]"],
            ),
            (
                "listen: 127.0.0.1:9000\nmanagementListen: 127.0.0.1:9000",
                one(),
                &["managementListen:"],
            ),
            (
                "tracing: {otlp: {endpoint: 'http://c', caFile: /ca.crt}}",
                one(),
                &["tracing.otlp.caFile", "https://"],
            ),
            ("namespaces: [{name: a/b}]", one(), &["namespaces[0].name"]),
            ("namespaces: [{name: a}, {name: a}]", one(), &["namespaces[1].name", "twice"]),
        ];
        for (extra, tokens, expected) in table {
            let error = Settings::new(&config(extra), tokens.clone(), NoAuth::Refuse)
                .expect_err(extra)
                .to_string();
            for part in *expected {
                assert!(error.contains(part), "{extra:?}: {error:?} lacks {part:?}");
            }
            assert!(!error.contains("0123456789"), "{extra:?}: {error:?} holds a secret");
        }
    }

    #[test]
    fn what_is_right_is_taken() {
        let table = [
            ("", vec![token("a", "a-0123456789abcdef")], NoAuth::Refuse),
            ("", vec![], NoAuth::Insecure),
            ("listen: 127.0.0.1:0\nmanagementListen: 127.0.0.1:0", vec![], NoAuth::Insecure),
        ];
        for (extra, tokens, no_auth) in table {
            let got = Settings::new(&config(extra), tokens, no_auth);
            assert!(got.is_ok(), "{extra:?}: {got:?}");
        }
    }

    #[test]
    fn a_namespace_never_gets_more_than_the_limit_for_all() {
        let extra = "limits: {maxNamespaceBytes: 100}\n\
                     namespaces: [{name: small, maxBytes: 10, maxKeys: 1}, {name: big, maxBytes: 1Ki}]";
        let settings = Settings::new(&config(extra), vec![], NoAuth::Insecure).unwrap();
        for (name, max_bytes, max_keys) in
            [("small", 10, Some(1)), ("big", 100, None), ("other", 100, None)]
        {
            let got = settings.quota(&Name::parse(NameKind::Namespace, name).unwrap());
            assert_eq!(got, Quota { max_bytes: Some(max_bytes), max_keys }, "{name}");
        }
    }
}
