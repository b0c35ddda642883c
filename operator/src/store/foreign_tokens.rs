//! Keys that somebody else put into the Secret with the operator's own tokens.
//!
//! The server takes all of that Secret or none of it: one value that is no token there would keep
//! every later change of the tokens from it, and the next pod from starting. And one that is a
//! token would be good without standing anywhere that a user of the Store looks. Server-side apply
//! leaves what another manager wrote, so such keys are taken out one by one.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Map, Value, json};
use stowage_crds::Store;

use super::tokens::Tokens;
use crate::context::Context;
use crate::kubernetes::{ApplyError, Severity, amend};

/// How many of the keys an Event names.
const TOLD_MAX: usize = 10;

/// Takes out of `live` what is not among `tokens`, and says so; gives the Secret as it is then.
///
/// # Errors
/// [`ApplyError::Refused`], [`ApplyError::Api`].
pub(super) async fn take_out(
    context: &Context,
    store: &Store,
    tokens: &Tokens,
    live: Secret,
) -> Result<Secret, ApplyError> {
    let keys = live.data.iter().flatten().map(|(key, _)| key.as_str());
    let foreign: Vec<&str> = keys.filter(|key| tokens.value(key).is_none()).collect();
    if foreign.is_empty() {
        return Ok(live);
    }
    let nothing: Map<String, Value> =
        foreign.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
    // Where it changed in between, that wakes the next reconcile.
    let Some(amended) = amend(context, &live, json!({"data": nothing})).await? else {
        return Ok(live);
    };
    let note = format!(
        "Taken out of the Secret {}, which is the operator's own: {}. Tokens of yours stand in a \
         Secret that spec.auth.tokensSecretRef names.",
        live.name_any(),
        named(&foreign)
    );
    context.tell(store, Severity::Warning, "ForeignTokens", "Remove", &note).await;
    Ok(amended)
}

fn named(keys: &[&str]) -> String {
    let told = keys.iter().take(TOLD_MAX).copied().collect::<Vec<_>>().join(", ");
    match keys.len().saturating_sub(TOLD_MAX) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}
