//! The command's side: a directory that stays fit to be copied, whether it is served or not.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;
use stowage_store::OpenError;
use stowage_store::volume::InspectError;
use stowage_store::volume::snapshot::{Source, Span};

use super::wire::{self, Answer, Ask, Reached};

/// How long a server that has the lock may take until it has its socket, or to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may take for an answer, which takes it a write to its disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Why a directory cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It holds no store, is in use otherwise, or does not check out.
    #[error(transparent)]
    Source(#[from] InspectError),
    /// Its user does not let this one.
    #[error("{0} belongs to another user: take the snapshot as that one, or as root")]
    Permission(String),
    /// The server said no, or does not keep the journal any longer.
    #[error("the server gives the snapshot up: {0}")]
    Refused(String),
    /// The server is gone, or hangs.
    #[error(
        "the server has gone or does not answer ({0}): look at it, then take the snapshot again"
    )]
    Gone(io::Error),
    /// The server says something else.
    #[error("the server is of another version: take the snapshot with the program that serves")]
    Version,
}

/// A directory that may be copied until this is dropped.
#[derive(Debug)]
pub struct Session {
    source: Source,
    journal: Journal,
}

#[derive(Debug)]
enum Journal {
    /// Of a store that is served.
    Kept(BufReader<UnixStream>),
    /// Of one that is not, and is locked.
    Still(Option<Span>),
}

impl Session {
    /// Has the server of a directory keep its journal; where there is none, takes the lock.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn open(directory: &Path) -> Result<Self, SessionError> {
        let begun = Instant::now();
        loop {
            if let Some(session) = Self::served(directory)? {
                return Ok(session);
            }
            match Source::unserved(directory) {
                // It may be about to serve, or to end.
                Err(InspectError::Open(OpenError::InUse { .. })) if begun.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(50));
                }
                opened => {
                    let (source, span) = opened?;
                    return Ok(Self { source, journal: Journal::Still(span) });
                }
            }
        }
    }

    fn served(directory: &Path) -> Result<Option<Self>, SessionError> {
        let source = Source::served(directory)?;
        let connected = wire::place(directory).and_then(|(private, path)| {
            let stream = UnixStream::connect(path);
            drop(private);
            stream
        });
        let stream = match connected {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => return Ok(None),
                io::ErrorKind::PermissionDenied => {
                    return Err(SessionError::Permission(directory.display().to_string()));
                }
                _ => return Err(SessionError::Gone(error)),
            },
        };
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(SessionError::Gone)?;
        let mut stream = BufReader::new(stream);
        match answer(&mut stream)? {
            Answer::Kept { version: wire::VERSION } => {
                Ok(Some(Self { source, journal: Journal::Kept(stream) }))
            }
            other => Err(unexpected(other)),
        }
    }

    /// What is to be copied.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Everything up to here is in the copy, and nothing after: `None` where there is no journal.
    /// What of the tree was copied before the call is not later.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn barrier(&mut self) -> Result<Option<Span>, SessionError> {
        match &mut self.journal {
            Journal::Still(span) => Ok(*span),
            Journal::Kept(stream) => match ask(stream, Ask::Barrier)? {
                Answer::Reached(reached) => {
                    Reached::span(&reached).map(Some).ok_or(SessionError::Version)
                }
                other => Err(unexpected(other)),
            },
        }
    }

    /// Fails where the copy cannot succeed any more.
    ///
    /// # Errors
    /// [`SessionError::Refused`], [`SessionError::Gone`].
    pub fn check(&mut self) -> Result<(), SessionError> {
        let Journal::Kept(stream) = &mut self.journal else { return Ok(()) };
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(stream.get_ref(), &mut [0_u8; 1], flags) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(SessionError::Gone(error.into())),
            // Nothing was asked: it is the end, or the reason for it.
            Ok(_) => Err(unexpected(answer(stream)?)),
        }
    }

    /// Makes sure that the journal was kept until now, and lets it go.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn end(mut self) -> Result<Source, SessionError> {
        match &mut self.journal {
            Journal::Still(_) => Ok(self.source),
            Journal::Kept(stream) => match ask(stream, Ask::End)? {
                Answer::Ended => Ok(self.source),
                other => Err(unexpected(other)),
            },
        }
    }
}

fn ask(stream: &mut BufReader<UnixStream>, question: Ask) -> Result<Answer, SessionError> {
    let mut line = serde_json::to_vec(&question).map_err(|_| SessionError::Version)?;
    line.push(b'\n');
    // What the server may have said before it left is worth more than that it left.
    let sent = stream.get_ref().write_all(&line);
    match answer(stream) {
        Err(SessionError::Gone(error)) => Err(SessionError::Gone(sent.err().unwrap_or(error))),
        answered => answered,
    }
}

fn answer(stream: &mut BufReader<UnixStream>) -> Result<Answer, SessionError> {
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(0) => Err(SessionError::Gone(io::ErrorKind::UnexpectedEof.into())),
        Ok(_) => serde_json::from_str(&line).map_err(|_| SessionError::Version),
        Err(error) => Err(SessionError::Gone(error)),
    }
}

fn unexpected(answer: Answer) -> SessionError {
    match answer {
        Answer::Refused(reason) => SessionError::Refused(reason),
        _ => SessionError::Version,
    }
}
