//! The Secrets that resources name: are they there, and do they hold what is needed? No message
//! holds any of their values.

use std::collections::{BTreeMap, BTreeSet};

use stowage_config::Token;
use stowage_config::jwt::keys_fault;
use stowage_crds::{JwtSecret, RuntimeConfigSource, Store, StoreJwt};

use super::collection::{Collection, Found};
use super::data::secret_key_path;
use super::kind::Kind;
use super::problem::Problem;
use super::resources::{ObjectName, Secret};

/// The tokens of every Store.
pub(super) fn tokens(all: &Collection) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut named: BTreeSet<ObjectName> = BTreeSet::new();
    for store in &all.stores {
        let Some(reference) = &store.resource.spec.auth.tokens_secret_ref else { continue };
        let field = "spec.auth.tokensSecretRef.name";
        match secret(all, &store.name, &reference.name) {
            Err(message) => problems.push(store.document.problem_at(field, message)),
            Ok(Some(found)) if found.resource.values.is_empty() => {
                let message = format!(
                    "the Secret {} at {} holds no token: add one, as NAME: TOKEN under stringData",
                    reference.name,
                    found.document.place()
                );
                problems.push(store.document.problem_at(field, message));
            }
            Ok(Some(found)) if named.insert(found.name.clone()) => {
                problems.extend(token_values(found));
            }
            Ok(_) => {}
        }
    }
    problems
}

/// The keys of JWTs of every Store.
pub(super) fn jwt_keys(all: &Collection) -> Vec<Problem> {
    let mut problems = Vec::new();
    for store in &all.stores {
        let Some(wanted) = store.resource.spec.auth.jwt.as_ref().and_then(StoreJwt::secret) else {
            continue;
        };
        let field = format!("spec.auth.jwt.{}.name", wanted.field);
        match secret(all, &store.name, wanted.name) {
            Err(message) => problems.push(store.document.problem_at(&field, message)),
            Ok(None) => {}
            Ok(Some(found)) => problems.extend(jwt_key(store, found, wanted)),
        }
    }
    problems
}

fn jwt_key(store: &Found<Store>, found: &Found<Secret>, wanted: JwtSecret<'_>) -> Option<Problem> {
    let Some(value) = found.resource.values.get(wanted.key) else {
        let field = format!("spec.auth.jwt.{}.key", wanted.field);
        let message = lacks_key(found, wanted.name, wanted.key, wanted.field);
        return Some(store.document.problem_at(&field, message));
    };
    let fault = keys_fault(wanted.kind, value.expose())?;
    let path = secret_key_path(&found.document, wanted.key);
    Some(found.document.problem(&path, format!("JWTs cannot be checked with this: {fault}")))
}

fn lacks_key(secret: &Found<Secret>, name: &str, key: &str, field: &str) -> String {
    let place = secret.document.place();
    format!("the Secret {name} at {place} has no key {key}: add it, or name another in {field}.key")
}

/// What goes with the collectors of traces of every Store.
pub(super) fn of_collectors(all: &Collection) -> Vec<Problem> {
    let mut problems = Vec::new();
    for store in &all.stores {
        for wanted in store.resource.spec.tracing.iter().flat_map(|it| it.otlp.secrets()) {
            let field = |member| format!("spec.tracing.otlp.{}.{member}", wanted.field);
            let found = match secret(all, &store.name, wanted.name) {
                Err(message) => {
                    problems.push(store.document.problem_at(&field("name"), message));
                    continue;
                }
                Ok(found) => found,
            };
            let lacks = found.filter(|found| !found.resource.values.contains_key(wanted.key));
            if let Some(found) = lacks {
                let message = lacks_key(found, wanted.name, wanted.key, wanted.field);
                problems.push(store.document.problem_at(&field("key"), message));
            }
        }
    }
    problems
}

fn token_values(secret: &Found<Secret>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (key, value) in &secret.resource.values {
        let path = secret_key_path(&secret.document, key);
        let mut refuse = |message: String| problems.push(secret.document.problem(&path, message));
        let Ok(text) = std::str::from_utf8(value.expose()) else {
            refuse("this token cannot be used: it is not text; use printable ASCII".to_owned());
            continue;
        };
        match Token::parse(text) {
            Err(error) => refuse(format!("this token cannot be used: {error}")),
            Ok(token) => {
                if let Some(other) = seen.insert(token.value, key) {
                    refuse(format!("it is the same token as {other}: give each one of its own"));
                }
            }
        }
    }
    problems
}

/// The Secret beside a resource; `None` where it is there but not in order.
fn secret<'a>(
    all: &'a Collection,
    from: &ObjectName,
    name: &str,
) -> Result<Option<&'a Found<Secret>>, String> {
    let wanted = ObjectName { namespace: from.namespace.clone(), name: name.to_owned() };
    let found = all.secrets.iter().find(|secret| secret.name == wanted);
    if found.is_none() && !all.declares(Kind::Secret, &wanted) {
        return Err(all.missing(Kind::Secret, &wanted));
    }
    Ok(found)
}

/// The credentials of a source, which must fit its URL.
pub(super) fn of_source(all: &Collection, source: &Found<RuntimeConfigSource>) -> Vec<Problem> {
    let spec = &source.resource.spec;
    let over_http = spec.url.starts_with("https://") || spec.url.starts_with("http://");
    let over_file = spec.url.starts_with("file://");
    let at = |field: &str, message: String| vec![source.document.problem_at(field, message)];
    let Some(auth) = &spec.auth else {
        if over_http || over_file {
            return Vec::new();
        }
        let message = "SSH needs credentials: name a Secret with ssh-privatekey and known_hosts in \
                       spec.auth.secretRef";
        return at("spec.url", message.to_owned());
    };
    if over_file {
        return at("spec.auth", "a file:// URL takes no credentials: take auth out".to_owned());
    }
    let field = "spec.auth.secretRef.name";
    let found = match secret(all, &source.name, &auth.secret_ref.name) {
        Err(message) => return at(field, message),
        Ok(None) => return Vec::new(),
        Ok(Some(found)) => found,
    };
    let holds = |key: &str| found.resource.values.get(key).is_some_and(|v| !v.expose().is_empty());
    let wanted: &[&str] = match (over_http, holds("bearerToken"), holds("password")) {
        (false, _, _) => &["ssh-privatekey", "known_hosts"],
        (true, true, true) => {
            let message = format!(
                "the Secret {} holds both a bearerToken and a password: keep one of them",
                auth.secret_ref.name
            );
            return at(field, message);
        }
        (true, true, false) => &["bearerToken"],
        (true, false, true) => &["username", "password"],
        (true, false, false) => &["username", "password (or a bearerToken alone)"],
    };
    let absent: Vec<&str> = wanted.iter().copied().filter(|key| !holds(key)).collect();
    if absent.is_empty() {
        return Vec::new();
    }
    let message = format!(
        "the Secret {} at {} lacks what this URL needs: add {}",
        auth.secret_ref.name,
        found.document.place(),
        absent.join(" and ")
    );
    at(field, message)
}
