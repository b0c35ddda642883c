//! A store of very many documents.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::Fact;
use crate::contest::Bound::AtMost;
use crate::engine::{Child, Task};
use crate::figures::median;
use crate::load::payload::{DOCUMENT_BYTES, Document};
use crate::scratch::Scratch;
use crate::servers::sidecar::{AccessLog, History};
use crate::servers::{Places, sidecar};
use crate::settings::Settings;
use crate::usage::resident_bytes;

/// The room that a document takes: a block, and its place in the directory and among the inodes.
const BYTES_ON_DISK: u64 = 4096 + 512;

/// How many documents are held in memory to weigh them; the rest weighs the same.
const HELD_MAX: u64 = 200_000;

/// How many threads remove the documents.
const REMOVERS: usize = 16;

/// Starts the server on the documents, and weighs those that are held in memory.
pub(crate) fn documents(
    places: &Places,
    settings: &Settings,
    scratch: &Scratch,
) -> Result<Vec<Fact>> {
    let count = settings.documents;
    scratch.needs(count * BYTES_ON_DISK + (1 << 30))?;
    let directory = places.directory("documents")?;
    let data = directory.join("data");
    let (_, resident_empty) = start(places, &places.directory("empty")?)?;
    write(&data.join("run-stores"), count)?;
    scratch.settle()?;

    let mut starts = Vec::new();
    let mut resident = Vec::new();
    for _ in 0..settings.rounds {
        let (seconds, bytes) = start(places, &directory)?;
        starts.push(seconds);
        resident.push(bytes);
    }
    let at_rest = median(resident).context("no round")? - resident_empty;

    let held = count.min(HELD_MAX);
    let child = Child::start(&Task::HoldDocuments { data: data.clone(), count: held })?;
    let growth: f64 = child.said.parse().context("no growth was said")?;
    child.kill()?;
    remove(&data.join("run-stores"), count)?;
    let seconds = median(starts).context("no round")?;
    Ok(vec![
        Fact::new(format!("start on {count} documents"), seconds, "s", Some(AtMost(5.0))),
        Fact::new(
            format!("memory for each of {count} documents, at rest"),
            (at_rest / count as f64).max(0.0),
            "bytes",
            Some(AtMost(200.0)),
        ),
        Fact::new(
            format!("memory for each of {held} documents held, beyond its bytes"),
            growth - DOCUMENT_BYTES as f64,
            "bytes",
            Some(AtMost(200.0)),
        ),
    ])
}

/// The seconds until a server is ready, and its memory then, in bytes.
fn start(places: &Places, directory: &Path) -> Result<(f64, f64)> {
    let began = Instant::now();
    let server = sidecar(places, directory, AccessLog::Off, History::None)?;
    let seconds = began.elapsed().as_secs_f64();
    Ok((seconds, resident_bytes(server.pid())? as f64))
}

/// Puts the documents there as a person would: files that were made while nobody served them.
fn write(directory: &Path, count: u64) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut document = Document::new();
    for number in 0..count {
        std::fs::write(file(directory, number), document.next())?;
    }
    Ok(())
}

/// By many threads, because a file that is on the disk already takes as long as the disk does to
/// free its block: one after another, a million of them take longer than everything else here.
fn remove(directory: &Path, count: u64) -> Result<()> {
    let part = |first| {
        let mut numbers = (first..count).step_by(REMOVERS);
        numbers.try_for_each(|number| std::fs::remove_file(file(directory, number)))
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            (0..REMOVERS as u64).map(|first| scope.spawn(move || part(first))).collect();
        for part in parts {
            part.join().map_err(|_| anyhow::anyhow!("a thread that removed files panicked"))??;
        }
        Ok(())
    })
}

fn file(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("d{number}.json"))
}
