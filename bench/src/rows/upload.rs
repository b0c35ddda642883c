//! The upload of a large archive, beside `dd` writing and syncing the same bytes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::Fact;
use crate::contest::Bound::{AtLeast, AtMost};
use crate::figures::median;
use crate::load::stowage::TOKEN;
use crate::scratch::Scratch;
use crate::servers::Server;
use crate::settings::Settings;
use crate::usage::{forget_peak, peak_bytes, resident_bytes};

const MIB: u64 = 1 << 20;

/// Uploads an archive and removes it, by turns with `dd`.
pub(crate) fn upload(ours: &Server, settings: &Settings, scratch: &Scratch) -> Result<Vec<Fact>> {
    let count = settings.archive_mib;
    scratch.needs((2 * count + 1024) * MIB)?;
    let rest = resident_bytes(ours.pid())?;
    let (mut uploads, mut copies, mut ratios, mut growths) = (vec![], vec![], vec![], vec![]);
    for round in 0..settings.rounds {
        scratch.settle()?;
        forget_peak(ours.pid())?;
        let path = format!("/sites/bench/artifacts/b{round}");
        let began = Instant::now();
        ask(ours, "PUT", &path, count, "201")?;
        let upload = rate(count, began);
        growths.push(peak_bytes(ours.pid())?.saturating_sub(rest) as f64 / MIB as f64);
        ask(ours, "DELETE", &path, 0, "204")?;

        scratch.settle()?;
        let file = scratch.path().join("dd");
        let began = Instant::now();
        copy(&file, count)?;
        let copy = rate(count, began);
        std::fs::remove_file(&file)?;
        uploads.push(upload);
        copies.push(copy);
        ratios.push(upload / copy);
    }
    let fact = |name: &str, values, unit, bound| -> Result<Fact> {
        Ok(Fact::new(name, median(values).context("no round")?, unit, bound))
    };
    Ok(vec![
        fact("stowage PUT, synced and named", uploads, "MiB/s", None)?,
        fact("dd conv=fsync", copies, "MiB/s", None)?,
        fact("ours against dd", ratios, "×", Some(AtLeast(0.9)))?,
        fact("memory of the server above rest, at most", growths, "MiB", Some(AtMost(16.0)))?,
    ])
}

fn rate(mib: u64, began: Instant) -> f64 {
    mib as f64 / began.elapsed().as_secs_f64()
}

/// Sends a request with a body of so many MiB of zeros, and reads the answer's status.
fn ask(ours: &Server, method: &str, path: &str, mib: u64, expected: &str) -> Result<()> {
    let mut stream = TcpStream::connect(ours.address())?;
    let length = mib * MIB;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    let piece = vec![0; usize::try_from(MIB)?];
    for _ in 0..mib {
        stream.write_all(&piece)?;
    }
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    ensure!(line.split(' ').nth(1) == Some(expected), "{method} {path}: {}", line.trim());
    Ok(())
}

fn copy(file: &Path, mib: u64) -> Result<()> {
    let mut target = std::ffi::OsString::from("of=");
    target.push(file);
    let status = Command::new("dd")
        .args(["if=/dev/zero", "bs=1M", "conv=fsync"])
        .arg(format!("count={mib}"))
        .arg(target)
        .stderr(Stdio::null())
        .status()
        .context("dd cannot be run")?;
    ensure!(status.success(), "dd ended with {status}");
    Ok(())
}
