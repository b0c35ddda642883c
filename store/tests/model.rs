//! Random histories: the volume, closed and opened anywhere, does what the model does.

#[path = "support/keys.rs"]
mod keys;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use stowage_store::{
    Change, EntityTag, Expiry, Key, MemberKey, MemoryStore, Name, NameKind, NamespaceKey,
    Operation, Patch, Preconditions, Prefix, RemovedJob, Result, Segment, Store, StoreError,
    TagCondition, Version, VolumeOptions, VolumeStore, WallClock, WireTag,
};
use tempfile::TempDir;

use keys::{document, namespace, set};

const DOCUMENTS: usize = 5;

/// The one that is a job; the one behind it belongs to that job.
const JOB: usize = 3;
const NAMESPACES: usize = 2;

/// How many versions both keep.
const VERSIONS: usize = 5;

/// A tag, as far as it can be said before the stores have made any.
#[derive(Debug, Clone)]
enum Tag {
    /// The tag of an earlier write, counted back from the last.
    Back(usize),
    Foreign,
}

#[derive(Debug, Clone)]
enum Condition {
    Unset,
    Any,
    Tags(Vec<(bool, Tag)>),
}

type Conditions = (Condition, Condition);

#[derive(Debug, Clone)]
enum Step {
    Put(usize, Vec<u8>, Conditions),
    Update(usize, Change, Conditions),
    Delete(usize, Conditions),
    DeleteJob(Conditions),
    Patch {
        namespace: usize,
        version: Option<u64>,
        operations: Vec<Operation>,
        quota: Option<u64>,
    },
    List {
        after: Option<usize>,
        limit: usize,
    },
    /// Time passes.
    Wait(u64),
    Reopen {
        cache_bytes: u64,
    },
}

fn condition() -> impl Strategy<Value = Condition> {
    let tag = prop_oneof![6 => (0..4_usize).prop_map(Tag::Back), 1 => Just(Tag::Foreign)];
    prop_oneof![
        6 => Just(Condition::Unset),
        1 => Just(Condition::Any),
        3 => prop::collection::vec((prop::bool::weighted(0.1), tag), 0..3).prop_map(Condition::Tags),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    // Equal bytes are common, so that A→B→A happens.
    prop_oneof![Just(b"A".to_vec()), Just(b"B".to_vec()), prop::collection::vec(any::<u8>(), 0..64)]
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = prop_oneof![
        prop::sample::select(vec!["a", "b", "\"", "\\u0000"]).prop_map(str::to_owned),
        prop::collection::vec(any::<char>(), 1..8).prop_map(String::from_iter),
    ];
    let value =
        prop::sample::select(vec!["null", "1.0", r#""\ud83d""#, r#"[1,{"b":"a b","a":2}]"#]);
    prop_oneof![
        6 => (key.clone(), value.clone()).prop_map(|(key, value)| set(&key, value)),
        4 => (key.clone(), value, 0..20_u64).prop_map(|(key, value, expiry)| Operation::SetUntil {
            key: MemberKey::new(&key).expect("a key"),
            value: value.into(),
            expiry: Expiry::at_milliseconds(expiry),
        }),
        3 => key.prop_map(|key| Operation::Delete { key: MemberKey::new(&key).expect("a key") }),
        1 => Just(Operation::Clear),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let conditions = || (condition(), condition());
    let change = prop_oneof![
        Just(Change::Keep),
        Just(Change::Delete),
        body().prop_map(|body| Change::Put(body.into())),
    ];
    let patch = (
        0..NAMESPACES,
        prop::option::of(0..6_u64),
        prop::collection::vec(operation(), 0..4),
        prop::option::weighted(0.3, 0..60_u64),
    );
    prop_oneof![
        4 => (0..DOCUMENTS, body(), conditions()).prop_map(|(d, body, c)| Step::Put(d, body, c)),
        2 => (0..DOCUMENTS, change, conditions()).prop_map(|(d, change, c)| Step::Update(d, change, c)),
        2 => (0..DOCUMENTS, conditions()).prop_map(|(d, c)| Step::Delete(d, c)),
        2 => conditions().prop_map(Step::DeleteJob),
        4 => patch.prop_map(|(namespace, version, operations, quota)| {
            Step::Patch { namespace, version, operations, quota }
        }),
        1 => (prop::option::of(0..DOCUMENTS), 0..4_usize)
            .prop_map(|(after, limit)| Step::List { after, limit }),
        3 => (0..4_u64).prop_map(Step::Wait),
        1 => prop_oneof![Just(0), Just(64 << 20)].prop_map(|cache_bytes| Step::Reopen { cache_bytes }),
    ]
}

fn key(document_number: usize) -> Key {
    match document_number {
        0 => Key::default_run_store(),
        JOB => Key::job(&job()),
        4 => Key::checkpoint(&job(), &Name::parse(NameKind::Checkpoint, "c").expect("a name")),
        n => document(&n.to_string()),
    }
}

fn job() -> Segment {
    (&Name::parse(NameKind::Job, "j").expect("a name")).into()
}

fn namespace_key(number: usize) -> NamespaceKey {
    namespace(&number.to_string())
}

/// Both values, or none where both refused likewise.
fn both<M, V>(model: Result<M>, volume: Result<V>) -> Result<Option<(M, V)>, TestCaseError> {
    match (model, volume) {
        (Ok(model), Ok(volume)) => Ok(Some((model, volume))),
        (Err(model), Err(volume)) => {
            prop_assert_eq!(format!("{model:?}"), format!("{volume:?}"));
            Ok(None)
        }
        (Ok(_), Err(error)) => Err(TestCaseError::fail(format!("the volume refused: {error}"))),
        (Err(error), Ok(_)) => Err(TestCaseError::fail(format!("the model refused: {error}"))),
    }
}

/// The same history on both sides, with the tags that each has given out.
struct Pair {
    directory: TempDir,
    clock: Arc<AtomicU64>,
    model: MemoryStore,
    volume: VolumeStore,
    /// By document: the tags of its writes, the model's and the volume's.
    history: [Vec<(EntityTag, EntityTag)>; DOCUMENTS],
    real: HashMap<EntityTag, EntityTag>,
}

#[derive(Clone, Copy)]
enum Side {
    Model,
    Volume,
}

impl Pair {
    fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let clock = Arc::new(AtomicU64::new(0));
        let manual = || WallClock::Manual(Arc::clone(&clock));
        let options =
            VolumeOptions { clock: manual(), history: VERSIONS, ..VolumeOptions::default() };
        let volume = VolumeStore::open(directory.path(), &options);
        Self {
            directory,
            model: MemoryStore::with_history(manual(), VERSIONS),
            clock,
            volume: volume.expect("a store in a new directory"),
            history: Default::default(),
            real: HashMap::new(),
        }
    }

    fn preconditions(
        &self,
        document: usize,
        (if_match, if_none_match): &Conditions,
        side: Side,
    ) -> Preconditions {
        let opaque = |tag: &Tag| match tag {
            Tag::Foreign => "foreign".to_owned(),
            Tag::Back(n) => match (self.history[document].iter().rev().nth(*n), side) {
                (None, _) => "none yet".to_owned(),
                (Some((model, _)), Side::Model) => model.opaque().to_owned(),
                (Some((_, volume)), Side::Volume) => volume.opaque().to_owned(),
            },
        };
        let condition = |condition: &Condition| match condition {
            Condition::Unset => None,
            Condition::Any => Some(TagCondition::Any),
            Condition::Tags(tags) => Some(TagCondition::Tags(
                tags.iter()
                    .map(|(weak, tag)| WireTag { weak: *weak, opaque: opaque(tag) })
                    .collect(),
            )),
        };
        Preconditions { if_match: condition(if_match), if_none_match: condition(if_none_match) }
    }

    /// Takes note that both have written; the volume's tag must be a new one.
    fn wrote(&mut self, document: usize, model: EntityTag, volume: EntityTag) -> TestCaseResult {
        let known = self.history[document].iter().any(|(_, tag)| *tag == volume);
        prop_assert!(!known, "{} was given out before", volume);
        self.history[document].push((model.clone(), volume.clone()));
        self.real.insert(model, volume);
        Ok(())
    }

    /// The tag of the volume in the place of one of the model's.
    fn real_of(&self, tag: Option<EntityTag>) -> Option<EntityTag> {
        tag.map(|tag| self.real.get(&tag).cloned().unwrap_or(tag))
    }

    /// The same in a document's refusal.
    fn translated(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::PreconditionFailed { current } => {
                StoreError::PreconditionFailed { current: self.real_of(current) }
            }
            other => other,
        }
    }

    /// Both tell the same versions, and each is the same on both.
    async fn histories_agree(&self) -> TestCaseResult {
        for number in 0..DOCUMENTS {
            let key = key(number);
            let model = self.model.history(&key).await.expect("a history");
            let volume = self.volume.history(&key).await.expect("a history");
            let tags = |versions: &[Version]| -> Vec<EntityTag> {
                versions.iter().map(|it| it.tag.clone()).collect()
            };
            let real: Vec<_> =
                tags(&model).iter().filter_map(|it| self.real.get(it)).cloned().collect();
            prop_assert_eq!(real, tags(&volume));
            for (model, volume) in model.iter().zip(&volume) {
                let model = self.model.version(&key, model).await.expect("a look");
                let volume = self.volume.version(&key, volume).await.expect("a look");
                prop_assert_eq!(model.map(|it| it.body.clone()), volume.map(|it| it.body.clone()));
            }
        }
        for number in 0..NAMESPACES {
            let key = namespace_key(number);
            let model = self.model.namespace_history(&key).await.expect("a history");
            let volume = self.volume.namespace_history(&key).await.expect("a history");
            let told = |it: &Version| (it.tag.clone(), it.time);
            let [model, volume] = [model, volume].map(|it| it.iter().map(told).collect::<Vec<_>>());
            prop_assert_eq!(&model, &volume);
            for version in 0..model.len() as u64 + 2 {
                let model = self.model.namespace_version(&key, version).await.expect("a look");
                let volume = self.volume.namespace_version(&key, version).await.expect("a look");
                prop_assert_eq!(model, volume);
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> TestCaseResult {
        match step {
            Step::Put(d, body, conditions) => {
                let at = |side| self.preconditions(d, &conditions, side);
                let model = self.model.put(&key(d), body.clone().into(), at(Side::Model)).await;
                let volume = self.volume.put(&key(d), body.into(), at(Side::Volume)).await;
                if let Some((model, volume)) =
                    both(model.map_err(|error| self.translated(error)), volume)?
                {
                    prop_assert_eq!(model.created, volume.created);
                    prop_assert_eq!(self.real_of(model.replaced), volume.replaced);
                    self.wrote(d, model.tag, volume.tag)?;
                }
            }
            Step::Update(d, change, conditions) => {
                let at = |side| self.preconditions(d, &conditions, side);
                let edit = || {
                    let change = change.clone();
                    Box::new(move |_: Option<&_>| change.clone())
                };
                let model = self.model.update(&key(d), at(Side::Model), edit()).await;
                let volume = self.volume.update(&key(d), at(Side::Volume), edit()).await;
                if let Some((model, volume)) =
                    both(model.map_err(|error| self.translated(error)), volume)?
                {
                    if let (Change::Put(_), Some(model), Some(volume)) =
                        (&change, &model.after, &volume.after)
                    {
                        self.wrote(d, model.tag.clone(), volume.tag.clone())?;
                    }
                    for (model, volume) in
                        [(&model.before, &volume.before), (&model.after, &volume.after)]
                    {
                        let expected = model.as_ref().map(|o| (&o.body, &self.real[&o.tag]));
                        prop_assert_eq!(expected, volume.as_ref().map(|o| (&o.body, &o.tag)));
                    }
                }
            }
            Step::Delete(d, conditions) => {
                let at = |side| self.preconditions(d, &conditions, side);
                let model = self.model.delete(&key(d), at(Side::Model)).await;
                let volume = self.volume.delete(&key(d), at(Side::Volume)).await;
                if let Some((model, volume)) =
                    both(model.map_err(|error| self.translated(error)), volume)?
                {
                    prop_assert_eq!(self.real_of(model), volume);
                }
            }
            Step::DeleteJob(conditions) => {
                let at = |side| self.preconditions(JOB, &conditions, side);
                let model = self.model.delete_job(&job(), at(Side::Model)).await;
                let volume = self.volume.delete_job(&job(), at(Side::Volume)).await;
                if let Some((model, volume)) =
                    both(model.map_err(|error| self.translated(error)), volume)?
                {
                    let model = model.map(|it| RemovedJob { tag: self.real_of(it.tag) });
                    prop_assert_eq!(model, volume);
                }
            }
            Step::Patch { namespace, version, operations, quota } => {
                let if_match = version.map(|version| {
                    TagCondition::Tags(vec![WireTag { weak: false, opaque: version.to_string() }])
                });
                let patch = Patch {
                    preconditions: Preconditions { if_match, if_none_match: None },
                    operations,
                    max_bytes: quota,
                    max_keys: quota.map(|quota| quota / 10),
                    ..Patch::default()
                };
                let key = namespace_key(namespace);
                let model = self.model.patch(&key, patch.clone()).await;
                let volume = self.volume.patch(&key, patch).await;
                if let Some((model, volume)) = both(model, volume)? {
                    prop_assert_eq!(model.created, volume.created);
                    prop_assert_eq!(model.namespace, volume.namespace);
                }
            }
            Step::List { after, limit } => {
                let (prefix, after) = (Prefix::run_stores(), after.map(key));
                let model = self.model.list(&prefix, after.as_ref(), limit).await;
                let volume = self.volume.list(&prefix, after.as_ref(), limit).await;
                if let Some((model, volume)) = both(model, volume)? {
                    prop_assert_eq!(model, volume);
                }
            }
            Step::Wait(milliseconds) => {
                self.clock.fetch_add(milliseconds, Ordering::SeqCst);
            }
            Step::Reopen { cache_bytes } => {
                self.volume.shutdown().await;
                let clock = WallClock::Manual(Arc::clone(&self.clock));
                let options = VolumeOptions {
                    cache_bytes,
                    clock,
                    history: VERSIONS,
                    ..VolumeOptions::default()
                };
                self.volume = VolumeStore::open(self.directory.path(), &options)
                    .map_err(|error| TestCaseError::fail(error.to_string()))?;
            }
        }
        self.same_state().await
    }

    async fn same_state(&self) -> TestCaseResult {
        for d in 0..DOCUMENTS {
            let model = self.model.get(&key(d)).await.expect("the model answers");
            let volume = self.volume.get(&key(d)).await;
            let volume = volume.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let expected = model.as_ref().map(|o| (&o.body, &self.real[&o.tag]));
            prop_assert_eq!(expected, volume.as_ref().map(|o| (&o.body, &o.tag)), "{}", key(d));
        }
        for n in 0..NAMESPACES {
            let model = self.model.namespace(&namespace_key(n)).await.expect("the model answers");
            let volume = self.volume.namespace(&namespace_key(n)).await;
            let volume = volume.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(model, volume, "{}", namespace_key(n));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_history_does_on_the_volume_what_it_does_in_the_model(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut pair = Pair::new();
            for step in steps {
                pair.step(step).await?;
                pair.histories_agree().await?;
            }
            pair.step(Step::Reopen { cache_bytes: 0 }).await?;
            pair.histories_agree().await
        })?;
    }
}
