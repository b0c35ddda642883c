//! Single things under opaque tags: run documents, jobs, archives. They differ in few words.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::super::raw::{Answer, Request};
use super::conditions::{Conditions, Verdict};
use super::{Foretold, HISTORY, Part};

#[derive(Default)]
struct Document {
    /// The body and its tag.
    current: Option<(String, String)>,
    /// All tags that were ever answered.
    before: Vec<String>,
    /// Each body and its tag since it was not there, the last one first.
    versions: Vec<(String, String)>,
}

impl Document {
    /// What a GET finds that asks for a version, and how that is answered where there is none.
    fn version(&self, tag: &str) -> Result<&(String, String), u16> {
        if self.current.is_none() {
            return Err(404);
        }
        let mut kept = self.versions.iter().take(HISTORY);
        kept.find(|(_, other)| other == tag).ok_or(410)
    }
}

#[derive(Default)]
pub(super) struct Documents {
    all: BTreeMap<String, Document>,
    /// What the last request writes, if it succeeds; `None` deletes.
    pending: Option<(String, Option<String>)>,
}

impl Part for Documents {
    fn next(&mut self, random: &mut Rng) -> (Request, Foretold) {
        let target = match random.u8(..6) {
            0 => "/".to_owned(),
            1 | 2 => format!("/run-stores/{}", random.u8(..5)),
            3 | 4 => format!("/jobs/j{}", random.u8(..4)),
            _ => format!("/sites/s{}/artifacts/b{}", random.u8(..2), random.u8(..2)),
        };
        let kind = Kind::of(&target);
        let document = self.all.entry(target.clone()).or_default();
        let tag = document.current.as_ref().map(|(_, tag)| tag.as_str());
        let conditions = Conditions::any(random, tag, &document.before);
        let verdict = conditions.evaluate(tag);
        let failed = || match tag {
            Some(tag) => Foretold::status(412).tag(tag),
            None => Foretold::status(412),
        };
        self.pending = None;
        let (request, foretold) = match random.u8(..10) {
            0..4 => {
                // Few, so that the same bytes come again.
                let body = kind.body(&target, random.u8(..3));
                let request = Request::new("PUT", &target).body(&body);
                if verdict == Verdict::Holds {
                    let status = kind.written(document.current.is_none());
                    let foretold = Foretold::status(status);
                    let foretold =
                        if kind == Kind::Archive { foretold } else { foretold.body(&*body) };
                    self.pending = Some((target, Some(body)));
                    (request, foretold)
                } else {
                    (request, failed())
                }
            }
            4..9 => {
                let method = if random.u8(..5) == 0 { "HEAD" } else { "GET" };
                let asks_version = kind == Kind::Run && random.u8(..3) == 0;
                let last = document.before.len().saturating_sub(2 * HISTORY);
                let at = asks_version.then(|| match document.before.get(last..) {
                    None | Some([]) => "\"never\"".to_owned(),
                    Some(tags) => tags[random.usize(..tags.len())].clone(),
                });
                let (target, found) = match &at {
                    None => (target, document.current.as_ref().ok_or(404)),
                    Some(at) => {
                        (format!("{target}?at={}", at.trim_matches('"')), document.version(at))
                    }
                };
                let request = Request::new(method, &target);
                let foretold = match found {
                    Err(status) => Foretold::status(status),
                    Ok((body, tag)) => match conditions.evaluate(Some(tag)) {
                        Verdict::Failed => Foretold::status(412).tag(tag),
                        Verdict::NotModified => Foretold::status(304).tag(tag).body(""),
                        Verdict::Holds => Foretold::status(200).tag(tag).body(body),
                    },
                };
                let foretold = if method == "HEAD" { foretold.body("") } else { foretold };
                (request, foretold)
            }
            _ => {
                let request = Request::new("DELETE", &target);
                match (&document.current, verdict) {
                    (None, _) => (request, Foretold::status(404)),
                    (Some(_), Verdict::Holds) => {
                        self.pending = Some((target, None));
                        (request, Foretold::status(204).body(""))
                    }
                    (Some(_), _) => (request, failed()),
                }
            }
        };
        (conditions.add(request, random), foretold)
    }

    fn learn(&mut self, answer: &Answer) {
        let Some((target, written)) = self.pending.take() else { return };
        let document = self.all.entry(target.clone()).or_default();
        document.current = written.map(|body| {
            let tag = answer.etag();
            assert!(!document.before.contains(&tag), "{target}: the tag {tag} stood there before");
            document.before.push(tag.clone());
            (body, tag)
        });
        match &document.current {
            Some(current) => document.versions.insert(0, current.clone()),
            None => document.versions.clear(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Run,
    Job,
    Archive,
}

impl Kind {
    fn of(target: &str) -> Self {
        match target.split('/').nth(1) {
            Some("jobs") => Self::Job,
            Some("sites") => Self::Archive,
            _ => Self::Run,
        }
    }

    fn body(self, target: &str, number: u8) -> String {
        match self {
            Self::Run => {
                format!(r#"{{"n":{number},"text":"{}"}}"#, "ü".repeat(usize::from(number) * 700))
            }
            // As it comes, white space included.
            Self::Job => format!(r#"{{ "id":"{}", "n": {number} }}"#, &target[6..]),
            Self::Archive => "archive".repeat(usize::from(number)),
        }
    }

    fn written(self, is_new: bool) -> u16 {
        match self {
            Self::Run => 200,
            Self::Job if is_new => 201,
            Self::Job => 200,
            Self::Archive => 201,
        }
    }
}
