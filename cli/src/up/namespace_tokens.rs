//! The tokens of StoreNamespaces without a cluster: signed by a key that is kept in the data
//! directory, and renewed as on a cluster.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use stowage_config::{GrantedNamespace, NamespaceTokens, Token, TokenGrant};
use stowage_crds::render::{IssuedToken, SigningKey, WantedToken};

use super::data_dir::DataDir;
use super::plan::{NamespacePlan, StorePlan};
use super::{kept_token, private_file};
use crate::exit::{Failure, io_failure};

/// What is kept for one Store. Holds secrets, so it cannot be printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    /// What tells this Store from one of the same name in another directory.
    audience: String,
    /// The signing key as PKCS #8, in base64url.
    key: String,
    /// By the name of the resource.
    namespaces: BTreeMap<String, KeptNamespace>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeptNamespace {
    /// What tells it from one of the same name that was there before.
    uid: String,
    /// The static token that an earlier version gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier: Option<Earlier>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Earlier {
    token: String,
    /// Until when it is good, in seconds since 1970.
    until: u64,
}

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
}

/// Brings what is kept up to date, and gives the tokens; those that stand in the bindings stay
/// while they are good. `now` in seconds since 1970.
///
/// # Errors
/// [`Failure::Environment`] where a file cannot be read or written.
pub(crate) fn issue(store: &StorePlan, data: &DataDir, now: u64) -> Result<Issued, Failure> {
    if store.namespaces.is_empty() {
        // Nothing that was granted comes back with a namespace of the same name.
        let path = data.signing_key(&store.name);
        private_file::remove(&path).map_err(|e| io_failure("remove the keys in", &path, &e))?;
        return Ok(Issued { known: None, earlier: Vec::new(), values: Vec::new(), due_at: None });
    }
    let path = data.signing_key(&store.name);
    let (before, key) = read(&path)?;
    let mut kept = before.clone();
    let mut issued = Issued { known: None, earlier: Vec::new(), values: Vec::new(), due_at: None };
    let mut granted = Vec::new();
    for namespace in &store.namespaces {
        let binding = data.binding(&namespace.name).join("token");
        let there = match fs::read_to_string(&binding) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Without it, each look would issue another.
            read => Some(read.map_err(|e| io_failure("read the token in", &binding, &e))?),
        };
        let place = entry(&mut kept, namespace, there.as_deref(), now)?;
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
        let token = wanted.keep_or_issue(there.as_deref(), &key, now);
        let token: IssuedToken = token.map_err(|e| Failure::Environment(e.to_string()))?;
        issued.due(token.renew_at);
        issued.values.push(token.value);
        let (token, subject) = (logged_as(namespace), namespace.name.clone());
        granted.push(GrantedNamespace { token, subject, grant });
    }
    kept.namespaces.retain(|name, _| store.namespaces.iter().any(|it| it.name == *name));
    if kept != before || !path.exists() {
        write(&path, &kept)?;
    }
    issued.known = Some(NamespaceTokens {
        audience: kept.audience,
        keys: vec![key.public()],
        namespaces: granted,
    });
    Ok(issued)
}

impl Issued {
    fn due(&mut self, time: u64) {
        self.due_at = self.due_at.into_iter().chain([time]).min();
    }
}

/// The name by which logs speak of its holder. No key of a Secret holds a `/`.
fn logged_as(namespace: &NamespacePlan) -> String {
    format!("namespace/{}", namespace.name)
}

/// What is kept of a StoreNamespace. What stands in the binding of one that is not known yet is the
/// static token of an earlier version: that is good for as long as a token that is issued now.
fn entry<'a>(
    kept: &'a mut Kept,
    namespace: &NamespacePlan,
    there: Option<&str>,
    now: u64,
) -> Result<&'a KeptNamespace, Failure> {
    if !kept.namespaces.contains_key(&namespace.name) {
        let token = there.and_then(|there| Token::parse(there).ok());
        let token = token.filter(|it| it.grant == TokenGrant::default() && !it.value.contains('.'));
        let until = now.saturating_add(namespace.token_life.as_secs());
        let earlier = token.map(|token| Earlier { token: token.value, until });
        let uid = kept_token::random()?;
        kept.namespaces.insert(namespace.name.clone(), KeptNamespace { uid, earlier });
    }
    let is_revoked = namespace.token_generation > 0;
    match kept.namespaces.get_mut(&namespace.name) {
        Some(place) => {
            place.earlier = place.earlier.take().filter(|it| now < it.until && !is_revoked);
            Ok(place)
        }
        // It was put there above.
        None => Err(Failure::Environment("a StoreNamespace was lost; this is a bug".to_owned())),
    }
}

fn read(path: &Path) -> Result<(Kept, SigningKey), Failure> {
    let damaged = || {
        Failure::Environment(format!(
            "{} does not hold a signing key; remove it to have a new one made and the tokens of \
             the StoreNamespaces issued anew",
            path.display()
        ))
    };
    match fs::read(path) {
        Ok(text) => {
            let kept: Kept = serde_json::from_slice(&text).map_err(|_| damaged())?;
            let key = URL_SAFE_NO_PAD.decode(&kept.key).ok();
            let key = key.and_then(|key| SigningKey::read(&key)).ok_or_else(damaged)?;
            Ok((kept, key))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = SigningKey::generate().map_err(|e| Failure::Environment(e.to_string()))?;
            let kept = Kept {
                audience: kept_token::random()?,
                key: URL_SAFE_NO_PAD.encode(key.to_pkcs8()),
                namespaces: BTreeMap::new(),
            };
            Ok((kept, key))
        }
        Err(error) => Err(io_failure("read the signing key in", path, &error)),
    }
}

fn write(path: &Path, kept: &Kept) -> Result<(), Failure> {
    let failed = |e| io_failure("keep the signing key in", path, &e);
    private_file::make_dir(private_file::directory_of(path)).map_err(failed)?;
    let mut text = serde_json::to_vec_pretty(kept)
        .map_err(|e| Failure::Environment(format!("cannot encode the signing key: {e}")))?;
    text.push(b'\n');
    private_file::write(path, &text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use serde_json::json;
    use stowage_config::Access;
    use stowage_crds::NamespaceContract;

    use super::*;
    use crate::up::plan::{Credentials, OnRemoval};

    const NOW: u64 = 1_800_000_000;
    const LIFE: u64 = 3600;

    fn namespace(name: &str) -> NamespacePlan {
        NamespacePlan {
            name: name.to_owned(),
            contract: NamespaceContract::Kv,
            subject: name.to_owned(),
            access: Access::ReadWrite,
            token_life: Duration::from_secs(LIFE),
            token_generation: 0,
        }
    }

    fn store(namespaces: &[&str]) -> StorePlan {
        StorePlan {
            name: "demo".to_owned(),
            config: serde_json::from_value(json!({
                "store": "demo", "backend": {"volume": {"path": "demo"}},
            }))
            .unwrap(),
            credentials: Credentials::Made,
            jwt_keys: None,
            tracing_files: BTreeMap::new(),
            namespaces: namespaces.iter().map(|name| namespace(name)).collect(),
            on_removal: OnRemoval::Retain,
            suspended: false,
        }
    }

    /// Issues, and puts the tokens where holders find them.
    fn issued(store: &StorePlan, data: &DataDir, now: u64) -> Issued {
        let issued = issue(store, data, now).unwrap();
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
