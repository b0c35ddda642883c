//! Disks whose syncs return and keep nothing.
//!
//! What was acknowledged may then be lost; nothing can prevent that. What can be demanded depends
//! on whom the disk lies to:
//! - Of the journal's syncs alone: whatever is served was sent, as a whole. A document has one of
//!   its bodies or is missing; a namespace stands as it stood at that version. Where the journal
//!   has lost what the tree needs, the start is refused, or the read of what is damaged.
//! - Of every sync: the same of namespaces, whose files check out or not. A document in the tree is
//!   its bytes and nothing else, so that a person can read and edit it; one that a lying disk has
//!   torn after the journal let go of it looks like one that was edited. So of documents nothing
//!   is demanded that is not whole.
//!
//! Writing on after such a loss is not tested: versions that were acknowledged come again.

use fastrand::Rng;

use crate::clients::Recorded;
use crate::content::DAMAGED;
use crate::cuts::is_long;
use crate::disk::{Lies, SimDisk, Survival};
use crate::known::{Content, Known, Sent};
use crate::session::{Extent, Session, Trouble, open, options, serve};
use crate::verify::read_content;

/// Who is lied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    TheJournal,
    Everyone,
}

fn check(known: &Known, sent: &Sent, content: &Content, to: To) -> Result<(), String> {
    for (i, held) in content.documents.iter().enumerate() {
        let Some(held) = held else { continue };
        if to == To::TheJournal || !held.body.starts_with(DAMAGED) {
            sent.check_document(i, &held.body)?;
        }
    }
    for (i, (version, members)) in content.namespaces.iter().enumerate() {
        sent.check_namespace(i, *version, members)?;
    }
    if to == To::TheJournal { known.check_tags(content) } else { Ok(()) }
}

/// What came of the starts after power cuts.
#[derive(Debug, Default)]
struct Outcomes {
    served: usize,
    refused: usize,
}

/// One session on a disk that lies, and power cuts all over it.
fn session(seed: u64, to: To, outcomes: &mut Outcomes) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
    let mut random = Rng::with_seed(seed);
    let disk = SimDisk::new();
    let below = if to == To::TheJournal { ".stowage/journal" } else { "" };
    disk.change_faults(|faults| faults.lies = Lies::Below(below));
    let extent = Extent { restarts: 0, ..Extent::random(&mut random) };
    let served = serve(disk, open, &mut random, extent, Trouble::PowerCut, 0);
    let Session { recording, history, .. } = runtime.block_on(served)?;
    let mut known = Known::nothing();
    known.take_in_tags(&history)?;
    let sent = known.everything_sent(&history as &[Recorded]);
    let mut walk = recording.walk();
    for cut in recording.operations().step_by(3) {
        let survival = Survival::ALL[random.usize(..Survival::ALL.len())];
        let after = walk.power_cut_at(cut, survival, random.u64(..));
        let Ok(store) = open(after, &options(&mut random)) else {
            outcomes.refused += 1;
            continue;
        };
        match runtime.block_on(read_content(&store)) {
            Err(_) => outcomes.refused += 1,
            Ok(content) => {
                outcomes.served += 1;
                check(&known, &sent, &content, to).map_err(|what| {
                    let steps = recording.around(cut);
                    format!("power cut at operation {cut}, {survival:?}: {what}\n{steps}")
                })?;
            }
        }
    }
    Ok(())
}

fn sessions(to: To) {
    let first = u64::from(fastrand::u32(..));
    let mut outcomes = Outcomes::default();
    for seed in first..first + if is_long() { 300 } else { 15 } {
        session(seed, to, &mut outcomes)
            .unwrap_or_else(|what| panic!("seed {seed}, lies to {to:?}: {what}"));
    }
    let Outcomes { served, refused } = outcomes;
    assert!(served > refused, "{served} were served and {refused} refused");
}

#[test]
fn a_disk_that_lies_to_the_journal_costs_writes_but_mixes_nothing() {
    sessions(To::TheJournal);
}

#[test]
fn a_disk_that_lies_to_everyone_mixes_no_namespace() {
    sessions(To::Everyone);
}
