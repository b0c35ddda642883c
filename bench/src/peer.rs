//! The peer that every durable write is compared with: the least that durability costs.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::load::Figures;

/// Appends 1 KB and calls `fdatasync`, again and again, from one thread.
///
/// # Errors
/// What the file system says.
pub(crate) fn append_fdatasync(dir: &Path, span: Duration) -> Result<Figures> {
    let mut file = OpenOptions::new().create(true).append(true).open(dir.join("bare"))?;
    let block = [b'x'; 1024];
    let started = Instant::now();
    let mut latencies = Vec::new();
    while started.elapsed() < span {
        let at = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        latencies.push(at.elapsed());
    }
    Ok(Figures::new(latencies, started.elapsed()))
}
