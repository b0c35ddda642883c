//! The least that durability costs: 1 KB written and synced, again and again, by one thread.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::load::Measured;
use crate::load::payload::{DOCUMENT_BYTES, Document};
use crate::scratch::Scratch;
use crate::usage::{Usage, usage};

/// The length of the preallocated file, in bytes; it is written over from its start again.
const PREALLOCATED: u64 = 16 << 20;

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocks {
    /// To the end of a file that grows.
    Appended,
    /// Over zeros that were written and synced before.
    Preallocated,
}

/// Runs the loop for a span.
///
/// # Errors
/// As the operating system says.
pub(crate) fn bare(blocks: Blocks, span: Duration, scratch: &Scratch) -> Result<Measured<Usage>> {
    let path = scratch.path().join("bare");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    if blocks == Blocks::Preallocated {
        file.write_all_at(&vec![0; usize::try_from(PREALLOCATED)?], 0)?;
        file.sync_all()?;
    }
    let observe = || usage(std::process::id(), scratch.disk());
    let before = observe()?;
    let (done, latencies, elapsed) = write_and_sync(&file, blocks, span)?;
    let mut after = observe()?;
    // There is no generator beside it.
    after.generator = before.generator;
    std::fs::remove_file(&path)?;
    Ok(Measured { done, lost: 0, latencies, elapsed, before, after })
}

fn write_and_sync(
    mut file: &File,
    blocks: Blocks,
    span: Duration,
) -> Result<(u64, Histogram<u64>, Duration)> {
    let mut document = Document::new();
    let mut latencies = Histogram::new(3)?;
    let (mut done, mut at) = (0, 0);
    let started = Instant::now();
    while started.elapsed() < span {
        let began = Instant::now();
        match blocks {
            Blocks::Appended => file.write_all(document.next())?,
            Blocks::Preallocated => file.write_all_at(document.next(), at)?,
        }
        file.sync_data()?;
        latencies.record(u64::try_from(began.elapsed().as_nanos())?)?;
        at = (at + DOCUMENT_BYTES as u64) % PREALLOCATED;
        done += 1;
    }
    Ok((done, latencies, started.elapsed()))
}
