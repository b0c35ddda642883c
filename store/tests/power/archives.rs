//! Power cuts at every operation of histories of archives, whatever survives of each.

use std::sync::Arc;

use fastrand::Rng;
use stowage_store::{OpenError, Store, VolumeOptions, VolumeStore};
use tokio::runtime::Runtime;

use crate::clients::in_time;
use crate::cuts::{AT_THE_END, is_long};
use crate::disk::{Lies, SimDisk, Survival};
use crate::known::Known;
use crate::session::{
    Extent, Focus, Open, Session, Trouble, open, options, serve, temporary_files,
};
use crate::verify::read_content;

/// One session, and every cut of it.
async fn session(seed: u64, open: Open, trouble: Trouble) -> Result<usize, String> {
    let mut random = Rng::with_seed(seed);
    let extent = Extent { clients: 3, steps: 8, restarts: 0, focus: Focus::Archives };
    let served = serve(SimDisk::new(), open, &mut random, extent, trouble, 0).await?;
    let Session { recording, history, .. } = &served;
    let mut known = Known::nothing();
    known.take_in_tags(history)?;
    let mut walk = recording.walk();
    let mut cuts = 0;
    for cut in recording.operations().chain([AT_THE_END]) {
        let survival = Survival::ALL[random.usize(..Survival::ALL.len())];
        let after = match cut {
            AT_THE_END => served.disk.power_cut(survival, random.u64(..)),
            cut => walk.power_cut_at(cut, survival, random.u64(..)),
        };
        let failed = |what: String| {
            let steps = recording.around(cut);
            format!("power cut at operation {cut}, {survival:?}: {what}\n{steps}")
        };
        let store = open(after.clone(), &options(&mut random))
            .map_err(|error| failed(format!("it is refused: {error}")))?;
        let content = read_content(&store).await.map_err(failed)?;
        known.check(history, cut, &content).map_err(failed)?;
        in_time("a shutdown", store.shutdown()).await;
        let left = temporary_files(&after);
        if !left.is_empty() {
            return Err(failed(format!("after a start and a shutdown {left:?} are left")));
        }
        cuts += 1;
    }
    Ok(cuts)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

#[test]
fn after_a_power_cut_an_archive_is_there_as_a_whole_or_not_at_all() {
    let runtime = runtime();
    let first = u64::from(fastrand::u32(..));
    let troubles = [
        Trouble::None,
        Trouble::FailedSync,
        Trouble::FailedWrite,
        Trouble::NoRoom,
        Trouble::NoFiles,
        Trouble::FullAtSync,
    ];
    let mut cuts = 0;
    for seed in first..first + if is_long() { 400 } else { 8 } {
        let trouble = troubles[seed as usize % troubles.len()];
        cuts += runtime
            .block_on(session(seed, open, trouble))
            .unwrap_or_else(|what| panic!("seed {seed}, {trouble:?}: {what}"));
    }
    assert!(cuts > 400, "only {cuts} cuts");
}

/// A disk that keeps no name in the tree by a sync of its directory.
fn without_names(disk: SimDisk, options: &VolumeOptions) -> Result<VolumeStore, OpenError> {
    disk.change_faults(|faults| faults.lies = Lies::Below("sites"));
    VolumeStore::open_on(Arc::new(disk), options)
}

/// A disk that keeps no content of a temporary file by a sync.
fn without_content(disk: SimDisk, options: &VolumeOptions) -> Result<VolumeStore, OpenError> {
    disk.change_faults(|faults| faults.lies = Lies::Below(".stowage/tmp"));
    VolumeStore::open_on(Arc::new(disk), options)
}

/// The checks above can fail.
#[test]
fn an_archive_that_is_not_durable_when_it_is_published_is_caught() {
    let runtime = runtime();
    let first = u64::from(fastrand::u32(..));
    for open in [without_names, without_content] as [Open; 2] {
        let mut failed = (first..first + 20)
            .filter_map(|seed| runtime.block_on(session(seed, open, Trouble::None)).err());
        let what = failed.next().expect("not in 20 sessions");
        assert!(what.contains("power cut"), "{what}");
    }
}
