//! The keys of a Store for the tokens of its StoreNamespaces, as its Secret holds them: the one
//! that signs, and the public halves of those before it until their tokens are over. Pure.
//!
//! A key is made where there is no Secret, and where somebody asks for another one. Nothing else
//! changes it: what is read here was read from the API server itself, and not from a cache.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stowage_config::{Jwt, VerificationKey};
use stowage_crds::render::{NoRandomness, SigningKey};

use crate::kubernetes::short_digest;

/// The annotation of a Store that asks for another key, by any value that it did not have before.
pub(crate) const REQUEST: &str = "stowage.dev/signing-key-requested-at";
/// The annotation of the Secret that says which request was the last to be honoured.
pub(super) const HONOURED: &str = "stowage.dev/signing-key-request";
/// The key of the Secret with the signing key, as PKCS #8 in DER.
pub(crate) const CURRENT: &str = "current";
/// What the keys of the Secret with public halves begin with; the id follows.
const RETIRED: &str = "retired.";
/// So many keys before the current one are known at most: a server refuses a list without an end, and with it
/// what is revoked in it.
const RETIRED_MAX: usize = 16;

/// What tokens are signed with, and known by.
#[derive(Debug)]
pub(crate) struct SigningKeys {
    /// The one that signs.
    pub(crate) current: SigningKey,
    /// Those before it.
    retired: BTreeMap<String, Retired>,
}

/// A key that signs no more, and whose tokens are still good. Its private half is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retired {
    x: String,
    until: Timestamp,
}

/// What is to be done about the Secret.
#[derive(PartialEq)]
pub(super) enum Step {
    /// Nothing.
    Keep,
    /// It is to be made, with this data and these annotations.
    Make(BTreeMap<String, ByteString>, BTreeMap<String, String>),
    /// It is to be changed, by a merge patch (RFC 7396).
    Change(Value, Why),
}

/// Why the Secret is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody asked for another key.
    Requested,
    /// What stands there is no key.
    Unreadable,
    /// All tokens of a key before are over.
    Over,
}

impl fmt::Debug for Step {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("Keep"),
            Self::Make(..) => f.write_str("Make"),
            Self::Change(_, why) => f.debug_tuple("Change").field(why).finish(),
        }
    }
}

/// The keys that hold once the step is done.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) keys: SigningKeys,
    pub(super) step: Step,
}

/// Decides by the Secret that is there, and by what the Store asks for. `life` is the longest that a
/// token of the key that signs now may still be good for.
///
/// # Errors
/// [`NoRandomness`] where another key is needed.
pub(super) fn decide(
    live: Option<&Secret>,
    request: Option<&str>,
    life: Duration,
    now: Timestamp,
) -> Result<Decision, NoRandomness> {
    let honoured = request.map(short_digest);
    let Some(live) = live else {
        let keys = SigningKeys { current: SigningKey::generate()?, retired: BTreeMap::new() };
        let data = [(CURRENT.to_owned(), ByteString(keys.current.to_pkcs8().to_vec()))].into();
        let annotations = honoured.map(|digest| (HONOURED.to_owned(), digest));
        return Ok(Decision { keys, step: Step::Make(data, annotations.into_iter().collect()) });
    };
    let mut data = Map::new();
    let mut retired = read_retired(live, now, &mut data);
    let mut annotations = Map::new();
    let is_asked = honoured.is_some() && live.annotations().get(HONOURED) != honoured.as_ref();
    let (current, why) = match read_current(live) {
        Some(current) if !is_asked => (current, Why::Over),
        before => {
            let why = if before.is_some() { Why::Requested } else { Why::Unreadable };
            if let Some(before) = before {
                let public = before.public();
                let entry = Retired { x: public.x, until: end(now, life) };
                data.insert(format!("{RETIRED}{}", public.id), value(&entry));
                retired.insert(public.id, entry);
            }
            let current = SigningKey::generate()?;
            data.insert(CURRENT.to_owned(), json!(ByteString(current.to_pkcs8().to_vec())));
            annotations.extend(honoured.map(|digest| (HONOURED.to_owned(), json!(digest))));
            (current, why)
        }
    };
    while retired.len() > RETIRED_MAX {
        let Some((id, _)) = retired.iter().min_by_key(|(_, key)| key.until) else { break };
        let id = id.clone();
        data.insert(format!("{RETIRED}{id}"), Value::Null);
        retired.remove(&id);
    }
    let step = if data.is_empty() {
        Step::Keep
    } else {
        let mut patch = json!({"data": data});
        if !annotations.is_empty() {
            patch["metadata"] = json!({"annotations": annotations});
        }
        Step::Change(patch, why)
    };
    Ok(Decision { keys: SigningKeys { current, retired }, step })
}

/// The key that signs; `None` where what stands there is none.
pub(crate) fn read_current(secret: &Secret) -> Option<SigningKey> {
    SigningKey::read(&secret.data.as_ref()?.get(CURRENT)?.0)
}

/// Those before it; what is over, or cannot be read, is to be taken out.
fn read_retired(
    secret: &Secret,
    now: Timestamp,
    changes: &mut Map<String, Value>,
) -> BTreeMap<String, Retired> {
    let mut retired = BTreeMap::new();
    for (key, text) in secret.data.iter().flatten() {
        let Some(id) = key.strip_prefix(RETIRED) else { continue };
        match serde_json::from_slice::<Retired>(&text.0) {
            Ok(entry) if entry.until > now => drop(retired.insert(id.to_owned(), entry)),
            _ => drop(changes.insert(key.clone(), Value::Null)),
        }
    }
    retired
}

/// A server takes a token for a little longer than it says, for clocks that differ.
fn end(now: Timestamp, life: Duration) -> Timestamp {
    let life = SignedDuration::try_from(life.saturating_add(Jwt::CLOCK_SKEW));
    life.ok().and_then(|life| now.checked_add(life).ok()).unwrap_or(Timestamp::MAX)
}

fn value(retired: &Retired) -> Value {
    json!(ByteString(json!(retired).to_string().into_bytes()))
}

impl SigningKeys {
    /// What a server knows tokens by: the key that signs first.
    pub(super) fn known(&self) -> Vec<VerificationKey> {
        let retired = self.retired.iter();
        let retired = retired.map(|(id, key)| VerificationKey { id: id.clone(), x: key.x.clone() });
        [self.current.public()].into_iter().chain(retired).collect()
    }

    /// When the next of those before is over.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.retired.values().map(|key| key.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(3600);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// What the Secret is like once a step is done.
    fn done(live: Option<&Secret>, step: &Step) -> Secret {
        match step {
            Step::Keep => live.unwrap().clone(),
            Step::Make(data, annotations) => {
                let mut secret = Secret { data: Some(data.clone()), ..Secret::default() };
                secret.metadata.annotations = Some(annotations.clone());
                secret
            }
            Step::Change(patch, _) => {
                let mut whole = json!(live.unwrap());
                for (key, value) in patch["data"].as_object().unwrap() {
                    whole["data"][key] = value.clone();
                }
                whole["data"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
                if let Some(annotations) = patch.pointer("/metadata/annotations") {
                    whole["metadata"]["annotations"] = annotations.clone();
                }
                serde_json::from_value(whole).unwrap()
            }
        }
    }

    fn decided(live: Option<&Secret>, request: Option<&str>, now: Timestamp) -> (Secret, Decision) {
        let decision = decide(live, request, LIFE, now).unwrap();
        (done(live, &decision.step), decision)
    }

    fn ids(decision: &Decision) -> Vec<String> {
        decision.keys.known().into_iter().map(|key| key.id).collect()
    }

    #[test]
    fn of_keys_before_the_last_ones_are_known() {
        let mut secret = decided(None, None, at(0)).0;
        let mut ids_before = Vec::new();
        for number in 1..=i64::try_from(RETIRED_MAX).unwrap() + 3 {
            let (next, decision) = decided(Some(&secret), Some(&number.to_string()), at(number));
            ids_before.push(read_current(&secret).unwrap().id().to_owned());
            assert!(decision.keys.retired.len() <= RETIRED_MAX, "{number}");
            let known = ids(&decision);
            let last = ids_before.iter().rev().take(RETIRED_MAX);
            assert!(last.clone().all(|id| known.contains(id)), "{number}: {known:?}");
            secret = next;
            let (_, then) = decided(Some(&secret), Some(&number.to_string()), at(number));
            assert_eq!((ids(&then).len(), then.step), (known.len(), Step::Keep), "{number}");
        }
    }

    #[test]
    fn a_key_is_made_once_and_stays() {
        for request in [None, Some("monday")] {
            let (secret, first) = decided(None, request, at(0));
            assert!(matches!(first.step, Step::Make(..)));
            for later in [0, 60, 100_000_000] {
                let (_, then) = decided(Some(&secret), request, at(later));
                assert_eq!(
                    (then.step, ids(&first)),
                    (Step::Keep, vec![first.keys.current.id().to_owned()])
                );
                assert_eq!(then.keys.current.id(), first.keys.current.id());
            }
            // To take the request back asks for nothing.
            assert_eq!(decided(Some(&secret), None, at(9)).1.step, Step::Keep);
        }
    }

    #[test]
    fn another_key_comes_on_request_and_the_one_before_stays_until_its_tokens_are_over() {
        let (secret, first) = decided(None, None, at(0));
        let (secret, second) = decided(Some(&secret), Some("monday"), at(100));
        assert!(matches!(second.step, Step::Change(_, Why::Requested)), "{:?}", second.step);
        assert_eq!(ids(&second)[1..], ids(&first));
        assert_ne!(ids(&second)[0], ids(&first)[0]);
        assert_eq!(second.keys.next_end(), Some(at(100 + 3660)));
        let texts: Vec<_> = secret.data.iter().flatten().map(|(_, text)| text.0.clone()).collect();
        let private = first.keys.current.to_pkcs8();
        assert!(!texts.iter().any(|text| text == private), "its private half is gone");

        let (_, again) = decided(Some(&secret), Some("monday"), at(200));
        assert_eq!((&again.step, ids(&again)), (&Step::Keep, ids(&second)), "honoured once");
        let (secret, third) = decided(Some(&secret), Some("tuesday"), at(200));
        assert_eq!(ids(&third).len(), 3, "two before it");
        assert_eq!(third.keys.next_end(), Some(at(100 + 3660)));
        let (secret, fourth) = decided(Some(&secret), Some("tuesday"), at(3760));
        assert!(matches!(fourth.step, Step::Change(_, Why::Over)), "{:?}", fourth.step);
        assert_eq!(ids(&fourth), [&ids(&third)[0], &ids(&second)[0]].map(String::clone));
        let (_, last) = decided(Some(&secret), Some("tuesday"), at(3860));
        assert_eq!(ids(&last), ids(&third)[..1]);
    }

    #[test]
    fn what_is_no_key_is_replaced_and_what_is_no_entry_goes() {
        let (whole, first) = decided(None, None, at(0));
        for text in [&b""[..], b"hunter2", &first.keys.current.to_pkcs8()[..30]] {
            let mut secret = whole.clone();
            let data = secret.data.as_mut().unwrap();
            data.insert(CURRENT.to_owned(), ByteString(text.to_vec()));
            data.insert(format!("{RETIRED}odd"), ByteString(b"hunter2".to_vec()));
            data.insert("theirs".to_owned(), ByteString(b"x".to_vec()));
            let (secret, then) = decided(Some(&secret), None, at(1));
            assert!(matches!(then.step, Step::Change(_, Why::Unreadable)));
            let keys: Vec<_> = secret.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, [CURRENT, "theirs"], "what is somebody else's is left");
            assert_eq!(read_current(&secret).unwrap().id(), then.keys.current.id());
        }
    }
}
