//! Many clients on a store whose memory holds next to nothing and whose tree is written all the
//! time, without any trouble: decisions, commits, checkpoints and reads of the tree race.

use std::time::Duration;

use fastrand::Rng;
use stowage_store::{Key, Name, NameKind, Preconditions, Store, VolumeOptions};

use crate::clients;
use crate::cuts::{AT_THE_END, is_long};
use crate::disk::SimDisk;
use crate::known::Known;
use crate::session::{Extent, Focus, Trouble, open, serve};
use crate::verify::read_content;

fn session(seed: u64) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
    let mut random = Rng::with_seed(seed);
    let extent = Extent { clients: 12, steps: 40, restarts: 0, focus: Focus::Everything };
    let served = serve(SimDisk::new(), open, &mut random, extent, Trouble::None, 0);
    let session = runtime.block_on(clients::in_time("a session", served))?;
    let mut known = Known::nothing();
    known.take_in_tags(&session.history)?;
    let store = open(session.disk, &Default::default()).map_err(|error| error.to_string())?;
    let content = runtime.block_on(read_content(&store))?;
    known.check(&session.history, AT_THE_END, &content)
}

#[test]
fn what_many_clients_see_at_once_is_linearizable() {
    let first = u64::from(fastrand::u32(..));
    for seed in first..first + if is_long() { 1_000 } else { 40 } {
        session(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

/// A new segment is written with zeros first, as much as the records that it is for.
#[tokio::test]
async fn segments_that_are_freed_together_are_all_used_again() {
    const SEGMENT: u64 = 32 << 10;
    let disk = SimDisk::new();
    let options = VolumeOptions {
        segment_bytes: SEGMENT,
        journal_bytes: 64 * SEGMENT,
        checkpoint_after: Duration::from_secs(3_600),
        // Less than four segments hold: then they are freed.
        dirty_bytes: 6 * SEGMENT,
        ..VolumeOptions::default()
    };
    let store = open(disk.clone(), &options).expect("a new store");
    let pieces = 100 * SEGMENT / 1_000;
    for number in 0..pieces {
        let name = Name::parse(NameKind::RunStore, &number.to_string()).expect("a name");
        let key = Key::run_store(&name);
        let put = store.put(&key, vec![b'x'; 900].into(), Preconditions::none());
        clients::in_time("a put", put).await.expect("a put");
    }
    clients::in_time("a shutdown", store.shutdown()).await;
    let recording = disk.recording();
    let (new, again) = (recording.renames_from("spare-"), recording.renames_from("free-"));
    assert!(again * 4 > new * 3, "of {new} segments, only {again} were used before");
}
