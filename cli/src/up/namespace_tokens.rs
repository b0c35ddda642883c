//! The tokens of StoreNamespaces without a cluster: signed by a key that is kept in the data
//! directory, and renewed as on a cluster.

use std::fs;
use std::io;

use stowage_config::{GrantedNamespace, NamespaceTokens, Token, TokenGrant};
use stowage_crds::render::{IssuedToken, SigningKey, WantedToken};

use super::data_dir::DataDir;
use super::kept_keys::{self, Earlier, Kept, KeptNamespace};
use super::kept_token;
use super::pending::Pending;
use super::plan::{NamespacePlan, StorePlan};
use super::transitions::Seen;
use crate::exit::{Failure, io_failure};

/// The tokens of a Store's StoreNamespaces as they are now.
pub(crate) struct Issued {
    /// What the server knows them by; `None` where there are no StoreNamespaces.
    pub(crate) known: Option<NamespaceTokens>,
    /// The static tokens of an earlier version that are still good, by the name that logs give them.
    pub(crate) earlier: Vec<(String, Token)>,
    /// One for each StoreNamespace, in the plan's order.
    pub(crate) values: Vec<String>,
    /// When there is something to renew or to take back, in seconds since 1970.
    pub(crate) due_at: Option<u64>,
    /// What is to be kept before any of them is handed out; `None` where it is.
    pub(crate) pending: Option<Pending>,
}

/// The tokens as they are to be, and what is to be kept of them; those that stand in the bindings
/// stay while they are good. `now` in seconds since 1970.
///
/// # Errors
/// [`Failure::Environment`] where a file cannot be read.
pub(crate) fn issue(store: &StorePlan, data: &DataDir, now: u64) -> Result<Issued, Failure> {
    let mut issued = Issued::none();
    if store.namespaces.is_empty() {
        // Nothing that was granted comes back with a namespace of the same name.
        issued.pending = kept_keys::forgotten(data.signing_key(&store.name));
        return Ok(issued);
    }
    let (kept, key, pending) = keep(store, data, now)?;
    issued.pending = pending;
    let mut granted = Vec::new();
    for namespace in &store.namespaces {
        let Some(place) = kept.namespaces.get(&namespace.name) else { continue };
        if let Some(earlier) = place.earlier.as_ref() {
            issued.due(earlier.until);
            let token = Token { value: earlier.token.clone(), grant: namespace.grant() };
            issued.earlier.push((logged_as(namespace), token));
        }
        let grant = namespace.signed_grant(place.uid.clone());
        let wanted = WantedToken {
            audience: kept.audience.clone(),
            subject: namespace.name.clone(),
            grant: grant.clone(),
            life: namespace.token_life,
        };
        let there = bound(namespace, data)?;
        let token = wanted.keep_or_issue(there.as_deref(), &key, now);
        let token: IssuedToken = token.map_err(|e| Failure::Environment(e.to_string()))?;
        issued.due(token.renew_at);
        issued.values.push(token.value);
        let (token, subject) = (logged_as(namespace), namespace.name.clone());
        granted.push(GrantedNamespace { token, subject, grant });
    }
    issued.known = Some(NamespaceTokens {
        audience: kept.audience,
        keys: vec![key.public()],
        namespaces: granted,
    });
    Ok(issued)
}

/// What is to be kept of the StoreNamespaces of a Store that is not served: they are there as well.
///
/// # Errors
/// As [`issue`].
pub(crate) fn remember(
    store: &StorePlan,
    data: &DataDir,
    now: u64,
) -> Result<Option<Pending>, Failure> {
    if store.namespaces.is_empty() {
        return Ok(kept_keys::forgotten(data.signing_key(&store.name)));
    }
    keep(store, data, now).map(|(_, _, pending)| pending)
}

/// What is kept, brought up to date.
fn keep(
    store: &StorePlan,
    data: &DataDir,
    now: u64,
) -> Result<(Kept, SigningKey, Option<Pending>), Failure> {
    let path = data.signing_key(&store.name);
    let (before, key) = kept_keys::read_or_make(&path)?;
    let mut kept = before.clone();
    kept.volume_size.clone_from(&store.volume_size);
    for namespace in &store.namespaces {
        let place = match kept.namespaces.remove(&namespace.name) {
            Some(place) => place,
            None => new_entry(namespace, bound(namespace, data)?.as_deref(), now)?,
        };
        kept.namespaces.insert(namespace.name.clone(), brought_up(place, namespace, now));
    }
    kept.namespaces.retain(|name, _| store.namespaces.iter().any(|it| it.name == *name));
    let pending = if kept != before || !path.exists() { Some(kept.pending(path)?) } else { None };
    Ok((kept, key, pending))
}

/// The token that stands in a binding.
fn bound(namespace: &NamespacePlan, data: &DataDir) -> Result<Option<String>, Failure> {
    let binding = data.binding(&namespace.name).join("token");
    match fs::read_to_string(&binding) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Without it, each look would issue another.
        read => read.map(Some).map_err(|e| io_failure("read the token in", &binding, &e)),
    }
}

impl Issued {
    fn none() -> Self {
        let (earlier, values) = (Vec::new(), Vec::new());
        Self { known: None, earlier, values, due_at: None, pending: None }
    }

    fn due(&mut self, time: u64) {
        self.due_at = self.due_at.into_iter().chain([time]).min();
    }
}

/// The name by which logs speak of its holder. No key of a Secret holds a `/`.
fn logged_as(namespace: &NamespacePlan) -> String {
    format!("namespace/{}", namespace.name)
}

/// What is kept of a StoreNamespace that is not known yet. What stands in its binding is the static
/// token of an earlier version: that is good for as long as a token that is issued now.
fn new_entry(
    namespace: &NamespacePlan,
    there: Option<&str>,
    now: u64,
) -> Result<KeptNamespace, Failure> {
    let token = there.and_then(|there| Token::parse(there).ok());
    let token = token.filter(|it| it.grant == TokenGrant::default() && !it.value.contains('.'));
    let until = now.saturating_add(namespace.token_life.as_secs());
    let earlier = token.map(|token| Earlier { token: token.value, until });
    Ok(KeptNamespace { uid: kept_token::random()?, seen: None, earlier })
}

/// The same without a static token that is over, and with what is to be known later.
fn brought_up(place: KeptNamespace, namespace: &NamespacePlan, now: u64) -> KeptNamespace {
    let is_revoked = namespace.token_generation > 0;
    let KeptNamespace { uid, seen: _, earlier } = place;
    let earlier = earlier.filter(|it| now < it.until && !is_revoked);
    KeptNamespace { uid, seen: Some(Seen::of(namespace)), earlier }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;
    use crate::up::examples::{self, LIFE};
    use crate::up::pending;

    const NOW: u64 = 1_800_000_000;

    fn store(namespaces: &[&str]) -> StorePlan {
        examples::store("demo", namespaces)
    }

    /// Issues, and puts the tokens where holders find them.
    fn issued(store: &StorePlan, data: &DataDir, now: u64) -> Issued {
        let issued = issue(store, data, now).unwrap();
        pending::commit(&issued.pending).unwrap();
        for (namespace, value) in store.namespaces.iter().zip(&issued.values) {
            let binding = data.binding(&namespace.name);
            fs::create_dir_all(&binding).unwrap();
            fs::write(binding.join("token"), value).unwrap();
        }
        issued
    }

    fn uid(issued: &Issued) -> String {
        issued.known.as_ref().unwrap().namespaces[0].grant.uid.clone()
    }

    #[test]
    fn a_token_stays_until_it_is_due_and_the_key_stays() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        let store = store(&["cart", "menu"]);
        let first = issued(&store, &data, NOW);
        let file = data.signing_key("demo");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let written = fs::read(&file).unwrap();
        let due_at = first.due_at.unwrap();
        assert!((NOW + LIFE / 2..=NOW + LIFE * 2 / 3).contains(&due_at), "{due_at}");
        let second = issued(&store, &data, due_at - 1);
        assert_eq!((&second.values, second.due_at), (&first.values, first.due_at));
        let third = issued(&store, &data, due_at);
        assert_ne!(third.values, first.values);
        assert_eq!(third.known, first.known, "what was issued before is good until it expires");
        assert_eq!(fs::read(&file).unwrap(), written, "nothing was written without need");
    }

    #[test]
    fn what_comes_back_is_another_one() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        let first = issued(&store(&["cart", "menu"]), &data, NOW);
        issued(&store(&["menu"]), &data, NOW);
        let again = issued(&store(&["cart", "menu"]), &data, NOW);
        assert_ne!(uid(&again), uid(&first));
        assert_ne!(again.values[0], first.values[0]);
        assert_eq!(again.values[1], first.values[1], "who stayed goes on");
        assert!(issued(&store(&[]), &data, NOW).known.is_none());
        assert!(!data.signing_key("demo").exists());
    }

    #[test]
    fn a_static_token_of_an_earlier_version_is_good_for_one_more_life() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        fs::create_dir_all(data.binding("cart")).unwrap();
        fs::write(data.binding("cart").join("token"), "static-0123456789abcdef").unwrap();
        let good = |issued: &Issued| {
            let good = issued.earlier.iter();
            good.map(|(name, token)| (name.clone(), token.value.clone())).collect::<Vec<_>>()
        };
        let expected = [("namespace/cart".to_owned(), "static-0123456789abcdef".to_owned())];
        let store = store(&["cart"]);
        let first = issued(&store, &data, NOW);
        assert_eq!(good(&first), expected);
        assert_eq!(first.earlier[0].1.grant, store.namespaces[0].grant());
        assert!(first.values[0].contains('.'), "the binding has one that is signed");
        assert_eq!(good(&issued(&store, &data, NOW + LIFE - 1)), expected);
        assert_eq!(good(&issued(&store, &data, NOW + LIFE)), []);
        assert_eq!(good(&issued(&store, &data, NOW)), [], "what is over is forgotten");
    }

    #[test]
    fn revoking_takes_a_static_token_back_as_well() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        fs::create_dir_all(data.binding("cart")).unwrap();
        fs::write(data.binding("cart").join("token"), "static-0123456789abcdef").unwrap();
        let mut store = store(&["cart"]);
        let first = issued(&store, &data, NOW);
        store.namespaces[0].token_generation = 1;
        let then = issued(&store, &data, NOW);
        assert!(then.earlier.is_empty());
        assert_ne!(then.values, first.values);
        assert_eq!(uid(&then), uid(&first));
    }

    #[test]
    fn what_an_earlier_version_kept_is_read_and_completed() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        let store = StorePlan { volume_size: "1Gi".parse().ok(), ..store(&["cart"]) };
        let first = issued(&store, &data, NOW);
        let path = data.signing_key("demo");
        let whole = fs::read(&path).unwrap();
        let kept = || serde_json::from_slice::<serde_json::Value>(&whole).unwrap();
        let seen = json!({"contract": "kv", "name": "cart", "tokenGeneration": 0});
        assert_eq!(kept()["namespaces"]["cart"]["seen"], seen);
        assert_eq!(kept()["volumeSize"], "1Gi");
        let removals: [fn(&mut serde_json::Value) -> Option<serde_json::Value>; 3] = [
            |kept| kept.as_object_mut()?.remove("volumeSize"),
            |kept| kept["namespaces"]["cart"].as_object_mut()?.remove("seen"),
            |kept| kept["namespaces"]["cart"]["seen"].as_object_mut()?.remove("name"),
        ];
        for remove in removals {
            let mut earlier = kept();
            assert!(remove(&mut earlier).is_some(), "it is there");
            fs::write(&path, earlier.to_string()).unwrap();
            let second = issued(&store, &data, NOW);
            assert_eq!((uid(&second), &second.values), (uid(&first), &first.values));
            assert_eq!(fs::read(&path).unwrap(), whole, "it is known from now on");
        }
    }

    #[test]
    fn nothing_is_kept_before_it_is_taken_up() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        let first = issued(&store(&["cart"]), &data, NOW);
        let whole = fs::read(data.signing_key("demo")).unwrap();
        let mut next = store(&["cart", "menu"]);
        next.namespaces[0].token_generation = 5;
        for next in [next, store(&["menu"]), store(&[])] {
            drop(issue(&next, &data, NOW).unwrap());
            drop(remember(&next, &data, NOW).unwrap());
            assert_eq!(fs::read(data.signing_key("demo")).unwrap(), whole);
        }
        assert_eq!(issued(&store(&["cart"]), &data, NOW).known, first.known);
    }

    #[test]
    fn a_damaged_file_is_refused_without_showing_it() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDir::open(root.path()).unwrap();
        issued(&store(&["cart"]), &data, NOW);
        let whole = fs::read_to_string(data.signing_key("demo")).unwrap();
        for text in
            [String::new(), "hunter2".to_owned(), whole.replace("\"key\": \"", "\"key\": \"A")]
        {
            fs::write(data.signing_key("demo"), &text).unwrap();
            let refusal = issue(&store(&["cart"]), &data, NOW).err().unwrap().to_string();
            assert!(refusal.contains("does not hold a signing key; remove it"), "{refusal}");
            assert!(!refusal.contains("hunter2"), "{refusal}");
            assert_eq!(fs::read_to_string(data.signing_key("demo")).unwrap(), text);
        }
    }
}
