//! Many clients at once. What no single client can see is whether a comparison and the write that
//! hangs on it are one step.

mod readers;

use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::content::{A, Content};
use crate::execute::Server;
use crate::offers::{Offers, SETTLING};
use crate::outcome::Outcome;
use crate::tag::Tag;
use crate::wire::{Answer, Connection, Request, WireError};

/// So many clients at once.
const CLIENTS: u32 = 8;
/// So often each adds one to the counter.
const INCREMENTS: u32 = 10;
/// So long the counter may take: a server that lets nobody win has no other end.
const COUNTING: Duration = Duration::from_secs(60);

/// Who races for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Race {
    /// Writers who hold the same tag, so many rounds: each round has one winner, whose content
    /// stays.
    Writers { rounds: u32 },
    /// Writers who all create: one wins.
    Creators { rounds: u32 },
    /// Clients who delete under the same tag: one succeeds.
    Deleters { rounds: u32 },
    /// A writer and a client who deletes, under the same tag: one wins.
    WriterAndDeleter { rounds: u32 },
    /// Read, add one, write under the tag, again after a refusal: no addition is lost.
    Counter,
    /// Readers beside a writer: each answer is one whole version, no tag stands for two, and the last
    /// version is there once it was acknowledged.
    Readers,
}

/// A race that did not go as it must, or could not be held.
pub(crate) enum Lost {
    /// The server did not answer somebody.
    Wire(WireError),
    /// What was expected, and what came.
    Wrong { expected: String, found: String },
    /// The server does not take what the race needs; says what.
    NotApplicable(String),
}

impl Lost {
    pub(crate) fn outcome(self, step: usize) -> Outcome {
        let step = format!("step {step}, many clients at once");
        match self {
            Self::Wire(error) if !error.is_an_answer() => {
                Outcome::Error(format!("{step}: {error}"))
            }
            Self::Wire(error) => {
                Outcome::Fail { step, expected: "an HTTP answer".into(), found: error.to_string() }
            }
            Self::Wrong { expected, found } => Outcome::Fail { step, expected, found },
            Self::NotApplicable(reason) => Outcome::NotApplicable(reason),
        }
    }
}

impl From<WireError> for Lost {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// Runs a race at a resource.
pub(crate) fn run(race: &Race, server: &Server, offers: &Offers, here: &str) -> Result<(), Lost> {
    let ground = Ground { server, settles: offers.settles, here };
    match *race {
        Race::Writers { rounds } => ground.rounds(rounds, Ground::writers),
        Race::Creators { rounds } => ground.rounds(rounds, Ground::creators),
        Race::Deleters { rounds } => ground.rounds(rounds, Ground::deleters),
        Race::WriterAndDeleter { rounds } => ground.rounds(rounds, Ground::writer_and_deleter),
        Race::Counter => ground.counter(),
        Race::Readers => ground.readers(),
    }
}

struct Ground<'a> {
    server: &'a Server,
    settles: bool,
    here: &'a str,
}

impl Ground<'_> {
    fn rounds(
        &self,
        rounds: u32,
        round: impl Fn(&Self, u32) -> Result<(), Lost>,
    ) -> Result<(), Lost> {
        // Where each round waits for a tag to settle, as many would take minutes.
        let rounds = if self.settles { rounds.min(3) } else { rounds };
        (1..=rounds).try_for_each(|number| round(self, number))
    }

    fn exchange(&self, request: &Request) -> Result<Answer, WireError> {
        self.server.exchange(request)
    }

    fn read(&self) -> Result<Answer, WireError> {
        let since = Instant::now();
        loop {
            let answer = self.exchange(&self.server.request("GET", self.here))?;
            let weak = answer.tag().and_then(|t| Tag::parse(&t)).is_some_and(|tag| tag.weak);
            if !(self.settles && weak) || since.elapsed() > SETTLING {
                return Ok(answer);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Writes, and gives the tag under which it stands.
    fn put(&self, content: Content) -> Result<String, Lost> {
        let written = self.exchange(&self.server.write(self.here, content))?;
        if !written.succeeded() {
            return Err(wrong("2xx to a write", written.status.to_string()));
        }
        self.read()?.tag().ok_or_else(|| wrong("an ETag", "none".into()))
    }

    fn write_if(&self, field: &str, value: &str, content: Content) -> Request {
        let mut request = self.server.conditional_write(self.here, content);
        request.fields.push((field.to_owned(), value.to_owned()));
        request
    }

    fn delete_if(&self, tag: &str) -> Request {
        let mut request = self.server.request("DELETE", self.here);
        request.fields.push(("If-Match".into(), tag.to_owned()));
        request
    }

    /// Sends all at once, each on a connection that is open already.
    fn all(&self, requests: &[Request]) -> Result<Vec<Answer>, Lost> {
        let barrier = Barrier::new(requests.len());
        let send = |request: &Request| -> Result<Answer, WireError> {
            let connection = self.server.connector.open();
            barrier.wait();
            connection?.exchange(request)
        };
        thread::scope(|scope| {
            let runs: Vec<_> =
                requests.iter().map(|request| scope.spawn(|| send(request))).collect();
            runs.into_iter().map(|run| joined(run).map_err(Lost::from)).collect()
        })
    }

    /// Which one won, where it is one.
    fn winner(round: u32, answers: &[Answer]) -> Result<usize, Lost> {
        let won: Vec<usize> =
            (0..answers.len()).filter(|&i| answers.get(i).is_some_and(Answer::succeeded)).collect();
        if let [winner] = won.as_slice() {
            return Ok(*winner);
        }
        let statuses: Vec<String> = answers.iter().map(|a| a.status.to_string()).collect();
        Err(wrong(
            "exactly one 2xx",
            format!("{} in round {round}: {}", won.len(), statuses.join(" ")),
        ))
    }

    /// The winner's content is the one that stands.
    fn stands(&self, round: u32, content: Content) -> Result<(), Lost> {
        let now = self.exchange(&self.server.request("GET", self.here))?;
        if now.body == content.bytes() {
            return Ok(());
        }
        let found = format!("{} with {} in round {round}", now.status, now.excerpt());
        Err(wrong("the content of the one that got 2xx", found))
    }

    fn contents(round: u32) -> Vec<Content> {
        (0..CLIENTS).map(|client| Content::numbered(round * 100 + client)).collect()
    }

    fn writers(&self, round: u32) -> Result<(), Lost> {
        let tag = self.put(Content::numbered(round * 100 + 99))?;
        let contents = Self::contents(round);
        let requests: Vec<Request> =
            contents.iter().map(|content| self.write_if("If-Match", &tag, *content)).collect();
        let winner = Self::winner(round, &self.all(&requests)?)?;
        self.stands(round, contents.get(winner).copied().unwrap_or(A))
    }

    fn creators(&self, round: u32) -> Result<(), Lost> {
        self.server.remove(self.here);
        let contents = Self::contents(round);
        let requests: Vec<Request> =
            contents.iter().map(|content| self.write_if("If-None-Match", "*", *content)).collect();
        let winner = Self::winner(round, &self.all(&requests)?)?;
        self.stands(round, contents.get(winner).copied().unwrap_or(A))
    }

    fn deleters(&self, round: u32) -> Result<(), Lost> {
        let tag = self.put(Content::numbered(round * 100))?;
        let requests: Vec<Request> = (0..CLIENTS).map(|_| self.delete_if(&tag)).collect();
        Self::winner(round, &self.all(&requests)?).map(|_| ())
    }

    fn writer_and_deleter(&self, round: u32) -> Result<(), Lost> {
        let tag = self.put(Content::numbered(round * 100))?;
        let content = Content::numbered(round * 100 + 1);
        let answers =
            self.all(&[self.write_if("If-Match", &tag, content), self.delete_if(&tag)])?;
        match Self::winner(round, &answers)? {
            0 => self.stands(round, content),
            _ => Ok(()),
        }
    }

    fn counter(&self) -> Result<(), Lost> {
        self.put(Content::numbered(0))?;
        let since = Instant::now();
        let count = || -> Result<(), Lost> {
            let mut connection = self.server.connector.open()?;
            let mut done = 0;
            while done < INCREMENTS {
                if since.elapsed() > COUNTING {
                    return Err(wrong("an end", format!("{done} of {INCREMENTS} after a minute")));
                }
                let now = if self.settles {
                    self.read()?
                } else {
                    self.on(&mut connection, &self.server.request("GET", self.here))?
                };
                let Some(tag) = now.tag() else { return Err(wrong("an ETag", "none".into())) };
                let content = Content::parse(&now.body)
                    .ok_or_else(|| wrong("a content that was written", now.excerpt()))?;
                let next = Content::numbered(content.number + 1);
                let written = self.on(&mut connection, &self.write_if("If-Match", &tag, next))?;
                if written.succeeded() {
                    done += 1;
                } else if !matches!(written.status, 409 | 412 | 423 | 429 | 503) {
                    return Err(wrong("2xx or 412", written.status.to_string()));
                }
            }
            Ok(())
        };
        let clients = if self.settles { 2 } else { CLIENTS };
        thread::scope(|scope| {
            let runs: Vec<_> = (0..clients).map(|_| scope.spawn(count)).collect();
            runs.into_iter().try_for_each(joined)
        })?;
        let sum = clients * INCREMENTS;
        let now = self.exchange(&self.server.request("GET", self.here))?;
        match Content::parse(&now.body) {
            Some(content) if content.number == sum => Ok(()),
            Some(content) => Err(wrong(
                &format!("{sum} after {sum} additions that were answered 2xx"),
                content.number.to_string(),
            )),
            None => Err(wrong("a content that was written", now.excerpt())),
        }
    }

    /// On a connection that is opened again where the server has closed it.
    fn on(&self, connection: &mut Connection, request: &Request) -> Result<Answer, WireError> {
        let answer = match connection.exchange(request) {
            Err(WireError::Closed) => {
                *connection = self.server.connector.open()?;
                connection.exchange(request)?
            }
            other => other?,
        };
        if answer.closes {
            *connection = self.server.connector.open()?;
        }
        Ok(answer)
    }
}

/// What a client's thread came to; its panic is one of the caller.
fn joined<T>(run: ScopedJoinHandle<'_, T>) -> T {
    run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn wrong(expected: &str, found: String) -> Lost {
    Lost::Wrong { expected: expected.to_owned(), found }
}
