//! A case, carried out step by step.

use std::time::{Duration, Instant};

use crate::case::{Action, Call, Case, Step};
use crate::check::check;
use crate::content::Content;
use crate::offers::{Offers, SETTLING};
use crate::outcome::Outcome;
use crate::profile::Profile;
use crate::race;
use crate::tag::Tag;
use crate::template::{Context, Missing};
use crate::wire::{Answer, Connection, Connector, Field, Request, WireError};

/// The server that is tried, and what every request to it carries.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) connector: Connector,
    pub(crate) profile: Profile,
    /// The path below which everything happens.
    pub(crate) base: String,
    /// `Authorization`, where a token was given.
    pub(crate) credentials: Option<Field>,
    /// What else every request carries.
    pub(crate) fields: Vec<Field>,
    /// What a write carries that has no condition of its own.
    pub(crate) condition: Condition,
}

/// What a write carries that has no condition of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing.
    None,
    /// `If-Match: *`, without which the contract takes no write.
    Current,
    /// A condition that always holds, to a server that answers 428 where there is none.
    Demanded,
}

impl Server {
    /// The target of the resource of this name.
    pub(crate) fn target(&self, name: &str) -> String {
        self.profile.target(&self.base, name)
    }

    /// Whether a token was given.
    pub(crate) fn authorized(&self) -> bool {
        self.credentials.is_some()
    }

    /// A request without a body.
    pub(crate) fn request(&self, method: &str, target: &str) -> Request {
        let mut request = self.anonymous(method, target);
        request.fields.extend(self.credentials.clone());
        request
    }

    /// The same without credentials.
    pub(crate) fn anonymous(&self, method: &str, target: &str) -> Request {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: self.fields.clone(),
            body: Vec::new(),
        }
    }

    /// A write under no condition but what the contract demands.
    pub(crate) fn write(&self, target: &str, content: Content) -> Request {
        let mut request = self.conditional_write(target, content);
        self.complete(&mut request);
        request
    }

    /// A write to which the caller adds the condition.
    pub(crate) fn conditional_write(&self, target: &str, content: Content) -> Request {
        let mut request = self.profile.write(target, content);
        request.fields.extend(self.fields.iter().cloned());
        request.fields.extend(self.credentials.clone());
        request
    }

    /// Adds the condition without which the server takes no write.
    fn complete(&self, request: &mut Request) {
        let (name, value) = match self.condition {
            Condition::None => return,
            Condition::Current => ("If-Match", "*"),
            Condition::Demanded => ("If-None-Match", "\"no-such-tag\""),
        };
        let own = match self.condition {
            Condition::Demanded => request.has("if-match") || request.has("if-none-match"),
            _ => request.has("if-match"),
        };
        if !own {
            request.fields.push((name.into(), value.into()));
        }
    }

    /// Removes a resource, under its tag where the server wants one; says whether it was answered
    /// 2xx. What does not go stays: this is tidying up, and no case.
    pub(crate) fn remove(&self, target: &str) -> bool {
        let mut delete = self.request("DELETE", target);
        self.complete(&mut delete);
        match self.exchange(&delete) {
            Ok(answer) if matches!(answer.status, 409 | 412 | 428) => {
                let read = self.exchange(&self.request("GET", target));
                let Some(tag) = read.ok().and_then(|answer| answer.tag()) else { return false };
                delete.fields.push(("If-Match".into(), tag));
                self.exchange(&delete).is_ok_and(|answer| answer.succeeded())
            }
            Ok(answer) => answer.succeeded(),
            Err(_) => false,
        }
    }

    /// A request on a connection of its own.
    pub(crate) fn exchange(&self, request: &Request) -> Result<Answer, WireError> {
        self.connector.open()?.exchange(request)
    }

    fn prepare(&self, call: &Call, context: &Context) -> Result<Request, Missing> {
        let mut request = match &call.action {
            Action::Read => self.anonymous("GET", &context.here),
            Action::Head => self.anonymous("HEAD", &context.here),
            Action::Delete => self.anonymous("DELETE", &context.here),
            Action::Write(content) => {
                let mut request = self.profile.write(&context.here, *content);
                request.fields.extend(self.fields.iter().cloned());
                request
            }
            Action::Raw { method, target, body } => {
                let mut request = self.anonymous(method, &context.fill(target)?);
                request.body.clone_from(body);
                request
            }
            Action::BreakOff { target } => {
                let mut request = self.anonymous("PUT", &context.fill(target)?);
                request.fields.push(("Content-Length".into(), "1000".into()));
                request.body = b"only this".to_vec();
                request
            }
        };
        if !call.anonymous {
            request.fields.extend(self.credentials.clone());
        }
        for (name, pattern) in &call.fields {
            request.fields.push((name.clone(), context.fill(pattern)?));
        }
        if matches!(call.action, Action::Write(_) | Action::Delete) {
            self.complete(&mut request);
        }
        Ok(request)
    }
}

/// Carries out a case and removes what it wrote.
pub(crate) fn execute(server: &Server, offers: &Offers, case: &Case) -> Outcome {
    if let Some(reason) = case.needs.iter().find_map(|need| offers.lack(*need)) {
        return Outcome::NotApplicable(reason.to_owned());
    }
    let name = crate::run::name();
    let here = server.target(&name);
    let context = Context { base: server.base.clone(), name, here, ..Context::default() };
    let mut run = Run { server, offers, context, connection: None };
    let done = run.steps(&case.steps);
    server.remove(&run.context.here);
    done.err().unwrap_or(Outcome::Pass)
}

struct Run<'a> {
    server: &'a Server,
    offers: &'a Offers,
    context: Context,
    connection: Option<Connection>,
}

impl Run<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), Outcome> {
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Call(call) => self.call(index + 1, call)?,
                Step::Race(race) => race::run(race, self.server, self.offers, &self.context.here)
                    .map_err(|lost| lost.outcome(index + 1))?,
            }
        }
        Ok(())
    }

    fn call(&mut self, number: usize, call: &Call) -> Result<(), Outcome> {
        let request = self.server.prepare(call, &self.context).map_err(missing)?;
        let step = sentence(number, &request);
        if matches!(call.action, Action::BreakOff { .. }) {
            return self.break_off(&request);
        }
        let answer = match self.exchange(call, &request) {
            Ok(answer) => answer,
            Err(WireError::Closed | WireError::Truncated) if call.may_close => return Ok(()),
            Err(error) if error.is_an_answer() => {
                return Err(Outcome::Fail {
                    step,
                    expected: "an HTTP answer".into(),
                    found: error.to_string(),
                });
            }
            Err(WireError::Closed) if call.same_connection => {
                return Err(Outcome::Fail {
                    step,
                    expected: "an answer on the same connection, or Connection: close before"
                        .into(),
                    found: WireError::Closed.to_string(),
                });
            }
            Err(error) => return Err(Outcome::Error(format!("{step}: {error}"))),
        };
        for expect in &call.expect {
            if let Err(mismatch) = check(expect, &answer, &self.context).map_err(missing)? {
                let (expected, found) = (mismatch.expected, mismatch.found);
                return Err(Outcome::Fail { step, expected, found });
            }
        }
        if let Some(name) = call.save {
            self.context.saved.insert(name, answer);
        }
        Ok(())
    }

    /// Sends and reads; a `GET` that is saved waits for a tag that becomes strong a moment later.
    fn exchange(&mut self, call: &Call, request: &Request) -> Result<Answer, WireError> {
        let since = Instant::now();
        loop {
            let answer = self.once(call, request)?;
            let weak = answer.tag().and_then(|t| Tag::parse(&t)).is_some_and(|tag| tag.weak);
            let wait = self.offers.settles && weak && call.save.is_some();
            if !wait || request.method != "GET" || since.elapsed() > SETTLING {
                return Ok(answer);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn once(&mut self, call: &Call, request: &Request) -> Result<Answer, WireError> {
        let reused = self.connection.is_some();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.server.connector.open()?,
        };
        let answer = match connection.exchange(request) {
            // A server may close an idle connection at any time; only where the case is about that
            // does it matter.
            Err(WireError::Closed) if reused && !call.same_connection => {
                connection = self.server.connector.open()?;
                connection.exchange(request)?
            }
            other => other?,
        };
        if !answer.closes {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    fn break_off(&mut self, request: &Request) -> Result<(), Outcome> {
        let mut connection =
            self.server.connector.open().map_err(|e| Outcome::Error(e.to_string()))?;
        let bytes = request.bytes(connection.authority());
        connection.send(&bytes);
        Ok(())
    }
}

fn missing(Missing(what): Missing) -> Outcome {
    Outcome::NotApplicable(what)
}

/// `step 3, PUT with If-Match: "x"`: never with credentials.
fn sentence(number: usize, request: &Request) -> String {
    const SHOWN: &[&str] = &[
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "range",
        "prefer",
        "content-digest",
        "content-md5",
        "content-type",
        "origin",
    ];
    let mut fields: Vec<String> = Vec::new();
    for (name, value) in &request.fields {
        let shown = SHOWN.contains(&name.trim().to_ascii_lowercase().as_str());
        if !shown || (name == "Content-Type" && value == "application/json") {
            continue;
        }
        let value: String = value.chars().take(60).flat_map(char::escape_debug).collect();
        fields.push(format!("{name}: {}", value.replace("\\\"", "\"").replace("\\'", "'")));
    }
    let with =
        if fields.is_empty() { String::new() } else { format!(" with {}", fields.join(", ")) };
    format!("step {number}, {}{with}", request.method)
}
