//! One run: all clients at work until the time is over, or the operations are done.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use super::connection::Connection;
use super::{Client, Step};

/// How long nothing at all may happen before a run is given up.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The longest latency that is told apart, in nanoseconds.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// How long a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// What is done in this span is measured, after a tenth of it in which nothing counts.
    Span(Duration),
    /// So many operations, all of which count.
    Operations(u64),
}

/// What the clients do.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) clients: Vec<Box<dyn Client>>,
    pub(crate) length: Length,
}

/// What a run measured, and what `observe` said when the measuring began and when it ended.
#[derive(Debug)]
pub(crate) struct Measured<T> {
    /// Acknowledged operations.
    pub(crate) done: u64,
    /// Attempts at which somebody else came first.
    pub(crate) lost: u64,
    /// Of the acknowledged operations from their first byte to their last, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) elapsed: Duration,
    pub(crate) before: T,
    pub(crate) after: T,
}

/// Drives all clients from this thread.
///
/// # Errors
/// An answer that a client does not expect, a broken connection, or nothing for a minute.
pub(crate) fn drive<T>(load: Load, observe: impl Fn() -> Result<T>) -> Result<Measured<T>> {
    let Load { address, clients, length } = load;
    let mut driver = Driver::new(address, clients)?;
    driver.make_ready()?;
    driver.begin(length, observe)
}

struct Driver {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
}

impl Driver {
    fn new(address: SocketAddr, clients: Vec<Box<dyn Client>>) -> Result<Self> {
        let poll = Poll::new()?;
        let open = |(index, client)| {
            Connection::open(address, client, poll.registry(), Token(index))
                .with_context(|| format!("cannot connect to {address}"))
        };
        let connections = clients.into_iter().enumerate().map(open).collect::<Result<Vec<_>>>()?;
        let events = Events::with_capacity(connections.len().max(1));
        Ok(Self { poll, events, connections })
    }

    /// Waits for what happens next.
    fn wait(&mut self, until: Option<Instant>) -> Result<()> {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let timeout = until.map_or(STALL_MAX, |until| left(until).min(STALL_MAX));
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) if self.events.is_empty() && timeout == STALL_MAX => {
                bail!("no answer for {} s", STALL_MAX.as_secs())
            }
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Everything that comes before the first operation.
    fn make_ready(&mut self) -> Result<()> {
        let mut missing = 0;
        for connection in self.connections.iter_mut().filter(|c| !c.is_ready()) {
            connection.send()?;
            missing += 1;
        }
        while missing > 0 {
            self.wait(None)?;
            for event in &self.events {
                let connection = &mut self.connections[event.token().0];
                connection.flush()?;
                if connection.is_ready() || connection.receive()?.is_none() {
                    continue;
                }
                if connection.is_ready() {
                    missing -= 1;
                } else {
                    connection.send()?;
                }
            }
        }
        Ok(())
    }

    fn begin<T>(&mut self, length: Length, observe: impl Fn() -> Result<T>) -> Result<Measured<T>> {
        let mut window = Window::open(length, &observe)?;
        let mut tally = Tally::new()?;
        let mut unstarted = match length {
            Length::Span(_) => u64::MAX,
            Length::Operations(count) => count,
        };
        let mut under_way = 0_u64;
        // Since when each client's operation is under way; `None` where it has none.
        let mut began = vec![None; self.connections.len()];
        for (connection, began) in self.connections.iter_mut().zip(&mut began) {
            if unstarted > 0 {
                unstarted -= 1;
                under_way += 1;
                *began = Some(Instant::now());
                connection.send()?;
            }
        }
        while under_way > 0 {
            self.wait(window.next())?;
            window.advance(&observe)?;
            for event in &self.events {
                let index = event.token().0;
                let connection = &mut self.connections[index];
                connection.flush()?;
                let Some(since) = began[index] else { continue };
                let Some(step) = connection.receive()? else { continue };
                let now = Instant::now();
                if window.counts() {
                    tally.take(step, now - since)?;
                }
                // After the end, a read-modify-write that keeps losing is not waited for.
                let goes_on = !window.has_ended() && (step != Step::Done || unstarted > 0);
                if !goes_on {
                    began[index] = None;
                    under_way -= 1;
                    continue;
                }
                if step == Step::Done {
                    unstarted -= 1;
                    began[index] = Some(now);
                }
                connection.send()?;
            }
        }
        let Tally { done, lost, latencies } = tally;
        let (elapsed, before, after) = window.close(&observe)?;
        Ok(Measured { done, lost, latencies, elapsed, before, after })
    }
}

/// What was counted.
struct Tally {
    done: u64,
    lost: u64,
    latencies: Histogram<u64>,
}

impl Tally {
    fn new() -> Result<Self> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?;
        Ok(Self { done: 0, lost: 0, latencies })
    }

    /// `taken` is the time since the operation began.
    fn take(&mut self, step: Step, taken: Duration) -> Result<()> {
        match step {
            Step::Next => {}
            Step::Lost => self.lost += 1,
            Step::Done => {
                self.done += 1;
                self.latencies.saturating_record(u64::try_from(taken.as_nanos())?);
            }
        }
        Ok(())
    }
}

/// The time in which what is done counts: after the warm-up, until the span is over.
struct Window<T> {
    /// `None` where operations are counted, and the window stays open.
    span: Option<Duration>,
    from: Instant,
    before: Option<T>,
    ended: Option<(Duration, T)>,
}

impl<T> Window<T> {
    fn open(length: Length, observe: impl Fn() -> Result<T>) -> Result<Self> {
        let (span, warm_up, before) = match length {
            Length::Span(span) => (Some(span), span / 10, None),
            Length::Operations(_) => (None, Duration::ZERO, Some(observe()?)),
        };
        Ok(Self { span, from: Instant::now() + warm_up, before, ended: None })
    }

    /// When there is something to do here.
    fn next(&self) -> Option<Instant> {
        match (&self.before, &self.ended) {
            (None, _) => Some(self.from),
            (Some(_), None) => self.span.map(|span| self.from + span),
            (Some(_), Some(_)) => None,
        }
    }

    fn advance(&mut self, observe: impl Fn() -> Result<T>) -> Result<()> {
        let now = Instant::now();
        if self.next().is_none_or(|next| now < next) {
            return Ok(());
        }
        if self.before.is_none() {
            self.before = Some(observe()?);
            // Anew, so that a late beginning does not shorten the span.
            self.from = Instant::now();
        } else {
            self.ended = Some((now - self.from, observe()?));
        }
        Ok(())
    }

    fn counts(&self) -> bool {
        self.before.is_some() && self.ended.is_none()
    }

    fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// How long it was open, and what was observed when it opened and when it closed.
    fn close(self, observe: impl Fn() -> Result<T>) -> Result<(Duration, T, T)> {
        let before = self.before.context("the run ended before it began")?;
        let (elapsed, after) = match self.ended {
            Some(ended) => ended,
            None => (self.from.elapsed(), observe()?),
        };
        Ok((elapsed, before, after))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;
    use crate::load::stowage::{Incrementer, Writer};

    /// What the server of a test answers to the request of a number, counted from 1.
    type Answer = fn(u64) -> String;

    /// Serves on a thread for each connection, and counts requests.
    fn serve(answer: Answer) -> (SocketAddr, Arc<AtomicU64>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let count = Arc::clone(&counted);
                thread::spawn(move || serve_connection(stream.unwrap(), answer, &count));
            }
        });
        (address, count)
    }

    fn serve_connection(mut stream: TcpStream, answer: Answer, count: &AtomicU64) {
        // Or the second piece of an answer waits for the first one to be acknowledged.
        stream.set_nodelay(true).unwrap();
        let mut input = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(bytes @ 1..) = stream.read(&mut piece) {
            input.extend(&piece[..bytes]);
            let text = String::from_utf8(input.clone()).unwrap();
            let Some(head) = text.find("\r\n\r\n") else { continue };
            let length = text.find("Content-Length: ").map_or(0, |at| {
                let digits = &text[at + "Content-Length: ".len()..];
                digits[..digits.find('\r').unwrap()].parse().unwrap()
            });
            if input.len() < head + 4 + length {
                continue;
            }
            input.clear();
            let answer = answer(count.fetch_add(1, Ordering::SeqCst) + 1);
            // In two pieces, so that an answer is put together again.
            let (first, second) = answer.split_at(answer.len() / 2);
            let written = stream.write_all(first.as_bytes()).and_then(|()| {
                thread::yield_now();
                stream.write_all(second.as_bytes())
            });
            if written.is_err() {
                return;
            }
        }
    }

    fn ok(number: u64) -> String {
        format!("HTTP/1.1 200 OK\r\netag: \"{number}\"\r\ncontent-length: 2\r\n\r\n{{}}")
    }

    fn writers(count: usize) -> Vec<Box<dyn Client>> {
        (0..count).map(|n| Box::new(Writer::new(&format!("d{n}"))) as Box<dyn Client>).collect()
    }

    #[test]
    fn as_many_operations_are_counted_as_the_server_acknowledged() {
        for (clients, operations) in [(1, 1), (1, 100), (8, 100), (8, 5)] {
            let (address, served) = serve(ok);
            let load =
                Load { address, clients: writers(clients), length: Length::Operations(operations) };
            let measured = drive(load, || Ok(served.load(Ordering::SeqCst))).unwrap();
            assert_eq!(measured.before, clients as u64, "each client writes once to get its tag");
            assert_eq!(measured.done, operations, "{clients} clients");
            assert_eq!(measured.after - measured.before, operations, "{clients} clients");
            assert_eq!(measured.latencies.len(), operations, "{clients} clients");
        }
    }

    #[test]
    fn a_span_counts_no_more_than_was_served_in_it() {
        let (address, served) = serve(ok);
        let span = Duration::from_millis(200);
        let load = Load { address, clients: writers(4), length: Length::Span(span) };
        let measured = drive(load, || Ok(served.load(Ordering::SeqCst))).unwrap();
        let in_span = measured.after - measured.before;
        assert!(measured.elapsed >= span, "{measured:?}");
        // At both ends, an answer of each client may be on its way.
        assert!(measured.done.abs_diff(in_span) <= 4, "{} of {in_span}", measured.done);
        assert!(measured.done > 0, "{measured:?}");
    }

    #[test]
    fn a_lost_race_is_counted_apart() {
        // The first request makes the document; then each second operation loses.
        let (address, _) = serve(|number| match number % 4 {
            1 if number > 1 => "HTTP/1.1 412 x\r\ncontent-length: 0\r\n\r\n".into(),
            _ => ok(number),
        });
        let clients: Vec<Box<dyn Client>> = vec![Box::new(Incrementer::new("hot"))];
        let load = Load { address, clients, length: Length::Operations(10) };
        let measured = drive(load, || Ok(())).unwrap();
        assert_eq!((measured.done, measured.lost), (10, 9));
    }

    #[test]
    fn an_answer_that_is_an_error_fails_the_run() {
        let bad: [(&str, Answer); 4] = [
            ("an error", |_| "HTTP/1.1 507 x\r\ncontent-length: 4\r\n\r\nfull".into()),
            ("a race that nobody can win", |n| match n {
                1 => ok(n),
                _ => "HTTP/1.1 412 x\r\ncontent-length: 0\r\n\r\n".into(),
            }),
            ("a write without a tag", |_| "HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n".into()),
            ("no HTTP", |_| "+OK\r\n\r\n".into()),
        ];
        for (what, answer) in bad {
            let (address, _) = serve(answer);
            let load = Load { address, clients: writers(1), length: Length::Operations(10) };
            let result = drive(load, || Ok(()));
            assert!(result.is_err(), "{what}: {result:?}");
        }
    }
}
