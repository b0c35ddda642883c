//! What the environment decides.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How much is measured, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// `BENCH_SECONDS`: how long a run is measured.
    pub(crate) span: Duration,
    /// `BENCH_ROUNDS`: how often each system has its turn.
    pub(crate) rounds: usize,
    /// `BENCH_ROWS`: the groups of rows that are measured, `None` for all.
    pub(crate) rows: Option<Vec<String>>,
    /// `BENCH_DOCUMENTS`: how many documents a large store has.
    pub(crate) documents: u64,
    /// `BENCH_KEYS`: how many keys a large namespace has.
    pub(crate) keys: u64,
    /// `BENCH_JOURNAL_MB`: how long the replayed journal is, in MB of 10⁶ bytes.
    pub(crate) journal_mb: u64,
    /// `BENCH_ARCHIVE_MIB`: how large the uploaded archive is, in MiB.
    pub(crate) archive_mib: u64,
    /// `BENCH_DIR`: where the result goes, and the state of all servers while they are measured.
    pub(crate) directory: PathBuf,
}

impl Settings {
    /// Reads them by name.
    ///
    /// # Errors
    /// A value that means nothing.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let seconds: f64 = parse(&variable, "BENCH_SECONDS", 1.0)?;
        ensure!((0.01..=3600.0).contains(&seconds), "BENCH_SECONDS: 0.01 to 3600 seconds");
        let settings = Self {
            span: Duration::from_secs_f64(seconds),
            rounds: parse(&variable, "BENCH_ROUNDS", 5)?,
            rows: variable("BENCH_ROWS")
                .filter(|rows| !rows.is_empty())
                .map(|rows| rows.split([',', ' ']).map(Into::into).collect()),
            documents: parse(&variable, "BENCH_DOCUMENTS", 1_000_000)?,
            keys: parse(&variable, "BENCH_KEYS", 1_000_000)?,
            journal_mb: parse(&variable, "BENCH_JOURNAL_MB", 1_000)?,
            archive_mib: parse(&variable, "BENCH_ARCHIVE_MIB", 1024)?,
            directory: variable("BENCH_DIR").unwrap_or_else(|| "bench/out".into()).into(),
        };
        ensure!(settings.rounds > 0, "BENCH_ROUNDS: at least 1");
        ensure!(settings.documents > 0, "BENCH_DOCUMENTS: at least 1");
        ensure!(settings.journal_mb > 0, "BENCH_JOURNAL_MB: at least 1");
        ensure!(settings.archive_mib > 0, "BENCH_ARCHIVE_MIB: at least 1");
        ensure!(
            settings.keys >= 1_000 && settings.keys.is_multiple_of(1_000),
            "BENCH_KEYS: a multiple of 1000"
        );
        for row in settings.rows.iter().flatten() {
            ensure!(GROUPS.contains(&row.as_str()), "BENCH_ROWS: {row:?} is none of {GROUPS:?}");
        }
        Ok(settings)
    }

    /// Whether a group of rows is measured.
    pub(crate) fn has(&self, group: &str) -> bool {
        self.rows.as_ref().is_none_or(|rows| rows.iter().any(|row| row == group))
    }
}

/// The groups of rows, in the order in which they are measured.
pub(crate) const GROUPS: [&str; 7] =
    ["put", "swap", "get", "patch", "upload", "replay", "documents"];

fn parse<T>(variable: impl Fn(&str) -> Option<String>, name: &str, default: T) -> Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match variable(name).filter(|text| !text.is_empty()) {
        None => Ok(default),
        Some(text) => text.parse().with_context(|| format!("{name}={text} is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_means_nothing_is_refused_by_its_name() {
        for (name, value) in [
            ("BENCH_SECONDS", "soon"),
            ("BENCH_SECONDS", "0"),
            ("BENCH_ROUNDS", "0"),
            ("BENCH_ROWS", "put,post"),
            ("BENCH_DOCUMENTS", "0"),
            ("BENCH_KEYS", "1500"),
            ("BENCH_JOURNAL_MB", "-1"),
        ] {
            let found = Settings::read(|asked| (asked == name).then(|| value.into()));
            let error = found.expect_err(name).to_string();
            assert!(error.contains(name), "{name}={value}: {error}");
        }
    }

    #[test]
    fn without_a_value_everything_is_measured() {
        let settings = Settings::read(|_| None).unwrap();
        assert!(GROUPS.iter().all(|group| settings.has(group)), "{settings:?}");
    }
}
