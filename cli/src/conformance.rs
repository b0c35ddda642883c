//! `stowage conformance`.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use stowage_conformance::report::{junit, summary, table};
use stowage_conformance::{Origin, Report, Settings, Stop, cases, run as try_server};

use crate::args::ConformanceArgs;
use crate::exit::{Failure, io_failure};

/// What a file or a pipe gets: wide enough for a case a line.
const PLAIN_WIDTH: usize = 160;

/// Tries a server and prints what came of it.
///
/// # Errors
/// [`Failure`] where the flags are wrong or nothing could be tried; that a server does not conform
/// is no error here but the answer.
pub(crate) fn run(args: &ConformanceArgs) -> Result<ExitCode, Failure> {
    if args.list {
        let mut listed = cases::of(args.profile);
        listed.retain(|case| {
            args.only.is_empty()
                || args.only.iter().any(|only| only == case.id || only == case.section())
        });
        return crate::print(&table::list(&listed, args.profile));
    }
    let settings = settings(args)?;
    // Before minutes of work, not after them.
    if let Some(file) = &args.junit {
        write(file, "")?;
    }
    let progress = Progress::new(settings.cases().len());
    let mut done = 0;
    let report = try_server(&settings, |result| {
        done += 1;
        progress.tell(done, result.case.id);
    });
    progress.end();
    let report = report.map_err(failure)?;
    if let Some(file) = &args.junit {
        write(file, &junit::render(&report))?;
    }
    print(&report)
}

fn print(report: &Report) -> Result<ExitCode, Failure> {
    let code = if report.conforms() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let text = table::render(report, layout());
    crate::print(&format!(
        "{}\n\n{}\n",
        text.trim_start_matches('\n').trim_end(),
        summary(report)
    ))?;
    Ok(code)
}

fn layout() -> table::Layout {
    let terminal = std::io::stdout().is_terminal();
    let width = terminal_size::terminal_size().filter(|_| terminal);
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    table::Layout { width: width.map_or(PLAIN_WIDTH, |(width, _)| usize::from(width.0)), colours }
}

fn settings(args: &ConformanceArgs) -> Result<Settings, Failure> {
    let input = |error: &dyn std::fmt::Display| Failure::Input(error.to_string());
    let url = args.url.as_deref().unwrap_or_default();
    let origin = Origin::parse(url).map_err(|e| Failure::Input(format!("--url: {e}")))?;
    let mut settings = Settings::new(origin, args.profile)
        .path(&args.path)
        .timeout(Duration::from_secs(args.timeout));
    for header in &args.headers {
        settings = settings.header(header).map_err(|e| Failure::Input(format!("--header: {e}")))?;
    }
    let token = match &args.token_file {
        Some(file) => Some(read(file)?),
        None => args.token.clone(),
    };
    if let Some(token) = token {
        settings = settings.token(&token).map_err(|_| {
            input(&"the token holds characters that no header may have; give the token alone")
        })?;
    }
    for only in &args.only {
        settings = settings.only(only);
    }
    Ok(settings)
}

fn failure(stop: Stop) -> Failure {
    match stop {
        Stop::NoCase { .. } => Failure::Input(format!("--only: {stop}")),
        Stop::Unreachable(_) | Stop::Credentials { .. } | Stop::Unsuitable(_) => {
            Failure::Environment(stop.to_string())
        }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|e| io_failure("read the token in", file, &e))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|e| io_failure("write", file, &e))
}

/// One line on a terminal's standard error that says how far it is.
struct Progress {
    of: usize,
    shown: bool,
}

impl Progress {
    fn new(of: usize) -> Self {
        Self { of, shown: std::io::stderr().is_terminal() }
    }

    fn tell(&self, done: usize, id: &str) {
        self.line(&format!("{done}/{} {id}", self.of));
    }

    fn end(&self) {
        self.line("");
    }

    fn line(&self, text: &str) {
        use std::io::Write;
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K{text}");
        }
    }
}
