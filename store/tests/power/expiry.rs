//! Keys that are over, and power cuts: what was told gone stays gone, at every cut and whatever
//! the clock shows afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stowage_store::{
    Expiry, MemberKey, Name, NameKind, Namespace, NamespaceKey, Operation, Patch, Store,
    VolumeOptions, VolumeStore, WallClock,
};

use crate::disk::{SimDisk, Survival};

const STEPS: u64 = 24;

fn options(clock: &Arc<AtomicU64>) -> VolumeOptions {
    VolumeOptions {
        clock: WallClock::Manual(Arc::clone(clock)),
        checkpoint_after: std::time::Duration::from_millis(2),
        ..VolumeOptions::default()
    }
}

/// What was told: after so many steps on the disk, this version was read, and every key in it.
struct Told {
    operations: usize,
    clock: u64,
    namespace: Arc<Namespace>,
}

fn key() -> NamespaceKey {
    NamespaceKey::shared(&Name::parse(NameKind::Namespace, "n").expect("a name"))
}

async fn session(disk: &SimDisk, seed: u64) -> Vec<Told> {
    let mut random = fastrand::Rng::with_seed(seed);
    let clock = Arc::new(AtomicU64::new(1));
    let store = VolumeStore::open_on(Arc::new(disk.clone()), &options(&clock)).expect("a store");
    let mut told = Vec::new();
    for step in 1..=STEPS {
        let now = clock.fetch_add(random.u64(..3), Ordering::SeqCst);
        let name = MemberKey::new(&format!("k{}", random.usize(..6))).expect("a key");
        let value = step.to_string().into();
        let expiry = Expiry::at_milliseconds(now + random.u64(1..5));
        let operations = vec![match random.usize(..6) {
            0 => Operation::Set { key: name, value },
            1 => Operation::Delete { key: name },
            _ => Operation::SetUntil { key: name, value, expiry },
        }];
        store.patch(&key(), Patch { operations, ..Patch::default() }).await.expect("a patch");
        if random.bool() {
            // So that the tree gets some of it.
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        let namespace = store.namespace(&key()).await.expect("the namespace");
        let clock = clock.load(Ordering::SeqCst);
        let operations = disk.recording().operations().count();
        told.push(Told { operations, clock, namespace });
    }
    store.shutdown().await;
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_gone_stays_gone_at_every_cut() {
    for seed in 0..4 {
        let disk = SimDisk::new();
        let told = session(&disk, seed).await;
        let recording = disk.recording();
        let mut walk = recording.walk();
        let cuts: Vec<_> = recording.operations().collect();
        for (before, cut) in cuts.iter().enumerate().step_by(3) {
            let survival = if before.is_multiple_of(2) { Survival::Lost } else { Survival::Kept };
            let after = walk.power_cut_at(*cut, survival, seed);
            let last = told.iter().take_while(|told| told.operations <= before).last();
            // As if no time had passed, and as if the clock were set back.
            for back in [false, true] {
                let now = last.map_or(1, |last| last.clock);
                let clock = Arc::new(AtomicU64::new(if back { 0 } else { now }));
                let disk = after.fork_after(Survival::Kept, 0);
                let store = VolumeStore::open_on(Arc::new(disk), &options(&clock));
                let store = store.expect("the journal is sound");
                let read = store.namespace(&key()).await.expect("the namespace");
                let context = format!("seed {seed}, cut {before}, back: {back}");
                if let Some(last) = last {
                    let (found, expected) = (read.version(), last.namespace.version());
                    assert!(found >= expected, "{context}: {found} after {expected}");
                    if found == expected {
                        assert_eq!(read.snapshot(), last.namespace.snapshot(), "{context}");
                    }
                }
                if let Some(next) =
                    told.iter().find(|next| next.namespace.version() == read.version())
                {
                    assert_eq!(read.snapshot(), next.namespace.snapshot(), "{context}");
                }
                store.shutdown().await;
            }
        }
    }
}
