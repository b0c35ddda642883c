//! KV: a map of keys under a number.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::super::raw::{Answer, Request};
use super::conditions::{Conditions, Verdict};
use super::{Foretold, HISTORY, Part};

#[derive(Default, Clone)]
struct Namespace {
    version: u64,
    members: BTreeMap<String, String>,
}

impl Namespace {
    fn tag(&self) -> String {
        format!("\"{}\"", self.version)
    }

    /// How the answer is to a GET of all of it, or of one key.
    fn read(&self, key: Option<&str>, conditions: &Conditions) -> Foretold {
        let tag = self.tag();
        let body = match key {
            None => Some(self.snapshot()),
            Some(key) => self.members.get(key).cloned(),
        };
        match (body, conditions.evaluate(Some(&tag))) {
            (None, _) => Foretold::status(404).tag(&tag),
            (Some(_), Verdict::Failed) => Foretold::status(412).tag(&tag),
            (Some(_), Verdict::NotModified) => Foretold::status(304).tag(&tag).body(""),
            (Some(body), Verdict::Holds) => Foretold::status(200).tag(&tag).body(body),
        }
    }

    fn snapshot(&self) -> String {
        let text = |key: &String| serde_json::to_string(key).expect("a string");
        let members: Vec<String> =
            self.members.iter().map(|(key, value)| format!("{}:{value}", text(key))).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// The one that stands there, and those before it since its history began, the last one first.
#[derive(Default)]
struct Versions {
    current: Namespace,
    before: Vec<Namespace>,
}

impl Versions {
    fn took(&mut self, next: Namespace) {
        let before = std::mem::replace(&mut self.current, next);
        // Nothing was there yet.
        if before.version > 0 {
            self.before.insert(0, before);
        }
        self.before.truncate(HISTORY - 1);
    }

    /// What a GET finds that asks for a version, and how that is answered where there is none.
    fn version(&self, version: u64) -> Result<&Namespace, u16> {
        if version > self.current.version {
            return Err(404);
        }
        let mut kept = [&self.current].into_iter().chain(&self.before);
        kept.find(|kept| kept.version == version).ok_or(410)
    }
}

#[derive(Default)]
pub(super) struct Namespaces(BTreeMap<String, Versions>);

impl Part for Namespaces {
    fn next(&mut self, random: &mut Rng) -> (Request, Foretold) {
        let name = format!("n{}", random.u8(..3));
        let path = ["/storage", "/api/storage"][random.usize(..2)];
        let target = format!("{path}?ns={name}");
        let versions = self.0.entry(name).or_default();
        let namespace = &versions.current;
        let tag = namespace.tag();
        let before: Vec<String> =
            (0..namespace.version).map(|version| format!("\"{version}\"")).collect();
        let conditions = Conditions::any(random, Some(&tag), &before);
        let verdict = conditions.evaluate(Some(&tag));
        let failed = Foretold::status(412).tag(&tag);
        let (request, foretold) = match random.u8(..10) {
            0..5 => {
                let (operations, next) = operations(random, namespace);
                let request = Request::new("PATCH", &target).body(operations);
                // Malformed for another reason: that is told after the missing condition.
                let has_app = random.u8(..12) != 0;
                let request =
                    if has_app { request.header("X-Thesara-App-Id", "t") } else { request };
                let foretold = if !conditions.has_match() {
                    Foretold::status(428)
                } else if !has_app {
                    Foretold::status(400)
                } else if verdict == Verdict::Holds {
                    let status = if namespace.version == 0 { 201 } else { 200 };
                    let foretold = changed(status, &next);
                    versions.took(next);
                    foretold
                } else {
                    failed
                };
                (request, foretold)
            }
            5 => {
                let request = Request::new("DELETE", &target);
                let foretold = if !conditions.has_match() {
                    Foretold::status(428)
                } else if verdict == Verdict::Holds {
                    let version = namespace.version + 1;
                    let foretold = changed(200, &Namespace { version, ..Namespace::default() });
                    *versions = Versions::default();
                    versions.current.version = version;
                    foretold
                } else {
                    failed
                };
                (request, foretold)
            }
            _ => {
                let key = KEYS[random.usize(..KEYS.len())];
                let of_key = random.bool();
                let target = if of_key { format!("{target}&key={}", escaped(key)) } else { target };
                let first = namespace.version.saturating_sub(HISTORY as u64 + 1);
                let at = (random.u8(..3) == 0).then(|| random.u64(first..=namespace.version + 1));
                let (target, found) = match at {
                    None => (target, Ok(namespace)),
                    Some(at) => (format!("{target}&at={at}"), versions.version(at)),
                };
                let foretold = match found {
                    Err(status) => Foretold::status(status),
                    Ok(found) => found.read(of_key.then_some(key), &conditions),
                };
                (Request::new("GET", &target), foretold)
            }
        };
        (conditions.add(request, random), foretold)
    }

    fn learn(&mut self, _: &Answer) {}
}

const KEYS: [&str; 5] = ["a", "b", "é", "\"quoted\"", "a b/c"];
const VALUES: [&str; 5] = ["null", "1.50", "{\"b\":1,\"a\":[2e5]}", "\"\\ud83d\"", "\"text\""];

fn escaped(key: &str) -> String {
    key.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn changed(status: u16, namespace: &Namespace) -> Foretold {
    let (version, snapshot) = (namespace.version, namespace.snapshot());
    let body = format!(r#"{{"version":"{version}","snapshot":{snapshot}}}"#);
    Foretold::status(status).tag(&namespace.tag()).body(body)
}

/// Some operations, and what they make of a namespace.
fn operations(random: &mut Rng, namespace: &Namespace) -> (String, Namespace) {
    let mut next = namespace.clone();
    next.version += 1;
    let operations: Vec<String> = (0..random.usize(..4))
        .map(|_| {
            let key = KEYS[random.usize(..KEYS.len())];
            let text = serde_json::to_string(key).expect("a string");
            match random.u8(..8) {
                0..5 => {
                    let value = VALUES[random.usize(..VALUES.len())];
                    next.members.insert(key.to_owned(), value.to_owned());
                    format!(r#"{{ "value" : {value}, "op":"set","key":{text}}}"#)
                }
                5 | 6 => {
                    next.members.remove(key);
                    format!(r#"{{"op":"del","key":{text},"scope":"shared"}}"#)
                }
                _ => {
                    next.members.clear();
                    r#"{"op":"clear"}"#.to_owned()
                }
            }
        })
        .collect();
    (format!("[{}]", operations.join(", ")), next)
}
