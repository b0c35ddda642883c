//! A namespace: keys with JSON values under one version.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;

use crate::expiry::Expiries;
use crate::{EntityTag, Expiry, Patch, Quota, Result, StoreError, Verdict, WallClock};

/// The longest key of a member, in bytes.
pub const MEMBER_KEY_BYTES_MAX: usize = 256;

/// How many keys that are over go with one version: as many as one patch may have operations.
const EXPIRED_AT_ONCE: usize = 1_000;

/// The most bytes of an encoded snapshot, whatever a quota allows: with the times of all keys, a
/// namespace's file stays so short that it is read again.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 256 << 20;

/// The highest version. No namespace gets there one patch at a time; one whose file a person wrote
/// may, and what cannot be read again is not to be acknowledged.
pub(crate) const VERSION_MAX: u64 = 1 << 63;

/// The key of one value in a namespace: 1–256 bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberKey(Arc<str>);

/// The text is empty or longer than [`MEMBER_KEY_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is 1 to {MEMBER_KEY_BYTES_MAX} bytes of UTF-8")]
pub struct InvalidMemberKey;

impl MemberKey {
    /// Checks the length.
    ///
    /// # Errors
    /// [`InvalidMemberKey`] outside 1–256 bytes.
    pub fn new(key: &str) -> Result<Self, InvalidMemberKey> {
        if key.is_empty() || key.len() > MEMBER_KEY_BYTES_MAX {
            return Err(InvalidMemberKey);
        }
        Ok(Self(key.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for MemberKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One step of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Sets a key, whether it stood there or not, for good.
    Set {
        /// The key.
        key: MemberKey,
        /// Its value: compact JSON text, which the caller has checked; kept byte for byte.
        value: Bytes,
    },
    /// Sets a key, whether it stood there or not, until it is over.
    SetUntil {
        /// The key.
        key: MemberKey,
        /// As for [`Self::Set`].
        value: Bytes,
        /// From then on, the key is gone.
        expiry: Expiry,
    },
    /// Removes a key; one that is not there is no error.
    Delete {
        /// The key.
        key: MemberKey,
    },
    /// Removes every key.
    Clear,
}

/// The state of a namespace at one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    version: u64,
    /// Shared with the versions before and after but for what differs, so that a patch costs what
    /// its operations cost.
    members: OrdMap<MemberKey, Bytes>,
    /// Bytes of the members in the encoded snapshot, without braces and commas; kept up to date
    /// so that a quota costs nothing to check.
    member_bytes: u64,
    /// When keys are over; `None` where none ever is.
    expiries: Option<Arc<Expiries>>,
}

impl Namespace {
    /// A namespace as it was stored.
    #[must_use]
    pub(crate) fn from_parts(
        version: u64,
        members: OrdMap<MemberKey, Bytes>,
        expiries: Expiries,
    ) -> Self {
        let member_bytes = members.iter().map(|(key, value)| encoded_bytes(key, value)).sum();
        let expiries = (!expiries.is_empty()).then(|| Arc::new(expiries));
        Self { version, members, member_bytes, expiries }
    }

    /// How many patches were accepted since the namespace was first written; 0 before.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version as an entity tag.
    #[must_use]
    pub fn tag(&self) -> EntityTag {
        EntityTag::from_version(self.version)
    }

    /// The value of a key: compact JSON text.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Bytes> {
        self.members.get(key)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The length of [`Self::snapshot`] in bytes.
    #[must_use]
    pub fn snapshot_bytes(&self) -> u64 {
        2 + self.member_bytes + (self.members.len() as u64).saturating_sub(1)
    }

    /// The JSON object of all keys, compact, keys in byte order.
    #[must_use]
    pub fn snapshot(&self) -> Bytes {
        let capacity = usize::try_from(self.snapshot_bytes()).unwrap_or_default();
        let mut out = Vec::with_capacity(capacity);
        out.push(b'{');
        for (i, (key, value)) in self.members.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_member(&mut out, key, value);
        }
        out.push(b'}');
        out.into()
    }

    /// A part of [`Self::snapshot`]: the members after a key (`None` for the start), up to the one
    /// that makes it at least so many bytes. The last part comes without a key to go on after.
    #[must_use]
    pub fn snapshot_part(
        &self,
        after: Option<&MemberKey>,
        bytes: usize,
    ) -> (Bytes, Option<MemberKey>) {
        let mut out = Vec::new();
        let mut is_first = after.is_none();
        if is_first {
            out.push(b'{');
        }
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, value) in self.members.range::<_, MemberKey>((from, Bound::Unbounded)) {
            if !is_first {
                out.push(b',');
            }
            is_first = false;
            write_member(&mut out, key, value);
            if out.len() >= bytes {
                return (out.into(), Some(key.clone()));
            }
        }
        out.push(b'}');
        (out.into(), None)
    }

    /// Applies a patch as one step: the operations in order, then the version grows by one.
    pub(crate) fn apply(&mut self, operations: &[Operation]) {
        for operation in operations {
            match operation {
                Operation::Set { key, value } => {
                    self.set(key, value);
                    self.set_expiry(key, None);
                }
                Operation::SetUntil { key, value, expiry } => {
                    self.set(key, value);
                    self.set_expiry(key, Some(*expiry));
                }
                Operation::Delete { key } => {
                    self.set_expiry(key, None);
                    if let Some(old) = self.members.remove(key) {
                        self.member_bytes -= encoded_bytes(key, &old);
                    }
                }
                Operation::Clear => {
                    self.members = OrdMap::new();
                    self.member_bytes = 0;
                    self.expiries = None;
                }
            }
        }
        self.version += 1;
    }

    fn set(&mut self, key: &MemberKey, value: &Bytes) {
        self.member_bytes += encoded_bytes(key, value);
        if let Some(old) = self.members.insert(key.clone(), value.clone()) {
            self.member_bytes -= encoded_bytes(key, &old);
        }
    }

    fn set_expiry(&mut self, key: &MemberKey, expiry: Option<Expiry>) {
        if self.expiries.is_none() && expiry.is_none() {
            return;
        }
        let expiries = Arc::make_mut(self.expiries.get_or_insert_default());
        match expiry {
            Some(expiry) => expiries.set(key, expiry),
            None => expiries.remove(key),
        }
        if expiries.is_empty() {
            self.expiries = None;
        }
    }

    /// When the next key is over, `None` where none ever is.
    #[must_use]
    pub fn earliest_expiry(&self) -> Option<Expiry> {
        self.expiries.as_ref()?.earliest()
    }

    /// Whether a key is over.
    pub(crate) fn is_due(&self, clock: &WallClock) -> bool {
        self.earliest_expiry().is_some_and(|expiry| expiry <= clock.now())
    }

    /// The operations that remove keys that are over, the first thousand of them: others wait while
    /// they are decided on.
    pub(crate) fn expired(&self, now: Expiry) -> Vec<Operation> {
        let delete = |key: &MemberKey| Operation::Delete { key: key.clone() };
        let due = self.expiries.iter().flat_map(|expiries| expiries.due(now));
        due.take(EXPIRED_AT_ONCE).map(delete).collect()
    }

    /// How many keys will be over.
    pub(crate) fn expiries(&self) -> usize {
        self.expiries.as_ref().map_or(0, |expiries| expiries.len())
    }

    /// The JSON object of the keys that will be over, with the milliseconds since 1970; `None` where
    /// there is none.
    pub(crate) fn expires_json(&self) -> Option<Vec<u8>> {
        let mut out = vec![b'{'];
        for (i, (key, expiry)) in self.expiries.as_ref()?.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_json_string(&mut out, key.as_str());
            out.push(b':');
            out.extend_from_slice(expiry.milliseconds().to_string().as_bytes());
        }
        out.push(b'}');
        Some(out)
    }

    /// The next version, by the operations that lead there: how who watches follows.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] at [`VERSION_MAX`].
    pub fn next(&self, operations: &[Operation]) -> Result<Self> {
        if self.version >= VERSION_MAX {
            let reason = "there is no version after its own; stop the store, then lower it";
            return Err(StoreError::Corrupt { key: "a namespace".into(), reason: reason.into() });
        }
        let mut next = self.clone();
        next.apply(operations);
        Ok(next)
    }

    /// Decides a patch: the next state, or why not. Pure; what every backend runs in its writer.
    ///
    /// # Errors
    /// [`StoreError::PreconditionFailed`] with the current tag, [`StoreError::QuotaExceeded`];
    /// [`StoreError::Corrupt`] at [`VERSION_MAX`].
    pub(crate) fn patched(&self, patch: &Patch) -> Result<Self> {
        if patch.preconditions.evaluate(Some(&self.tag())) != Verdict::Holds {
            return Err(StoreError::PreconditionFailed { current: Some(self.tag()) });
        }
        let next = self.next(&patch.operations)?;
        let keys = |namespace: &Self| namespace.len() as u64;
        let max_bytes = patch.max_bytes.unwrap_or(SNAPSHOT_BYTES_MAX).min(SNAPSHOT_BYTES_MAX);
        within(Quota::Bytes, Some(max_bytes), self.snapshot_bytes(), next.snapshot_bytes())?;
        within(Quota::Keys, patch.max_keys, keys(self), keys(&next))?;
        Ok(next)
    }
}

/// A namespace over its quota may shrink, or stay, so that a lowered quota does not lock it.
fn within(quota: Quota, limit: Option<u64>, before: u64, after: u64) -> Result<()> {
    match limit {
        Some(limit) if after > limit && after > before => {
            Err(StoreError::QuotaExceeded { quota, limit, needed: after })
        }
        _ => Ok(()),
    }
}

/// `"key":value`.
fn encoded_bytes(key: &MemberKey, value: &Bytes) -> u64 {
    let escapes: usize = key.as_str().bytes().map(|b| escape(b).map_or(0, |e| e.len() - 1)).sum();
    (key.as_str().len() + escapes + value.len() + 3) as u64
}

fn write_member(out: &mut Vec<u8>, key: &MemberKey, value: &Bytes) {
    write_json_string(out, key.as_str());
    out.push(b':');
    out.extend_from_slice(value);
}

fn write_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match escape(byte) {
            Some(escape) => out.extend_from_slice(escape.as_bytes()),
            None => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The bytes that RFC 8259 §7 does not allow as themselves in a string.
fn escape(byte: u8) -> Option<&'static str> {
    const CONTROL: [&str; 32] = [
        "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007",
        "\\b", "\\t", "\\n", "\\u000b", "\\f", "\\r", "\\u000e", "\\u000f", "\\u0010", "\\u0011",
        "\\u0012", "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019",
        "\\u001a", "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f",
    ];
    match byte {
        b'"' => Some("\\\""),
        b'\\' => Some("\\\\"),
        _ => CONTROL.get(usize::from(byte)).copied(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Few enough keys that operations meet, of any text: escapes, controls, other planes.
    fn key() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec![
                "a", "b", "\"", "\\", "\u{0}", "\u{1f}", "\u{7f}", "é", "🚀"
            ])
            .prop_map(str::to_owned),
            "\\PC{1,20}",
            prop::collection::vec(any::<char>(), 1..20).prop_map(String::from_iter),
        ]
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
            prop::collection::vec(any::<u8>(), 0..4).prop_map(Into::into),
        ]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(String, serde_json::Value),
        Delete(String),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (key(), value()).prop_map(|(key, value)| Step::Set(key, value)),
            4 => key().prop_map(Step::Delete),
            1 => Just(Step::Clear),
        ]
    }

    fn operation(step: &Step) -> Operation {
        let key = |key: &str| MemberKey::new(key).unwrap();
        match step {
            Step::Set(k, value) => Operation::Set { key: key(k), value: value.to_string().into() },
            Step::Delete(k) => Operation::Delete { key: key(k) },
            Step::Clear => Operation::Clear,
        }
    }

    fn follow(model: &mut BTreeMap<String, serde_json::Value>, step: Step) {
        match step {
            Step::Set(key, value) => {
                model.insert(key, value);
            }
            Step::Delete(key) => {
                model.remove(&key);
            }
            Step::Clear => model.clear(),
        }
    }

    #[test]
    fn a_namespace_never_outgrows_what_can_be_read_again() {
        let value = Bytes::from(format!("\"{}\"", "v".repeat(8 << 20)));
        let set = |key: u64| {
            let key = MemberKey::new(&key.to_string()).unwrap();
            vec![Operation::Set { key, value: value.clone() }]
        };
        let patch = |operations, max_bytes| Patch { operations, max_bytes, ..Patch::default() };
        for quota in [None, Some(u64::MAX)] {
            let mut namespace = Namespace::default();
            let refused = loop {
                match namespace.patched(&patch(set(namespace.version()), quota)) {
                    Ok(next) => namespace = next,
                    Err(error) => break error,
                }
                assert!(namespace.version() < 1_000, "it is never refused");
            };
            let StoreError::QuotaExceeded { quota: Quota::Bytes, limit, needed } = refused else {
                panic!("expected that a quota of bytes is exceeded, got {refused}");
            };
            assert_eq!(limit, SNAPSHOT_BYTES_MAX);
            assert!(needed > limit && namespace.snapshot_bytes() <= limit, "{needed}");
            let key = MemberKey::new("0").unwrap();
            let less = namespace.patched(&patch(vec![Operation::Delete { key }], quota));
            assert!(less.is_ok(), "it may shrink: {less:?}");
        }
    }

    proptest! {
        #[test]
        fn a_namespace_is_a_map_with_a_version(patches in prop::collection::vec(prop::collection::vec(step(), 0..6), 0..12)) {
            let mut namespace = Namespace::default();
            let mut model = BTreeMap::new();
            for (i, patch) in patches.into_iter().enumerate() {
                namespace.apply(&patch.iter().map(operation).collect::<Vec<_>>());
                patch.into_iter().for_each(|step| follow(&mut model, step));

                prop_assert_eq!(namespace.version(), i as u64 + 1);
                prop_assert_eq!(namespace.len(), model.len());
                let snapshot = namespace.snapshot();
                prop_assert_eq!(namespace.snapshot_bytes(), snapshot.len() as u64);
                let parsed: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&snapshot)?;
                prop_assert_eq!(&parsed, &model);
                let (mut parts, mut after) = (Vec::new(), None);
                loop {
                    let (part, last) = namespace.snapshot_part(after.as_ref(), 16);
                    prop_assert!(last.is_none() || part.len() >= 16);
                    parts.extend_from_slice(&part);
                    after = last;
                    if after.is_none() {
                        break;
                    }
                }
                prop_assert_eq!(&parts, &snapshot, "the parts are the whole");
                for (key, value) in &model {
                    prop_assert_eq!(namespace.get(key), Some(&Bytes::from(value.to_string())));
                }
                let again = Namespace::from_parts(namespace.version(), namespace.members.clone(), Expiries::default());
                prop_assert_eq!(&again, &namespace, "the counted bytes are those of the members");
            }
        }
    }

    #[test]
    fn a_key_is_1_to_256_bytes() {
        for (key, valid) in
            [("", false), ("k", true), (&*"k".repeat(256), true), (&*"é".repeat(129), false)]
        {
            assert_eq!(MemberKey::new(key).is_ok(), valid, "{key:?}");
        }
    }
}
