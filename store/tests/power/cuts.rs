//! Power cuts at every operation of random histories.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::disk::{SimDisk, Survival};
use crate::known::Known;
use crate::session::{Extent, Open, Session, Trouble, open, serve};
use crate::verify::verify;

/// A cut that nothing came after.
pub(crate) const AT_THE_END: u64 = u64::MAX - 1;

/// A history after which a store did not serve what it must.
pub(crate) struct Failure {
    seed: u64,
    place: String,
    what: String,
    steps: String,
}

impl Failure {
    /// Whether a start after a power cut showed it, rather than the service before.
    pub(crate) fn is_of_a_power_cut(&self) -> bool {
        self.place.contains("power cut")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}, {}:\n{}\nthe disk's operations there:\n{}\nto repeat it (the threads of the \
             engine may take another order; then it repeats the seed many times):\n  \
             STOWAGE_SEED={} cargo test -p stowage-store --test power -- cuts::power_cuts",
            self.seed, self.place, self.what, self.steps, self.seed
        )
    }
}

/// What chains came by.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) cut_points: usize,
    /// Segments of the journal that were used again.
    pub(crate) recycled: usize,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.cut_points += other.cut_points;
        self.recycled += other.recycled;
    }
}

/// A chain of sessions, each on the disk that a power cut left of the one before, with a power
/// cut at every `stride`th operation of each.
pub(crate) fn chain(seed: u64, open: Open, stride: usize) -> Result<Seen, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut random = Rng::with_seed(seed);
    let mut known = Known::nothing();
    let mut disk = SimDisk::new();
    let (mut seen, mut last_write) = (Seen::default(), 0);
    for number in 0..2 + random.usize(..3) {
        let trouble = match random.usize(..10) {
            0 => Trouble::FailedSync,
            1 => Trouble::FailedWrite,
            2 => Trouble::NoRoom,
            3 => Trouble::None,
            4 => Trouble::NoFiles,
            5 => Trouble::FullAtSync,
            _ => Trouble::PowerCut,
        };
        let failure = |place: String, what, steps| Failure {
            seed,
            place: format!("session {number} ({trouble:?}), {place}"),
            what,
            steps,
        };
        let extent = Extent::random(&mut random);
        let served = serve(disk.clone(), open, &mut random, extent, trouble, last_write);
        let session = runtime.block_on(served).map_err(|what| {
            let steps = disk.recording().around(disk.operations());
            failure("while it is served".into(), what, steps)
        })?;
        let Session { recording, history, .. } = &session;
        known
            .take_in_tags(history)
            .map_err(|what| failure("while it is served".into(), what, String::new()))?;
        seen.recycled += recording.renames_from("free-");
        let mut walk = recording.walk();
        for cut in recording.operations().skip(random.usize(..stride)).step_by(stride) {
            let survival = Survival::ALL[random.usize(..Survival::ALL.len())];
            let after = walk.power_cut_at(cut, survival, random.u64(..));
            let verified = verify(&known, history, cut, after, open, &mut random);
            runtime.block_on(verified).map_err(|what| {
                let place = format!("power cut at operation {cut}, {survival:?}");
                failure(place, what, recording.around(cut))
            })?;
            seen.cut_points += 1;
        }
        let survival = Survival::ALL[random.usize(..Survival::ALL.len())];
        disk = session.disk.power_cut(survival, random.u64(..));
        let fork = disk.fork_after(Survival::Kept, 0);
        let verified = verify(&known, history, AT_THE_END, fork, open, &mut random);
        let content = runtime.block_on(verified).map_err(|what| {
            let place = format!("power cut at the end, {survival:?}");
            failure(place, what, recording.around(u64::MAX))
        })?;
        known.start = content;
        last_write = session.last_write;
    }
    Ok(seen)
}

/// How many segments are recycled at least in a run.
const RECYCLED: usize = 10;

/// Runs chains until there were so many cut points, on some threads; a few more where the dice fall
/// so that too few segments were recycled.
fn run(first_seed: u64, wanted: usize, stride: usize, threads: usize) -> Result<Seen, Failure> {
    let next_seed = AtomicU64::new(first_seed);
    let result = Mutex::new(Ok(Seen::default()));
    let result_so_far = || result.lock().unwrap_or_else(PoisonError::into_inner);
    let is_enough = |seen: &Seen| {
        seen.cut_points >= 4 * wanted || seen.cut_points >= wanted && seen.recycled > RECYCLED
    };
    let is_done = || result_so_far().as_ref().map_or(true, is_enough);
    let work = || {
        while !is_done() {
            let seed = next_seed.fetch_add(1, Ordering::Relaxed);
            match (chain(seed, open, stride), &mut *result_so_far()) {
                (Ok(more), Ok(seen)) => seen.add(&more),
                (Err(failure), result @ Ok(_)) => *result = Err(failure),
                (_, Err(_)) => {}
            }
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    result.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the long form of the tests is asked for.
pub(crate) fn is_long() -> bool {
    std::env::var_os("STOWAGE_LONG").is_some_and(|value| value == "1")
}

#[test]
#[expect(clippy::print_stderr, reason = "it says how many cut points there were")]
fn power_cuts() {
    let began = Instant::now();
    let seen = match std::env::var("STOWAGE_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().expect("STOWAGE_SEED is a number");
            let mut seen = Seen::default();
            while began.elapsed() < Duration::from_secs(60) {
                seen.add(&chain(seed, open, 1).unwrap_or_else(|failure| panic!("{failure}")));
            }
            seen
        }
        Err(_) => {
            let seed = u64::from(fastrand::u32(..));
            let (wanted, stride) = if is_long() { (100_000, 2) } else { (2_500, 5) };
            let seen = run(seed, wanted, stride, 2);
            let seen = seen.unwrap_or_else(|failure| panic!("{failure}"));
            assert!(seen.recycled > RECYCLED, "segments are recycled all the time: {seen:?}");
            seen
        }
    };
    eprintln!("power cuts: {seen:?} in {:.1?}", began.elapsed());
}
