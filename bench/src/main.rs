//! `stowage-bench BINARIES PEERS`: measures the release binaries in one directory beside the
//! programs in another one (`scripts/bench-peers.sh`), and prints one table.
//!
//! Absolute figures move with the machine; what is to be read are the ratios of one run.
//! `docs/benchmarks.md` says how.

mod bare;
mod contest;
mod engine;
mod figures;
mod load;
mod report;
mod rows;
mod scratch;
mod servers;
mod settings;
mod usage;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tikv_jemallocator::Jemalloc;

use crate::contest::Outcome;
use crate::load::stowage::Read;
use crate::report::{plot, table};
use crate::rows::{documents, patch, replay, small, upload};
use crate::scratch::Scratch;
use crate::servers::sidecar::{AccessLog, History};
use crate::servers::{Places, Server};
use crate::settings::Settings;

/// The server's: the engine alone, which is measured in here, is to take the memory that it takes there.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

const USAGE: &str = "usage: stowage-bench BINARIES PEERS, two directories; see docs/benchmarks.md";

/// The plot's file in `BENCH_DIR`.
const PLOT: &str = "plot.svg";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().context(USAGE)?;
    if first == engine::CHILD {
        return engine::run(arguments);
    }
    let peers = arguments.next().context(USAGE)?;
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    std::fs::create_dir_all(&settings.directory)
        .with_context(|| format!("BENCH_DIR: cannot make {}", settings.directory.display()))?;
    let scratch = Scratch::below(&settings.directory)?;
    let places = Places {
        binaries: absolute(&first)?,
        peers: absolute(&peers)?,
        scratch: scratch.path().into(),
    };
    let mut report = Report::new(&settings.directory)?;
    measure(&places, &settings, &scratch, &mut report)?;
    report.end()
}

fn absolute(path: &str) -> Result<PathBuf> {
    std::fs::canonicalize(path).with_context(|| format!("there is no {path}"))
}

/// What is said while it is measured, and kept.
struct Report {
    directory: PathBuf,
    file: File,
    columns: Vec<(&'static str, Vec<Outcome>)>,
}

impl Report {
    fn new(directory: &Path) -> Result<Self> {
        let file = File::create(directory.join("table.txt"))?;
        // Not one of another run beside this run's table.
        match std::fs::remove_file(directory.join(PLOT)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut report = Self { directory: directory.into(), file, columns: Vec::new() };
        report.say(&(table::head() + "\n"))?;
        Ok(report)
    }

    fn say(&mut self, text: &str) -> Result<()> {
        print!("{text}");
        std::io::stdout().flush()?;
        Ok(self.file.write_all(text.as_bytes())?)
    }

    fn contest(&mut self, outcome: &Outcome) -> Result<()> {
        self.say(&table::contest(outcome))
    }

    fn end(self) -> Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let path = self.directory.join(PLOT);
        let columns: Vec<_> =
            self.columns.iter().map(|(title, outcomes)| (*title, outcomes.as_slice())).collect();
        std::fs::write(&path, plot::svg(&columns))?;
        println!(
            "The table is in {0}/table.txt, the plot in {0}/plot.svg.",
            self.directory.display()
        );
        Ok(())
    }
}

fn measure(
    places: &Places,
    settings: &Settings,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let start = |name: &str, history| {
        servers::sidecar(places, &places.directory(name)?, AccessLog::Off, history)
    };
    if settings.has("put") || settings.has("swap") || settings.has("get") {
        let ours = start("stowage", History::None)?;
        report.say(&sizes(places, &ours)?)?;
        documents_of_1_kb(places, settings, scratch, report, &ours)?;
    }
    if settings.has("patch") {
        let ours = start("patch", History::None)?;
        let keeping = start("patch-history", History::Ten)?;
        report.contest(&patch::patch(&ours, &keeping, settings, scratch)?)?;
    }
    if settings.has("upload") {
        let ours = start("upload", History::None)?;
        let facts = upload::upload(&ours, settings, scratch)?;
        let title = format!("upload of an archive of {} MiB", settings.archive_mib);
        report.say(&table::facts(&title, &facts))?;
    }
    if settings.has("replay") {
        let facts = replay::replay(places, settings, scratch)?;
        report.say(&table::facts("start on a journal, as a killed server leaves it", &facts))?;
    }
    if settings.has("documents") {
        let facts = documents::documents(places, settings, scratch)?;
        report.say(&table::facts("a large store of documents of 1 KB", &facts))?;
    }
    Ok(())
}

fn documents_of_1_kb(
    places: &Places,
    settings: &Settings,
    scratch: &Scratch,
    report: &mut Report,
    ours: &Server,
) -> Result<()> {
    if settings.has("put") || settings.has("swap") {
        let peers = small::Writers::start(places)?;
        if settings.has("put") {
            let mut outcomes = Vec::new();
            for clients in small::CLIENTS {
                outcomes.push(small::put(clients, ours, &peers, settings, scratch)?);
                report.contest(&outcomes[outcomes.len() - 1])?;
            }
            report.columns.push(("durable writes of 1 KB", outcomes));
        }
        if settings.has("swap") {
            report.contest(&small::swap(ours, &peers, settings, scratch)?)?;
        }
    }
    if settings.has("get") {
        let most = small::CLIENTS[small::CLIENTS.len() - 1];
        let logging =
            servers::sidecar(places, &places.directory("logging")?, AccessLog::On, History::None)?;
        let servers = small::Readers { ours, logging, nginx: servers::nginx(places, most)? };
        small::prepare_reads(&servers, most)?;
        let mut outcomes = Vec::new();
        for clients in small::CLIENTS {
            outcomes.push(small::get(Read::Whole, clients, &servers, settings, scratch)?);
            report.contest(&outcomes[outcomes.len() - 1])?;
        }
        report.columns.push(("reads of 1 KB from memory", outcomes));
        let not_modified =
            small::get(Read::NotModified, small::CLIENTS_USUAL, &servers, settings, scratch)?;
        report.contest(&not_modified)?;
    }
    Ok(())
}

/// What a server takes before anybody asks it for anything.
fn sizes(places: &Places, ours: &Server) -> Result<String> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut text = format!(
        "\nstowage-sidecar at rest: {:.1} MiB resident;",
        mib(usage::resident_bytes(ours.pid())?)
    );
    for name in ["stowage-sidecar", "stowage"] {
        let path = places.binaries.join(name);
        let bytes =
            std::fs::metadata(&path).with_context(|| format!("no {}", path.display()))?.len();
        text += &format!(" {name} {:.1} MiB on disk;", mib(bytes));
    }
    Ok(text.trim_end_matches(';').to_owned() + "\n")
}
