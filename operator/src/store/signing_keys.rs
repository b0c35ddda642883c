//! The keys of a Store for the tokens of its StoreNamespaces, as its Secret holds them: the one
//! that signs, the one that is to follow it, and the public halves of those before it until their
//! tokens are over. Pure.
//!
//! A key is made where there is no Secret, and where somebody asks for another one. That one is
//! shown to the servers first, and signs later: no token is handed out that a server would refuse.
//! Nothing else changes the keys: what is read here was read from the API server itself, and not
//! from a cache.

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
/// The key of the Secret with the longest life of a token that the signing key may have signed, in
/// seconds.
const CURRENT_LIFE: &str = "current-life";
/// The key of the Secret with the signing key that follows, as [`CURRENT`].
const NEXT: &str = "next";
/// The key of the Secret that says when that one begins to sign.
const NEXT_SIGNS_FROM: &str = "next-signs-from";
/// What the keys of the Secret with public halves begin with; the id follows.
const RETIRED: &str = "retired.";
/// So many keys before the current one are known at most: a server refuses a list without an end, and with it
/// what is revoked in it.
const RETIRED_MAX: usize = 16;
/// For so long a key is shown to the servers before it signs. A kubelet updates a mounted ConfigMap
/// with its periodic sync, of one minute, and what its cache adds to that (Kubernetes, "Mounted
/// ConfigMaps are updated automatically"); mostly it takes seconds.
const LEAD: SignedDuration = SignedDuration::from_mins(2);

/// What tokens are signed with, and known by.
#[derive(Debug)]
pub(crate) struct SigningKeys {
    /// The one that signs.
    pub(crate) current: SigningKey,
    /// The one that will.
    next: Option<Next>,
    /// Those before it.
    retired: BTreeMap<String, Retired>,
}

/// A key that does not sign yet.
#[derive(Debug)]
struct Next {
    key: SigningKey,
    from: Timestamp,
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
    /// Somebody asked for another key, which does not sign yet.
    Requested,
    /// That one signs from now on.
    Rotated,
    /// What stands there is no key.
    Unreadable,
    /// What is known of the keys has changed: the tokens of one are over, or they live longer.
    Noted,
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

/// What is to be changed in the Secret.
#[derive(Default)]
struct Changes {
    data: Map<String, Value>,
    annotations: Map<String, Value>,
}

impl Changes {
    fn set(&mut self, key: impl Into<String>, bytes: &[u8]) {
        self.data.insert(key.into(), json!(ByteString(bytes.to_vec())));
    }

    fn remove(&mut self, key: impl Into<String>) {
        self.data.insert(key.into(), Value::Null);
    }

    fn remove_if_there<const N: usize>(&mut self, live: &Secret, keys: [&str; N]) {
        let is_there = |key: &&str| live.data.as_ref().is_some_and(|data| data.contains_key(*key));
        for key in keys.into_iter().filter(is_there) {
            self.remove(key);
        }
    }

    fn step(self, why: Why) -> Step {
        let mut patch = json!({});
        if !self.data.is_empty() {
            patch["data"] = Value::Object(self.data);
        }
        if !self.annotations.is_empty() {
            patch["metadata"] = json!({"annotations": self.annotations});
        }
        if patch == json!({}) { Step::Keep } else { Step::Change(patch, why) }
    }
}

/// Decides by the Secret that is there, and by what the Store asks for. `life` is the longest that a
/// token that is signed now may be good for; `is_shown` whether the server's configuration has the key
/// that follows.
///
/// # Errors
/// [`NoRandomness`] where another key is needed.
pub(super) fn decide(
    live: Option<&Secret>,
    request: Option<&str>,
    life: Duration,
    is_shown: bool,
    now: Timestamp,
) -> Result<Decision, NoRandomness> {
    // Tokens end with a whole second.
    let life = Duration::from_secs(life.as_secs());
    let honoured = request.map(short_digest);
    let Some(live) = live else {
        let current = SigningKey::generate()?;
        let data = [
            (CURRENT.to_owned(), ByteString(current.to_pkcs8().to_vec())),
            (CURRENT_LIFE.to_owned(), ByteString(life.as_secs().to_string().into_bytes())),
        ];
        let annotations = honoured.map(|digest| (HONOURED.to_owned(), digest)).into_iter();
        let step = Step::Make(data.into(), annotations.collect());
        let keys = SigningKeys { current, next: None, retired: BTreeMap::new() };
        return Ok(Decision { keys, step });
    };
    let mut changes = Changes::default();
    let mut retired = read_retired(live, now, &mut changes);
    let mut next = read_next(live, &mut changes);
    if let Some(next) = next.as_mut().filter(|_| !is_shown)
        && next.from < now.checked_add(LEAD / 2).unwrap_or(now)
    {
        // Something else was in the way of the configuration. The time begins anew.
        next.from = after_lead(now);
        changes.set(NEXT_SIGNS_FROM, next.from.to_string().as_bytes());
    }
    let mut life_known = read_life(live);
    let is_asked = honoured.is_some() && live.annotations().get(HONOURED) != honoured.as_ref();
    let mut why = Why::Noted;
    let current = match (read_current(live), next.take_if(|next| next.from <= now)) {
        (Some(before), Some(due)) => {
            why = Why::Rotated;
            let public = before.public();
            let longest = life_known.map_or(life, |known| known.max(life));
            let entry = Retired { x: public.x, until: end(now, longest) };
            changes.set(format!("{RETIRED}{}", public.id), json!(entry).to_string().as_bytes());
            retired.insert(public.id, entry);
            due.key
        }
        // Whoever asks again before that one has signed gets it.
        (Some(current), None) => {
            if is_asked && next.is_none() {
                why = Why::Requested;
                let from = after_lead(now);
                let key = SigningKey::generate()?;
                changes.set(NEXT, key.to_pkcs8());
                changes.set(NEXT_SIGNS_FROM, from.to_string().as_bytes());
                next = Some(Next { key, from });
            }
            current
        }
        (None, due) => {
            why = Why::Unreadable;
            let shown = due.or_else(|| next.take());
            shown.map_or_else(SigningKey::generate, |shown| Ok(shown.key))?
        }
    };
    if matches!(why, Why::Rotated | Why::Unreadable) {
        changes.set(CURRENT, current.to_pkcs8());
        life_known = None;
        if next.is_none() {
            changes.remove_if_there(live, [NEXT, NEXT_SIGNS_FROM]);
        }
    }
    if life_known.is_none_or(|known| known < life) {
        changes.set(CURRENT_LIFE, life.as_secs().to_string().as_bytes());
    }
    if is_asked {
        changes.annotations.extend(honoured.map(|digest| (HONOURED.to_owned(), json!(digest))));
    }
    while retired.len() > RETIRED_MAX {
        let Some((id, _)) = retired.iter().min_by_key(|(_, key)| key.until) else { break };
        let id = id.clone();
        changes.remove(format!("{RETIRED}{id}"));
        retired.remove(&id);
    }
    Ok(Decision { keys: SigningKeys { current, next, retired }, step: changes.step(why) })
}

/// The key that signs; `None` where what stands there is none.
pub(crate) fn read_current(secret: &Secret) -> Option<SigningKey> {
    SigningKey::read(&secret.data.as_ref()?.get(CURRENT)?.0)
}

/// The key that follows; what cannot be read is to be taken out.
fn read_next(secret: &Secret, changes: &mut Changes) -> Option<Next> {
    let text = |key| Some(secret.data.as_ref()?.get(key)?.0.as_slice());
    let from = text(NEXT_SIGNS_FROM).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let next = text(NEXT).and_then(SigningKey::read).zip(from);
    if next.is_none() {
        changes.remove_if_there(secret, [NEXT, NEXT_SIGNS_FROM]);
    }
    next.map(|(key, from)| Next { key, from })
}

/// The longest life of a token of the key that signs, as far as it was noted.
fn read_life(secret: &Secret) -> Option<Duration> {
    let text = std::str::from_utf8(&secret.data.as_ref()?.get(CURRENT_LIFE)?.0).ok()?;
    text.parse().ok().map(Duration::from_secs)
}

/// Those before it; what is over, or cannot be read, is to be taken out.
fn read_retired(
    secret: &Secret,
    now: Timestamp,
    changes: &mut Changes,
) -> BTreeMap<String, Retired> {
    let mut retired = BTreeMap::new();
    for (key, text) in secret.data.iter().flatten() {
        let Some(id) = key.strip_prefix(RETIRED) else { continue };
        match serde_json::from_slice::<Retired>(&text.0) {
            Ok(entry) if entry.until > now => drop(retired.insert(id.to_owned(), entry)),
            _ => changes.remove(key.clone()),
        }
    }
    retired
}

fn after_lead(now: Timestamp) -> Timestamp {
    now.checked_add(LEAD).unwrap_or(Timestamp::MAX)
}

/// The id of the key that follows, where there is one.
pub(super) fn next_id(secret: &Secret) -> Option<String> {
    let key = SigningKey::read(&secret.data.as_ref()?.get(NEXT)?.0)?;
    Some(key.id().to_owned())
}

/// A server takes a token for a little longer than it says, for clocks that differ.
fn end(now: Timestamp, life: Duration) -> Timestamp {
    let life = SignedDuration::try_from(life.saturating_add(Jwt::CLOCK_SKEW));
    life.ok().and_then(|life| now.checked_add(life).ok()).unwrap_or(Timestamp::MAX)
}

impl SigningKeys {
    /// What a server knows tokens by: the key that signs first, then the one that will.
    pub(super) fn known(&self) -> Vec<VerificationKey> {
        let next = self.next.iter().map(|next| next.key.public());
        let retired = self.retired.iter();
        let retired = retired.map(|(id, key)| VerificationKey { id: id.clone(), x: key.x.clone() });
        [self.current.public()].into_iter().chain(next).chain(retired).collect()
    }

    /// When other keys hold: another one signs, or the tokens of one before are over.
    pub(super) fn changes_at(&self) -> Option<Timestamp> {
        let begins = self.next.iter().map(|next| next.from);
        self.retired.values().map(|key| key.until).chain(begins).min()
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
                for (key, value) in patch["data"].as_object().into_iter().flatten() {
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
        let decision = decide(live, request, LIFE, true, now).unwrap();
        (done(live, &decision.step), decision)
    }

    fn ids(decision: &Decision) -> Vec<String> {
        decision.keys.known().into_iter().map(|key| key.id).collect()
    }

    /// When a key signs that was asked for.
    const fn later(seconds: i64) -> i64 {
        seconds + LEAD.as_secs()
    }

    #[test]
    fn of_keys_before_the_last_ones_are_known() {
        let mut secret = decided(None, None, at(0)).0;
        let mut ids_before = Vec::new();
        for number in 1..=i64::try_from(RETIRED_MAX).unwrap() + 3 {
            let request = number.to_string();
            let ask = |secret: &Secret, now| decided(Some(secret), Some(&request), at(now));
            let begun = number * later(0);
            let (asked, _) = ask(&secret, begun);
            ids_before.push(read_current(&secret).unwrap().id().to_owned());
            let (next, decision) = ask(&asked, later(begun));
            assert!(decision.keys.retired.len() <= RETIRED_MAX, "{number}");
            let known = ids(&decision);
            let last = ids_before.iter().rev().take(RETIRED_MAX);
            assert!(last.clone().all(|id| known.contains(id)), "{number}: {known:?}");
            secret = next;
            let (_, then) = ask(&secret, later(begun));
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
    fn another_key_is_known_before_it_signs_and_the_one_before_until_its_tokens_are_over() {
        let (secret, first) = decided(None, None, at(0));
        let (secret, asked) = decided(Some(&secret), Some("monday"), at(100));
        assert!(matches!(asked.step, Step::Change(_, Why::Requested)), "{:?}", asked.step);
        assert_eq!(ids(&asked)[..1], ids(&first), "the one before signs on");
        assert_eq!(ids(&asked).len(), 2, "the server is shown both");
        assert_eq!(read_current(&secret).unwrap().id(), first.keys.current.id());
        assert_eq!(asked.keys.changes_at(), Some(at(later(100))));
        for request in [Some("monday"), None] {
            let (_, again) = decided(Some(&secret), request, at(later(99)));
            assert_eq!((&again.step, ids(&again)), (&Step::Keep, ids(&asked)), "{request:?}");
        }
        let (twice, again) = decided(Some(&secret), Some("now"), at(110));
        assert_eq!(ids(&again), ids(&asked), "who asks again gets the same one");
        assert_eq!(decided(Some(&twice), Some("now"), at(111)).1.step, Step::Keep);

        let begun = later(100);
        let (secret, second) = decided(Some(&secret), Some("monday"), at(begun));
        assert!(matches!(second.step, Step::Change(_, Why::Rotated)), "{:?}", second.step);
        assert_eq!(ids(&second), [&ids(&asked)[1], &ids(&asked)[0]].map(String::clone));
        assert_eq!(second.keys.changes_at(), Some(at(begun + 3660)));
        let texts: Vec<_> = secret.data.iter().flatten().map(|(_, text)| text.0.clone()).collect();
        let private = first.keys.current.to_pkcs8();
        assert!(!texts.iter().any(|text| text == private), "its private half is gone");
        let (_, again) = decided(Some(&secret), Some("monday"), at(begun));
        assert_eq!((&again.step, ids(&again)), (&Step::Keep, ids(&second)), "honoured once");

        let (_, over) = decided(Some(&secret), Some("monday"), at(begun + 3660));
        assert!(matches!(over.step, Step::Change(_, Why::Noted)), "{:?}", over.step);
        assert_eq!(ids(&over), ids(&second)[..1]);
    }

    #[test]
    fn a_key_is_known_for_the_longest_life_of_a_token_that_it_has_signed() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let step = |secret: &Secret, request, life, now| {
            let decision = decide(Some(secret), request, life, true, at(now)).unwrap();
            (done(Some(secret), &decision.step), decision)
        };
        let made = decide(None, None, hours(1), true, at(0)).unwrap();
        let secret = done(None, &made.step);
        let odd = Duration::from_millis(3_600_500);
        assert_eq!(step(&secret, None, odd, 1).1.step, Step::Keep, "tokens end with a second");
        let (secret, longer) = step(&secret, None, hours(9), 1);
        assert!(matches!(longer.step, Step::Change(_, Why::Noted)), "{:?}", longer.step);
        let (secret, shorter) = step(&secret, None, hours(1), 2);
        assert_eq!(shorter.step, Step::Keep, "tokens of nine hours are out");
        let (secret, _) = step(&secret, Some("monday"), hours(1), 3);
        let (secret, second) = step(&secret, Some("monday"), hours(1), later(3));
        assert_eq!(second.keys.changes_at(), Some(at(later(3) + 9 * 3600 + 60)));
        // Those of the next one live an hour.
        let (secret, _) = step(&secret, Some("tuesday"), hours(1), 1_000);
        let (_, third) = step(&secret, Some("tuesday"), hours(1), later(1_000));
        assert_eq!(third.keys.changes_at(), Some(at(later(1_000) + 3660)));
    }

    #[test]
    fn a_key_does_not_sign_before_it_was_shown_for_a_while() {
        let (secret, _) = decided(None, None, at(0));
        let (mut secret, asked) = decided(Some(&secret), Some("monday"), at(100));
        let look = |secret: &Secret, is_shown, now| {
            let decision = decide(Some(secret), Some("monday"), LIFE, is_shown, at(now)).unwrap();
            (done(Some(secret), &decision.step), decision)
        };
        assert_eq!(look(&secret, false, 101).1.step, Step::Keep, "there is time left");
        for now in [later(90), later(190), later(1_000)] {
            let (next, then) = look(&secret, false, now);
            assert!(matches!(then.step, Step::Change(_, Why::Noted)), "{now}: {:?}", then.step);
            assert_eq!(ids(&then), ids(&asked), "{now}");
            assert_eq!(then.keys.changes_at(), Some(at(later(now))), "{now}");
            assert_eq!(
                look(&next, false, now).1.step,
                Step::Keep,
                "{now}: it is not written again"
            );
            secret = next;
        }
        let (_, then) = look(&secret, true, later(later(1_000)));
        assert!(matches!(then.step, Step::Change(_, Why::Rotated)), "{:?}", then.step);
    }

    #[test]
    fn where_no_key_can_be_read_the_one_that_follows_signs_at_once() {
        let (secret, _) = decided(None, None, at(0));
        let (mut secret, asked) = decided(Some(&secret), Some("monday"), at(100));
        secret.data.as_mut().unwrap().insert(CURRENT.to_owned(), ByteString(b"hunter2".to_vec()));
        let (secret, then) = decided(Some(&secret), Some("monday"), at(101));
        assert!(matches!(then.step, Step::Change(_, Why::Unreadable)), "{:?}", then.step);
        assert_eq!(ids(&then), ids(&asked)[1..]);
        let keys: Vec<_> = secret.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, [CURRENT, CURRENT_LIFE]);
    }

    #[test]
    fn what_is_no_key_is_replaced_and_what_is_no_entry_goes() {
        let (whole, first) = decided(None, None, at(0));
        for text in [&b""[..], b"hunter2", &first.keys.current.to_pkcs8()[..30]] {
            let mut secret = whole.clone();
            let data = secret.data.as_mut().unwrap();
            data.insert(CURRENT.to_owned(), ByteString(text.to_vec()));
            data.insert(format!("{RETIRED}odd"), ByteString(b"hunter2".to_vec()));
            data.insert(NEXT.to_owned(), ByteString(b"hunter2".to_vec()));
            data.insert("theirs".to_owned(), ByteString(b"x".to_vec()));
            let (secret, then) = decided(Some(&secret), None, at(1));
            assert!(matches!(then.step, Step::Change(_, Why::Unreadable)));
            let keys: Vec<_> = secret.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, [CURRENT, CURRENT_LIFE, "theirs"], "what is somebody else's is left");
            assert_eq!(read_current(&secret).unwrap().id(), then.keys.current.id());
        }
    }
}
