//! What keeps a branch from being synced, as people are told.

use stowage_crds::ConfigMapKeyReference;

/// A reason, and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// One CamelCase word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Whether it passes by itself.
    pub remedy: Remedy,
}

/// Who has to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nobody: it is waited for, or tried again.
    Time,
    /// Somebody has to change something.
    Change,
}

impl Problem {
    /// Somebody has to change something.
    #[must_use]
    pub(super) fn change(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), remedy: Remedy::Change }
    }

    /// It passes, or is tried again.
    #[must_use]
    pub(super) fn time(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), remedy: Remedy::Time }
    }

    pub(super) fn invalid_spec(why: &str) -> Self {
        Self::change("InvalidSpec", why)
    }

    pub(super) fn url_refused(why: &str) -> Self {
        Self::change("UrlRefused", why)
    }

    pub(super) fn secret_missing(name: &str) -> Self {
        Self::change(
            "SecretMissing",
            format!(
                "there is no Secret {name} in this namespace: create it with username and \
                 password, or bearerToken, or ssh-privatekey and known_hosts, or correct \
                 spec.auth.secretRef.name"
            ),
        )
    }

    pub(super) fn schema_missing(reference: &ConfigMapKeyReference) -> Self {
        let ConfigMapKeyReference { name, key } = reference;
        Self::change(
            "SchemaMissing",
            format!(
                "there is no ConfigMap {name} with a key {key} in this namespace: create it, or \
                 correct spec.schema.configMapRef"
            ),
        )
    }

    pub(super) fn store_missing(store: &str) -> Self {
        Self::change(
            "StoreMissing",
            format!(
                "there is no Store {store} in this namespace: create it, or correct the branch's \
                 storeRef.name"
            ),
        )
    }

    pub(super) fn contract_not_served(store: &str) -> Self {
        Self::change(
            "ContractNotServed",
            format!("the Store {store} does not serve runtimes: add it to its spec.contracts"),
        )
    }

    pub(super) fn store_not_ready(store: &str, message: &str) -> Self {
        let why = if message.is_empty() { String::new() } else { format!(" ({message})") };
        Self::time("StoreNotReady", format!("it waits until the Store {store} is ready{why}"))
    }
}
