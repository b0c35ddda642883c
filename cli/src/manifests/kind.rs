//! The kinds that are read.

use super::suggest::did_you_mean;
use super::yaml::{Node, Step};

/// A kind that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Store,
    StoreNamespace,
    RuntimeConfigSource,
    Secret,
    ConfigMap,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Store,
        Self::StoreNamespace,
        Self::RuntimeConfigSource,
        Self::Secret,
        Self::ConfigMap,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Store => "Store",
            Self::StoreNamespace => "StoreNamespace",
            Self::RuntimeConfigSource => "RuntimeConfigSource",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }

    pub(super) fn api_version(self) -> &'static str {
        match self {
            Self::Secret | Self::ConfigMap => "v1",
            _ => "stowage.dev/v1alpha1",
        }
    }

    /// What a document is.
    ///
    /// # Errors
    /// The field, and what is wrong with it.
    pub(super) fn of(document: &Node) -> Result<Self, (Vec<Step>, String)> {
        let names = Self::ALL.map(Self::name);
        let known = "Store, StoreNamespace, RuntimeConfigSource, Secret and ConfigMap";
        let kind = text(document, "kind", &format!("write one of {known}"))?;
        let Some(found) = Self::ALL.into_iter().find(|known| known.name() == kind) else {
            let advice = did_you_mean(kind, names)
                .unwrap_or_else(|| format!("only {known} are; put other resources elsewhere"));
            return Err((
                key("kind"),
                format!("{kind:?} is not a kind that is read here: {advice}"),
            ));
        };
        let wanted = found.api_version();
        let advice = format!("write apiVersion: {wanted}");
        if text(document, "apiVersion", &advice)? != wanted {
            let message = format!("a {} of this apiVersion is not read: {advice}", found.name());
            return Err((key("apiVersion"), message));
        }
        Ok(found)
    }
}

fn key(name: &str) -> Vec<Step> {
    vec![Step::Key(name.to_owned())]
}

fn text<'a>(document: &'a Node, name: &str, advice: &str) -> Result<&'a str, (Vec<Step>, String)> {
    let value =
        document.get(name).ok_or_else(|| (key(name), format!("it is missing: {advice}")))?;
    value.as_str().ok_or_else(|| (key(name), format!("it is not a text: {advice}")))
}
