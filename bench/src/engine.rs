//! The engine without a server, in a process of its own: what a row needs that no option of the
//! server gives.
//!
//! The benchmark starts itself with the task as its arguments. The child does it, says one line, and
//! then waits to be killed, so that nothing of the store is tidied up.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use stowage_store::{Key, Name, NameKind, Preconditions, Store, VolumeOptions, VolumeStore};

use crate::load::payload::Document;
use crate::usage::resident_bytes;

/// The first argument of a child.
pub(crate) const CHILD: &str = "engine";

/// How many documents the journal is about: as many as the memory of a server with its defaults
/// holds (64 MiB that are not in the tree), in the order in which nothing is next to its like. With
/// more, a start brings the tree up to date on the way, which takes a minute and is not measured.
const DOCUMENTS: u64 = 40_000;
/// How many writes are under way at once.
const WRITERS: u64 = 256;
/// What a record takes in the journal beside its document, roughly, in bytes.
const RECORD_BYTES: u64 = 80;

/// What a child does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Writes documents until the journal has so many bytes.
    WriteJournal { data: PathBuf, bytes: u64 },
    /// Opens the store, and says how many seconds that took.
    ReadJournal { data: PathBuf },
    /// Reads so many documents into memory, and says by how many bytes the process grew for each.
    HoldDocuments { data: PathBuf, count: u64 },
}

/// A child that has said its line; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) said: String,
}

impl Child {
    /// Starts a task and waits until it is done.
    ///
    /// # Errors
    /// It fails, and says why on the standard error.
    pub(crate) fn start(task: &Task) -> Result<Self> {
        let (word, data, number) = match task {
            Task::WriteJournal { data, bytes } => ("write-journal", data, *bytes),
            Task::ReadJournal { data } => ("read-journal", data, 0),
            Task::HoldDocuments { data, count } => ("hold-documents", data, *count),
        };
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(std::env::current_exe()?)
            .args([CHILD, word])
            .arg(data)
            .arg(number.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("no output")?;
        let mut child = Self { process, said: String::new() };
        BufReader::new(output).read_line(&mut child.said)?;
        ensure!(child.said.ends_with('\n'), "{word} on {} failed", data.display());
        child.said.pop();
        Ok(child)
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// As the operating system says.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that was killed is gone already.
        let _ = (self.process.kill(), self.process.wait());
    }
}

/// The child's side: does what its arguments say, and does not come back.
///
/// # Errors
/// Arguments that are no task; what the engine says.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut next = || arguments.next().context("an argument is missing");
    let (word, data) = (next()?, PathBuf::from(next()?));
    let number = next()?.parse()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (store, said) = match word.as_str() {
        "write-journal" => {
            let store = Arc::new(VolumeStore::open(&data, &only_journal())?);
            runtime.block_on(write_journal(&store, number))?;
            (store, String::new())
        }
        "read-journal" => {
            let began = Instant::now();
            let store = Arc::new(VolumeStore::open(&data, &only_journal())?);
            (store, began.elapsed().as_secs_f64().to_string())
        }
        "hold-documents" => {
            let options = VolumeOptions { cache_bytes: 4 << 30, ..VolumeOptions::default() };
            let store = Arc::new(VolumeStore::open(&data, &options)?);
            // What the first ones bring about (threads, tables) is not each one's.
            let first = number / 10;
            runtime.block_on(read(&store, 0, first))?;
            let before = resident_bytes(std::process::id())?;
            runtime.block_on(read(&store, first, number))?;
            let growth = resident_bytes(std::process::id())?.saturating_sub(before);
            (store, (growth as f64 / (number - first) as f64).to_string())
        }
        _ => bail!("{word} is no task"),
    };
    let mut output = std::io::stdout().lock();
    writeln!(output, "{said}")?;
    output.flush()?;
    let _open = store;
    loop {
        std::thread::park();
    }
}

/// Nothing but the journal is written.
fn only_journal() -> VolumeOptions {
    VolumeOptions {
        journal_bytes: 64 << 30,
        dirty_bytes: 64 << 30,
        checkpoint_after: Duration::from_secs(86_400),
        ..VolumeOptions::default()
    }
}

fn key(number: u64) -> Result<Key> {
    Ok(Key::run_store(&Name::parse(NameKind::RunStore, &format!("d{number}"))?))
}

async fn write_journal(store: &Arc<VolumeStore>, bytes: u64) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let writes = bytes / (crate::load::payload::DOCUMENT_BYTES as u64 + RECORD_BYTES);
    for_each(WRITERS, move || {
        let (store, next) = (Arc::clone(store), Arc::clone(&next));
        async move {
            let mut document = Document::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= writes {
                    return Ok(());
                }
                let key = key(number % DOCUMENTS)?;
                let body = Bytes::copy_from_slice(document.next());
                store.put(&key, body, Preconditions::none()).await?;
            }
        }
    })
    .await
}

async fn read(store: &Arc<VolumeStore>, from: u64, to: u64) -> Result<()> {
    let next = Arc::new(AtomicU64::new(from));
    for_each(4, move || {
        let (store, next) = (Arc::clone(store), Arc::clone(&next));
        async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= to {
                    return Ok(());
                }
                store.get(&key(number)?).await?.with_context(|| format!("no d{number}"))?;
            }
        }
    })
    .await
}

async fn for_each<F>(tasks: u64, mut task: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        set.spawn(task());
    }
    while let Some(ended) = set.join_next().await {
        ended??;
    }
    Ok(())
}
