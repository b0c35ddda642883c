//! Rows of a contract as tests: what stands there, what is asked, what is answered.

use super::harness::{Server, Setup};
use super::raw::{Answer, Request};

/// One row. `{etag}` in a header's value is the ETag of the answer before.
pub(crate) struct Row {
    name: &'static str,
    given: Vec<Request>,
    when: Option<Request>,
    checks: Vec<Check>,
}

enum Check {
    Status(u16),
    Body(String),
    BodyHolds(String),
    Has(&'static str),
    Lacks(&'static str),
    Header(&'static str, String),
}

/// Starts a row; its name holds the contract's words.
pub(crate) fn row(name: &'static str) -> Row {
    Row { name, given: Vec::new(), when: None, checks: Vec::new() }
}

impl Row {
    /// A request that must succeed first.
    pub(crate) fn given(mut self, request: Request) -> Self {
        self.given.push(request);
        self
    }

    pub(crate) fn when(mut self, request: Request) -> Self {
        self.when = Some(request);
        self
    }

    pub(crate) fn then(self, status: u16) -> Self {
        self.check(Check::Status(status))
    }

    /// The whole body.
    pub(crate) fn body(self, body: impl Into<String>) -> Self {
        self.check(Check::Body(body.into()))
    }

    /// A part of the body.
    pub(crate) fn holds(self, part: impl Into<String>) -> Self {
        self.check(Check::BodyHolds(part.into()))
    }

    pub(crate) fn has(self, header: &'static str) -> Self {
        self.check(Check::Has(header))
    }

    pub(crate) fn lacks(self, header: &'static str) -> Self {
        self.check(Check::Lacks(header))
    }

    pub(crate) fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        self.check(Check::Header(name, value.into()))
    }

    fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    async fn run(&self, server: &Server) {
        let mut etag = String::new();
        for given in &self.given {
            let answer = server.send(&filled(given, &etag)).await;
            assert!(
                (200..300).contains(&answer.status),
                "{}: expected {} {} to prepare it, got {answer:?}",
                self.name,
                given.method,
                given.target
            );
            etag = answer.header("etag").unwrap_or(etag);
        }
        let when = filled(self.when.as_ref().expect("a request"), &etag);
        let answer = server.send(&when).await;
        for check in &self.checks {
            self.verify(check, &answer, &etag);
        }
        self.verify_common(&answer);
    }

    fn verify(&self, check: &Check, answer: &Answer, etag: &str) {
        let name = self.name;
        match check {
            Check::Status(status) => {
                assert_eq!(answer.status, *status, "{name}: {answer:?} {}", answer.text());
            }
            Check::Body(body) => assert_eq!(&answer.text(), body, "{name}"),
            Check::BodyHolds(part) => {
                assert!(answer.text().contains(part), "{name}: {} lacks {part}", answer.text());
            }
            Check::Has(header) => {
                assert!(answer.header(header).is_some(), "{name}: {answer:?} lacks {header}");
            }
            Check::Lacks(header) => {
                assert_eq!(answer.header(header), None, "{name}: {header}");
            }
            Check::Header(header, value) => {
                let expected = value.replace("{etag}", etag);
                assert_eq!(answer.header(header), Some(expected), "{name}: {header}");
            }
        }
    }

    /// What every answer carries, whatever its row says.
    fn verify_common(&self, answer: &Answer) {
        let name = self.name;
        assert_eq!(answer.header("x-storage-backend").as_deref(), Some("local"), "{name}");
        assert!(answer.header("x-request-id").is_some(), "{name}: an id");
        assert!(answer.header("vary").is_some_and(|v| v.contains("Origin")), "{name}: Vary");
        let version = answer.header("etag").map(|tag| tag.trim_matches('"').to_owned());
        assert_eq!(answer.header("x-stowage-version"), version, "{name}: the version");
        if answer.status >= 400 {
            // A cache may keep a 404, 405 or 410 by itself (RFC 9111 §4.2.2), and what is written next would not
            // be seen.
            let caching = answer.header("cache-control");
            assert_eq!(caching.as_deref(), Some("no-store"), "{name}: Cache-Control");
        }
        if answer.status >= 400 && !answer.body.is_empty() {
            let kind = answer.header("content-type");
            assert_eq!(kind.as_deref(), Some("application/problem+json"), "{name}");
            let problem = answer.json();
            assert_eq!(problem["status"], answer.status, "{name}: {problem}");
            for member in ["type", "title", "detail", "error"] {
                assert!(problem[member].is_string(), "{name}: {problem} lacks {member}");
            }
        }
    }
}

fn filled(request: &Request, etag: &str) -> Request {
    let mut request = request.clone();
    for (_, value) in &mut request.headers {
        *value = value.replace("{etag}", etag);
    }
    request
}

/// Runs each row on a server of its own.
pub(crate) async fn run(setup: impl Fn() -> Setup, rows: impl IntoIterator<Item = Row>) {
    for row in rows {
        let server = setup().start().await;
        row.run(&server).await;
    }
}
