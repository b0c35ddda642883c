//! How fast a start reads a journal.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise};

use super::Fact;
use crate::contest::Bound::{AtLeast, AtMost};
use crate::engine::{Child, Task};
use crate::figures::median;
use crate::scratch::Scratch;
use crate::servers::sidecar::{AccessLog, History};
use crate::servers::{Places, sidecar};
use crate::settings::Settings;

/// Makes a journal by writes of 1 KB, kills the writer, and starts on what it left.
pub(crate) fn replay(places: &Places, settings: &Settings, scratch: &Scratch) -> Result<Vec<Fact>> {
    let bytes = settings.journal_mb * 1_000_000;
    scratch.needs(bytes + (2 << 30))?;
    let directory = places.directory("replay")?;
    let data = directory.join("data");
    Child::start(&Task::WriteJournal { data: data.clone(), bytes })?.kill()?;
    scratch.settle()?;

    let (mut from_memory, mut from_disk) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        for (rates, is_cold) in [(&mut from_memory, false), (&mut from_disk, true)] {
            let files = journal(&data)?;
            let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
            for (path, _) in &files {
                if is_cold {
                    fadvise(File::open(path)?, 0, None, Advice::DontNeed)?;
                } else {
                    std::fs::read(path)?;
                }
            }
            let child = Child::start(&Task::ReadJournal { data: data.clone() })?;
            let seconds: f64 = child.said.parse().context("no time was said")?;
            child.kill()?;
            rates.push(bytes as f64 / 1e6 / seconds);
        }
    }
    let rate = |rates| median(rates).context("no round");
    let (time, size) = (ready(places, &directory)?, settings.journal_mb);
    Ok(vec![
        Fact::new(
            format!("replay of {size} MB of journal, in memory"),
            rate(from_memory)?,
            "MB/s",
            Some(AtLeast(300.0)),
        ),
        Fact::new(
            format!("replay of {size} MB of journal, from the disk"),
            rate(from_disk)?,
            "MB/s",
            Some(AtLeast(300.0)),
        ),
        Fact::new(
            format!("the server ready on {size} MB of journal"),
            time.as_secs_f64(),
            "s",
            Some(AtMost(5.0)),
        ),
    ])
}

/// The segments and their lengths in bytes.
fn journal(data: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let entries = std::fs::read_dir(data.join(".stowage/journal"))?;
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.path(), entry.metadata()?.len()))
    };
    entries.map(file).collect()
}

/// From the start of the process until it serves.
fn ready(places: &Places, directory: &Path) -> Result<Duration> {
    let began = Instant::now();
    let server = sidecar(places, directory, AccessLog::Off, History::None)?;
    let elapsed = began.elapsed();
    // It is busy writing the tree now, which nobody waits for.
    server.kill()?;
    Ok(elapsed)
}
