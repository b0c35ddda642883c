//! What a Store's server is to know of its StoreNamespaces: pure.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use stowage_config::{GrantedNamespace, NamespaceTokens, SidecarConfig, TokenGrant};
use stowage_crds::render::namespace_grant;
use stowage_crds::{Store, StoreNamespace};

use super::build::CONFIG_KEY;
use super::dereference::Dereferenced;
use super::names;
use super::settle_keys::Settled;
use super::tokens::WantedToken;

/// What the StoreNamespaces come to.
pub(super) struct Tenants {
    /// What their tokens are known by; `None` where there are none.
    pub(super) known: Option<NamespaceTokens>,
    /// The static tokens that they had from an earlier version and that are still good.
    pub(super) static_tokens: Vec<WantedToken>,
    /// When what is to be known changes by itself: another key signs, or something is over.
    pub(super) changes_at: Option<Timestamp>,
}

impl Tenants {
    pub(super) fn new(
        store: &Store,
        found: &Dereferenced,
        settled: &Settled,
        now: Timestamp,
    ) -> Self {
        let namespaces = granted(found);
        let known = (!namespaces.is_empty()).then(|| NamespaceTokens {
            audience: store.uid().unwrap_or_default(),
            keys: settled.keys.known(),
            namespaces,
        });
        let mut static_tokens = Vec::new();
        let mut ends = Vec::new();
        for tenant in &found.namespaces {
            let Some(end) = static_token_end(tenant, found, settled.made_at) else { continue };
            if end.is_none_or(|end| now < end) {
                static_tokens.push(static_token(tenant));
                ends.extend(end);
            }
        }
        ends.extend(settled.keys.changes_at());
        Self { known, static_tokens, changes_at: ends.into_iter().min() }
    }
}

/// By name, so that the order in which they come changes nothing. Of those that do not parse now,
/// what was granted before.
fn granted(found: &Dereferenced) -> Vec<GrantedNamespace> {
    let own = found.namespaces.iter().map(|tenant| GrantedNamespace {
        token: names::namespace_token(&tenant.name_any()),
        subject: names::namespace_subject(tenant),
        grant: namespace_grant(tenant, tenant.uid().unwrap_or_default()),
    });
    let unreadable: Vec<String> =
        found.unreadable_namespaces.iter().map(|name| names::namespace_token(name)).collect();
    let kept = found.config_map.as_ref().map(granted_before).unwrap_or_default();
    let kept = kept.into_iter().filter(|granted| unreadable.contains(&granted.token));
    let mut granted: Vec<GrantedNamespace> = own.chain(kept).collect();
    granted.sort_by(|a, b| a.token.cmp(&b.token));
    granted
}

fn granted_before(config_map: &ConfigMap) -> Vec<GrantedNamespace> {
    known_before(config_map).map(|tokens| tokens.namespaces).unwrap_or_default()
}

/// What the server is told now.
pub(super) fn known_before(config_map: &ConfigMap) -> Option<NamespaceTokens> {
    let text = config_map.data.as_ref()?.get(CONFIG_KEY)?;
    serde_json::from_str::<SidecarConfig>(text).ok()?.auth.namespace_tokens
}

/// When the static token of an earlier version ends: as if it had been issued with the first key.
/// `Some(None)`: not before its holder has been given a token that is signed. `None`: there is none
/// that could be good.
fn static_token_end(
    tenant: &StoreNamespace,
    found: &Dereferenced,
    made_at: Timestamp,
) -> Option<Option<Timestamp>> {
    let data = found.server_tokens.as_ref()?.data.as_ref()?;
    let is_there = data.contains_key(&names::namespace_token(&tenant.name_any()));
    // It would be that of another resource of the same name.
    let is_older = tenant.creation_timestamp().is_none_or(|time| time.0 <= made_at);
    let is_revoked = tenant.spec.token_generation > 0;
    if !is_there || !is_older || is_revoked {
        return None;
    }
    let has_next = tenant.status.as_ref().is_some_and(|status| status.token_expires_at.is_some());
    let life = SignedDuration::try_from(tenant.spec.token_ttl.duration()).ok();
    Some(
        has_next.then(|| {
            life.and_then(|life| made_at.checked_add(life).ok()).unwrap_or(Timestamp::MAX)
        }),
    )
}

fn static_token(tenant: &StoreNamespace) -> WantedToken {
    WantedToken {
        key: names::namespace_token(&tenant.name_any()),
        grant: TokenGrant {
            contracts: Some(vec![tenant.spec.contract.into()]),
            namespaces: Some(vec![tenant.served_name()]),
            access: tenant.spec.access,
        },
        make: false,
    }
}

/// The static token that a StoreNamespace has from an earlier version.
pub(crate) fn static_token_of(tenant: &StoreNamespace, server_tokens: &Secret) -> Option<String> {
    let key = names::namespace_token(&tenant.name_any());
    let document = server_tokens.data.as_ref()?.get(&key)?;
    stowage_config::Token::read(&document.0).ok().map(|token| token.value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::ByteString;
    use serde_json::{Value, json};

    use super::super::signing_keys::decide;
    use super::*;

    const MADE_AT: i64 = 1_800_000_000;
    const LIFE: i64 = 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(MADE_AT + seconds).unwrap()
    }

    fn store() -> Store {
        serde_json::from_value(json!({
            "metadata": {"name": "demo", "namespace": "shop", "uid": "store-uid"},
            "spec": {"backend": {"volume": {"size": "1Gi"}}},
        }))
        .unwrap()
    }

    fn tenant(name: &str, created: i64, more: &Value, status: &Value) -> StoreNamespace {
        let mut spec = json!({"storeRef": {"name": "demo"}, "contract": "kv", "tokenTTL": "1h"});
        for (field, value) in more.as_object().unwrap() {
            spec[field] = value.clone();
        }
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "shop", "uid": format!("{name}-uid"),
                "creationTimestamp": at(created),
            },
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn looked_at(found: &Dereferenced, now: i64) -> Tenants {
        let keys = decide(None, None, Duration::ZERO, true, at(0)).unwrap().keys;
        Tenants::new(&store(), found, &Settled { keys, made_at: at(0) }, at(now))
    }

    #[test]
    fn a_static_token_of_an_earlier_version_ends_as_one_that_was_issued_with_the_key() {
        let document = br#"{"token":"static-0123456789abcdef","access":"read"}"#;
        let data = [("stowage.namespace.cart".to_owned(), ByteString(document.to_vec()))];
        let there = Secret { data: Some(data.into()), ..Secret::default() };
        let nothing = Secret { data: Some([].into()), ..Secret::default() };
        let handed = json!({"tokenExpiresAt": at(LIFE)});
        let (all, none) = (json!({}), Value::Null);
        let revoked = json!({"tokenGeneration": 1});
        // Where it is, when the resource was made, its spec and status, now: is it good?
        let table = [
            (&there, -9, &all, &handed, 0, true, "its holder goes on"),
            (&there, -9, &all, &handed, LIFE - 1, true, "for the life of a token"),
            (&there, -9, &all, &handed, LIFE, false, "and no longer"),
            (&there, -9, &all, &none, LIFE * 9, true, "while its holder was given no other"),
            (&there, 9, &all, &handed, 10, false, "that of another one of the name"),
            (&there, -9, &revoked, &handed, 0, false, "revoked"),
            (&nothing, -9, &all, &handed, 0, false, "there is none"),
        ];
        for (secret, created, spec, status, now, is_good, case) in table {
            let found = Dereferenced {
                server_tokens: Some(secret.clone()),
                namespaces: vec![tenant("cart", created, spec, status)],
                ..Dereferenced::default()
            };
            let tenants = looked_at(&found, now);
            assert_eq!(tenants.static_tokens.len(), usize::from(is_good), "{case}");
            assert!(tenants.static_tokens.iter().all(|token| !token.make), "{case}");
            let end = (is_good && status != &none).then(|| at(LIFE));
            assert_eq!(tenants.changes_at, end, "{case}");
        }
    }

    #[test]
    fn what_is_granted_does_not_depend_on_the_order_and_stays_where_nobody_can_read_it() {
        let all = json!({});
        let [cart, menu] = ["cart", "menu"].map(|name| tenant(name, 0, &all, &Value::Null));
        let both = |namespaces: Vec<StoreNamespace>| {
            let found = Dereferenced { namespaces, ..Dereferenced::default() };
            looked_at(&found, 0).known.unwrap()
        };
        let known = both(vec![menu.clone(), cart.clone()]);
        assert_eq!(known.namespaces, both(vec![cart.clone(), menu.clone()]).namespaces);
        assert_eq!(known.namespaces[0].subject, "shop/cart");
        assert_eq!(known.audience, "store-uid");

        let config = json!({
            "store": "demo", "backend": {"volume": {"path": "/data"}},
            "auth": {"namespaceTokens": known},
        });
        let data = Some([(CONFIG_KEY.to_owned(), config.to_string())].into());
        let config_map = ConfigMap { data, ..ConfigMap::default() };
        let found = |namespaces, unreadable: &[&str]| Dereferenced {
            namespaces,
            unreadable_namespaces: unreadable.iter().map(|name| (*name).to_owned()).collect(),
            config_map: Some(config_map.clone()),
            ..Dereferenced::default()
        };
        let names = |found: &Dereferenced| -> Vec<String> {
            let known = looked_at(found, 0).known;
            known.into_iter().flat_map(|it| it.namespaces).map(|it| it.grant.namespace).collect()
        };
        assert_eq!(names(&found(vec![menu.clone()], &["cart"])), ["cart", "menu"]);
        assert_eq!(names(&found(vec![menu], &["other"])), ["menu"]);
        assert_eq!(names(&found(Vec::new(), &[])), Vec::<String>::new());
        assert!(looked_at(&Dereferenced::default(), 0).known.is_none());
    }
}
