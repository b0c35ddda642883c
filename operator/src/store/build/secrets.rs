//! The tokens that the operator made: for the server, for Git syncs, for the user.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::metadata;
use crate::kubernetes::binding;
use crate::store::names;
use crate::store::tokens::Tokens;
use crate::store::validate::ValidatedStore;

pub(super) fn server_tokens(store: &ValidatedStore, tokens: &Tokens) -> Secret {
    secret(store, names::server_tokens(&store.name), "Opaque", tokens.data())
}

pub(super) fn publisher(store: &ValidatedStore, tokens: &Tokens) -> Secret {
    let token = tokens.value(&names::sync_token()).unwrap_or_default();
    let data = [("token".to_owned(), ByteString(token.as_bytes().to_vec()))].into();
    secret(store, names::publisher(&store.name), "Opaque", data)
}

/// `None` where the user has tokens of their own.
pub(super) fn admin(store: &ValidatedStore, tokens: &Tokens) -> Option<Secret> {
    let token = tokens.value(&names::admin_token())?;
    let data = binding::data(
        &names::host(&store.name, &store.namespace),
        names::HTTP_PORT,
        &names::url(&store.name, &store.namespace),
        token,
    );
    Some(secret(store, names::admin(&store.name), binding::TYPE, data))
}

fn secret(
    store: &ValidatedStore,
    name: String,
    kind: &str,
    data: BTreeMap<String, ByteString>,
) -> Secret {
    Secret {
        metadata: metadata(store, name),
        type_: Some(kind.to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}
