//! What happens on one disk: a store is opened, clients use it, it is closed or dies.

use std::time::Duration;

use fastrand::Rng;
use stowage_store::{OpenError, Store, VolumeOptions, VolumeStore};

use crate::clients::{self, Log, Recorded, in_time};
use crate::disk::{Faults, Recording, SimDisk};

/// Opens a store on a disk; the tests of the tests put something in between.
pub(crate) type Open = fn(SimDisk, &VolumeOptions) -> Result<VolumeStore, OpenError>;

/// As it is.
pub(crate) fn open(disk: SimDisk, options: &VolumeOptions) -> Result<VolumeStore, OpenError> {
    VolumeStore::open_on(std::sync::Arc::new(disk), options)
}

/// Options under which checkpoints and the recycling of segments happen all the time.
pub(crate) fn options(random: &mut Rng) -> VolumeOptions {
    VolumeOptions {
        cache_bytes: [0, 4 << 10, 1 << 20][random.usize(..3)],
        // The engine takes the least that it can work with.
        segment_bytes: 1,
        journal_bytes: 1,
        dirty_bytes: [2 << 10, 16 << 10, 1 << 20][random.usize(..3)],
        checkpoint_after: Duration::from_millis([0, 1, 1_000][random.usize(..3)]),
        archive_piece_bytes: [64, 1_000, 1 << 20][random.usize(..3)],
        lone_sync_max: [Duration::ZERO, Duration::MAX][random.usize(..2)],
        history: [0, 0, 2, 100][random.usize(..4)],
        ..VolumeOptions::default()
    }
}

/// What is to go wrong while clients are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    PowerCut,
    FailedSync,
    FailedWrite,
    NoRoom,
    NoFiles,
    FullAtSync,
}

/// A session that is over.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) disk: SimDisk,
    pub(crate) recording: Recording,
    pub(crate) history: Vec<Recorded>,
    /// The number of the last write, so that the next session goes on from there.
    pub(crate) last_write: u64,
}

/// What clients look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    Everything,
    Archives,
}

/// How much goes on in a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) clients: usize,
    pub(crate) steps: usize,
    pub(crate) restarts: usize,
    pub(crate) focus: Focus,
}

impl Extent {
    /// A random one of some tens of writes.
    pub(crate) fn random(random: &mut Rng) -> Self {
        Self {
            clients: 1 + random.usize(..5),
            steps: 4 + random.usize(..12),
            restarts: random.usize(..3),
            focus: Focus::Everything,
        }
    }
}

/// Serves clients on a disk, with restarts in between; in the last of them there is trouble.
pub(crate) async fn serve(
    disk: SimDisk,
    open: Open,
    random: &mut Rng,
    extent: Extent,
    trouble: Trouble,
    first_write: u64,
) -> Result<Session, String> {
    let log = Log::new(disk.clone(), first_write);
    for restart in 0..=extent.restarts {
        let is_last = restart == extent.restarts;
        let store = open(disk.clone(), &options(random))
            .map_err(|error| format!("start {restart} of a sound disk is refused: {error}"))?;
        clients::read_all(&store, &log)
            .await
            .map_err(|error| format!("start {restart}: a read fails: {error}"))?;
        if is_last {
            make(trouble, &disk, random);
        }
        if random.usize(..4) == 0 {
            // As for a snapshot: no segment is freed meanwhile, and many at once afterwards. Where
            // there is trouble already, there is no pin.
            let pin = store.pin();
            clients::run(&store, &log, random, extent).await;
            drop(pin);
        }
        clients::run(&store, &log, random, extent).await;
        let passes = matches!(trouble, Trouble::NoRoom | Trouble::NoFiles | Trouble::FullAtSync);
        if is_last && passes {
            disk.change_faults(|faults| {
                *faults = Faults { lies: faults.lies, ..Faults::default() };
            });
            clients::write_again(&store, &log).await?;
            let last = Extent { clients: 1, steps: 4, ..extent };
            clients::run(&store, &log, random, last).await;
        }
        if random.usize(..3) > 0 {
            in_time("a shutdown", store.shutdown()).await;
        }
        // Dropping waits for the threads, and may write on until then.
        drop(store);
        log.close();
        let left = temporary_files(&disk);
        if !left.is_empty() && (!is_last || passes || trouble == Trouble::None) {
            return Err(format!("after the end of a sound store, {left:?} are left"));
        }
    }
    let last_write = log.next_write();
    Ok(Session { recording: disk.recording(), disk, history: log.into_recorded(), last_write })
}

/// What writes and uploads are on the way to.
pub(crate) fn temporary_files(disk: &SimDisk) -> Vec<String> {
    let mut files = disk.files();
    files.retain(|path| path.starts_with(".stowage/tmp/"));
    files
}

/// Lets the trouble come soon.
fn make(trouble: Trouble, disk: &SimDisk, random: &mut Rng) {
    let soon = disk.operations() + random.u64(1..150);
    let room = disk.used_bytes() + random.usize(..6) * 4_096;
    disk.change_faults(|faults| match trouble {
        Trouble::None => {}
        Trouble::PowerCut => faults.cut_at = Some(soon * 2),
        Trouble::FailedSync => faults.failed_sync = Some(soon),
        Trouble::FailedWrite => faults.failed_write = Some(soon),
        Trouble::NoRoom => faults.room_bytes = Some(room),
        Trouble::FullAtSync => faults.full_at_sync = Some(soon),
        Trouble::NoFiles => faults.is_out_of_files = true,
    });
}
