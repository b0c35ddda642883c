//! Keys of the jobs' tree: the layout of an agent runtime's own storage, to the byte.
//!
//! ```text
//! jobs/{job}/job.json
//! jobs/{job}/checkpoints/{checkpoint}.json
//! jobs/{job}/runs/{run}/run-setting.json
//! jobs/{job}/runs/{run}/event-{timestamp}-{step}-{type}.json
//! ```
//!
//! A directory that the runtime wrote itself is served as it is, so a file that is found may have a
//! name that no request can have ([`Segment`]): it is listed and read. What a request names is a
//! [`Name`] or an [`EventId`].

use std::fmt;

use super::{Key, Prefix};
use crate::{InvalidName, Name, NameKind};

/// The folder of all jobs.
pub(crate) const JOBS: &str = "jobs/";

const JOB: &str = "job.json";

const CHECKPOINTS: &str = "checkpoints";

const RUNS: &str = "runs";

const RUN_SETTING: &str = "run-setting.json";

const EVENT: &str = "event-";

const JSON: &str = ".json";

/// What file systems commonly take as a name, in bytes.
const FILE_NAME_BYTES_MAX: usize = 255;

/// The largest number of an event's name: up to here every whole number is one of its own for
/// clients that count in floating point (RFC 8259 §6).
pub const EVENT_NUMBER_MAX: u64 = (1 << 53) - 1;

/// The name of a directory of the jobs' tree: a job's or a run's. It holds no `/`, and leads
/// nowhere but into the directory of that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment(Box<str>);

impl Segment {
    /// Takes a name that a directory was found to have, or that a key has.
    #[must_use]
    pub(crate) fn found(name: &str) -> Option<Self> {
        is_segment(name).then(|| Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Name> for Segment {
    fn from(name: &Name) -> Self {
        Self(name.to_segment().into())
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a path may go through this name.
fn is_segment(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= FILE_NAME_BYTES_MAX
        && !name.bytes().any(|b| matches!(b, b'/' | 0))
}

/// Which event of a run: `{timestamp}-{step}-{type}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    timestamp: u64,
    step: u64,
    kind: Name,
}

/// Why a text is no [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEventId {
    /// Not three parts, or one of the first two is no number of the usual spelling.
    #[error(
        "an event's id is its timestamp, its step number and its type, as in 1700000000000-1-startRun"
    )]
    Parts,
    /// A number beyond [`EVENT_NUMBER_MAX`].
    #[error("an event's timestamp and step number are whole numbers from 0 to {EVENT_NUMBER_MAX}")]
    Number,
    /// The type.
    #[error(transparent)]
    Type(#[from] InvalidName),
}

impl EventId {
    /// Puts an id together.
    ///
    /// # Errors
    /// [`InvalidEventId::Number`].
    pub fn new(timestamp: u64, step: u64, kind: Name) -> Result<Self, InvalidEventId> {
        if timestamp.max(step) > EVENT_NUMBER_MAX {
            return Err(InvalidEventId::Number);
        }
        Ok(Self { timestamp, step, kind })
    }

    /// Reads what [`fmt::Display`] writes, and nothing else.
    ///
    /// # Errors
    /// [`InvalidEventId`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidEventId> {
        let mut parts = text.splitn(3, '-');
        let mut number = || {
            let digits = parts.next().filter(|part| is_plain_number(part))?;
            Some(digits.parse().unwrap_or(u64::MAX))
        };
        let (timestamp, step) = (number(), number());
        let (Some(timestamp), Some(step), Some(kind)) = (timestamp, step, parts.next()) else {
            return Err(InvalidEventId::Parts);
        };
        Self::new(timestamp, step, Name::parse(NameKind::EventType, kind)?)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.timestamp, self.step, self.kind)
    }
}

/// Whether a number is spelled as it is printed.
fn is_plain_number(text: &str) -> bool {
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_digits && (text == "0" || !text.starts_with('0'))
}

/// What stands at a key of the jobs' tree. Names are those of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobDocument<'a> {
    /// The job itself.
    Job,
    /// One of its checkpoints.
    Checkpoint,
    /// The setting of one of its runs.
    RunSetting,
    /// An event of a run.
    Event {
        /// What stands between `event-` and `.json`.
        id: &'a str,
    },
}

impl<'a> JobDocument<'a> {
    /// What stands at a path, where one of the tree's documents may.
    pub(super) fn at(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(JOBS)?;
        let mut segments = rest.split('/');
        if !rest.split('/').all(is_segment) {
            return None;
        }
        let (_job, second, third, fourth) =
            (segments.next()?, segments.next()?, segments.next(), segments.next());
        match (second, third, fourth, segments.next()) {
            (JOB, None, None, None) => Some(Self::Job),
            (CHECKPOINTS, Some(file), None, None) => {
                (file.len() > JSON.len() && file.ends_with(JSON)).then_some(Self::Checkpoint)
            }
            (RUNS, Some(_), Some(RUN_SETTING), None) => Some(Self::RunSetting),
            (RUNS, Some(_), Some(file), None) => {
                let id = file.strip_prefix(EVENT)?.strip_suffix(JSON)?;
                Some(Self::Event { id })
            }
            _ => None,
        }
    }
}

impl Key {
    /// A job.
    #[must_use]
    pub fn job(job: &Segment) -> Self {
        Self([JOBS, job.as_str(), "/", JOB].concat().into())
    }

    /// A checkpoint of a job.
    #[must_use]
    pub fn checkpoint(job: &Segment, checkpoint: &Name) -> Self {
        let checkpoint = checkpoint.to_segment();
        Self([JOBS, job.as_str(), "/", CHECKPOINTS, "/", &checkpoint, JSON].concat().into())
    }

    /// The setting of a run.
    #[must_use]
    pub fn run_setting(job: &Segment, run: &Segment) -> Self {
        Self([run_directory(job, run).as_str(), RUN_SETTING].concat().into())
    }

    /// An event of a run.
    #[must_use]
    pub fn event(job: &Segment, run: &Segment, event: &EventId) -> Self {
        Self(format!("{}{EVENT}{event}{JSON}", run_directory(job, run)).into())
    }

    /// The job that a document of the jobs' tree belongs to.
    #[must_use]
    pub fn job_of(&self) -> Option<Segment> {
        self.as_job_document()?;
        Segment::found(self.0.strip_prefix(JOBS)?.split('/').next()?)
    }
}

impl Prefix {
    /// The checkpoints of a job.
    #[must_use]
    pub fn checkpoints(job: &Segment) -> Self {
        Self(format!("{JOBS}{job}/{CHECKPOINTS}/").into())
    }

    /// The events of a run, and its setting.
    #[must_use]
    pub fn run(job: &Segment, run: &Segment) -> Self {
        Self(run_directory(job, run).into())
    }
}

fn run_directory(job: &Segment, run: &Segment) -> String {
    [JOBS, job.as_str(), "/", RUNS, "/", run.as_str(), "/"].concat()
}

/// The directory that all of a job stands in.
pub(crate) fn job_directory(job: &Segment) -> String {
    [JOBS, job.as_str()].concat()
}

/// The job whose directory this is.
pub(crate) fn job_at(path: &str) -> Option<Segment> {
    Segment::found(path.strip_prefix(JOBS)?)
}

/// A directory of the jobs' tree whose own directories are listed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Folder(Box<str>);

impl Folder {
    /// One directory for each job.
    #[must_use]
    pub fn jobs() -> Self {
        Self(JOBS.into())
    }

    /// One directory for each run of a job.
    #[must_use]
    pub fn runs(job: &Segment) -> Self {
        Self(format!("{JOBS}{job}/{RUNS}/").into())
    }

    /// The relative path, with a `/` at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(kind: NameKind, text: &str) -> Name {
        Name::parse(kind, text).unwrap()
    }

    #[test]
    fn keys_are_those_of_the_runtime_s_own_layout() {
        let (job, run) = (name(NameKind::Job, "j"), name(NameKind::Run, "r"));
        let (job, run) = (Segment::from(&job), Segment::from(&run));
        let event = EventId::new(17, 3, name(NameKind::EventType, "callTools")).unwrap();
        let table = [
            (Key::job(&job), "jobs/j/job.json", JobDocument::Job),
            (
                Key::checkpoint(&job, &name(NameKind::Checkpoint, "c")),
                "jobs/j/checkpoints/c.json",
                JobDocument::Checkpoint,
            ),
            (
                Key::run_setting(&job, &run),
                "jobs/j/runs/r/run-setting.json",
                JobDocument::RunSetting,
            ),
            (
                Key::event(&job, &run, &event),
                "jobs/j/runs/r/event-17-3-callTools.json",
                JobDocument::Event { id: "17-3-callTools" },
            ),
        ];
        for (key, path, document) in table {
            assert_eq!(key.as_str(), path);
            assert_eq!(key.as_job_document(), Some(document), "{path}");
            assert_eq!(key.job_of(), Some(job.clone()), "{path}");
            assert_eq!(Key::from_path(path), Some(key), "{path}");
        }
    }

    #[test]
    fn what_the_runtime_may_have_written_is_a_key_and_nothing_that_leads_elsewhere() {
        for path in [
            "jobs/my job/job.json",
            "jobs/é%/checkpoints/a b.json",
            "jobs/.j/runs/\\/event-x.json",
            "jobs/j/runs/r/event-.json",
            "jobs/j/checkpoints/.json.json",
        ] {
            assert_eq!(Key::from_path(path).map(|key| key.to_string()).as_deref(), Some(path));
        }
        let long = format!("jobs/{}/job.json", "x".repeat(256));
        for path in [
            "jobs/../job.json",
            "jobs/./job.json",
            "jobs//job.json",
            "jobs/job.json",
            "jobs/j/job.json/",
            "jobs/j/other.json",
            "jobs/j/checkpoints/.json",
            "jobs/j/checkpoints/c.txt",
            "jobs/j/checkpoints/../job.json",
            "jobs/j/checkpoints/d/c.json",
            "jobs/j/runs/run-setting.json",
            "jobs/j/runs/../run-setting.json",
            "jobs/j/runs/r/event-1.txt",
            "jobs/j/runs/r/.event-1-1-a.json",
            "jobs/j/runs/r/s/event-1-1-a.json",
            "jobs/j\0/job.json",
            &long,
        ] {
            assert_eq!(Key::from_path(path), None, "{path}");
        }
    }

    #[test]
    fn an_event_s_id_is_read_as_it_is_written() {
        for text in ["0-0-a", "1700000000000-12-startRun", "9007199254740991-1-a-b.c"] {
            assert_eq!(EventId::parse(text).map(|id| id.to_string()).as_deref(), Ok(text));
        }
        use InvalidEventId as E;
        let character = InvalidName::Character(NameKind::EventType);
        let table = [
            ("", E::Parts),
            ("1-2", E::Parts),
            ("1--a", E::Parts),
            ("-1-2-a", E::Parts),
            ("01-2-a", E::Parts),
            ("+1-2-a", E::Parts),
            ("1.5-2-a", E::Parts),
            ("9007199254740992-2-a", E::Number),
            ("1-99999999999999999999999-a", E::Number),
            ("1-2-", E::Type(InvalidName::Length(NameKind::EventType))),
            ("1-2-..", E::Type(InvalidName::Dots(NameKind::EventType))),
            ("1-2-a/b", E::Type(character)),
        ];
        for (text, expected) in table {
            assert_eq!(EventId::parse(text), Err(expected), "{text:?}");
        }
    }
}
