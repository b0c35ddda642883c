//! Many clients on a store whose memory holds next to nothing and whose tree is written all the
//! time, without any trouble: decisions, commits, checkpoints and reads of the tree race.

use fastrand::Rng;

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
