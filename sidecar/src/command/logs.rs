//! Logs, on standard error.

use std::io::{self, BufWriter, IsTerminal, Write};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use super::LogFormat;

/// How many lines may wait to be written; who logs then waits too.
const LINES_MAX: usize = 16 << 10;

/// Starts logging, for as long as what it gives is kept: the last lines are written when that is
/// dropped. `RUST_LOG` chooses what is logged; the default is everything from `info` up.
///
/// Lines are written by a thread of their own, all that wait in one piece: a system call for each
/// line of the access log would cost half as much as the request that it tells of.
pub(super) fn start(format: LogFormat) -> WorkerGuard {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let (lines, guard) = appender(io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    // A second start (two commands in one process, as tests do) keeps the first.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    guard
}

/// Loses no line, however slowly they are taken.
fn appender(writer: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("stowage-log")
        .finish(BufWriter::new(writer))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Counts how often it is written to.
    #[derive(Clone, Default)]
    struct Slow(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            std::thread::yield_now();
            let mut written = self.0.lock().unwrap();
            written.0 += 1;
            written.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_and_many_in_one_piece() {
        let writer = Slow::default();
        let (mut lines, guard) = appender(writer.clone());
        let expected: String = (0..100_000).map(|i| format!("line {i}\n")).collect();
        for line in expected.split_inclusive('\n') {
            lines.write_all(line.as_bytes()).unwrap();
        }
        drop(guard);
        let (writes, text) = &*writer.0.lock().unwrap();
        assert!(String::from_utf8_lossy(text) == expected, "every line, in order");
        assert!(*writes < 50_000, "{writes} writes of 100,000 lines");
    }
}
