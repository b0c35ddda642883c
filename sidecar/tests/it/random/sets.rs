//! Sets of runtime configs: files that are replaced as one.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::super::raw::{Answer, Request};
use super::{Foretold, Part};

#[derive(Default)]
struct Set {
    /// The number of the commit.
    revision: u32,
    files: BTreeMap<&'static str, u8>,
    tag: Option<String>,
}

#[derive(Default)]
pub(super) struct Sets {
    all: BTreeMap<String, Set>,
    /// The set whose tag the last answer tells, and what it must not be.
    learning: Option<(String, Option<String>)>,
}

const FILES: [&str; 3] = ["a.yaml", "b/c.yaml", "b/d.json"];

impl Part for Sets {
    fn next(&mut self, random: &mut Rng) -> (Request, Foretold) {
        let target = format!("/runtimes/r{}/feature%2Fb", random.u8(..2));
        let set = self.all.entry(target.clone()).or_default();
        self.learning = None;
        match random.u8(..10) {
            0..3 => {
                let files: BTreeMap<_, _> = FILES
                    .into_iter()
                    .map(|file| (file, random.u8(..4)))
                    .filter(|(_, number)| *number < 2)
                    .collect();
                set.revision += 1;
                let listed: Vec<String> = files
                    .iter()
                    .map(|(file, number)| {
                        format!(r#"{{"filepath":"{file}","config":{{"n":{number}}}}}"#)
                    })
                    .collect();
                let revision = set.revision;
                let body =
                    format!(r#"{{"revision":"c{revision}","files":[{}]}}"#, listed.join(","));
                let was_served = !set.files.is_empty();
                let is_same = set.files == files;
                set.files = files;
                let status = if was_served || set.files.is_empty() { 200 } else { 201 };
                let foretold = Foretold::status(status);
                let foretold = match &set.tag {
                    Some(tag) if is_same => foretold.tag(tag),
                    other => {
                        self.learning = Some((target.clone(), other.clone()));
                        foretold
                    }
                };
                (Request::new("PUT", &target).body(body), foretold)
            }
            3 => {
                let foretold = if set.files.is_empty() { 404 } else { 204 };
                set.files.clear();
                set.tag = None;
                (Request::new("DELETE", &target), Foretold::status(foretold))
            }
            4..7 => {
                let file = FILES[random.usize(..FILES.len())];
                let foretold = match set.files.get(file) {
                    Some(number) => Foretold::status(200).body(format!(r#"{{"n":{number}}}"#)),
                    None => Foretold::status(404),
                };
                (Request::new("GET", &format!("{target}/{file}")), foretold)
            }
            _ => {
                let request = Request::new("GET", &target);
                match &set.tag {
                    Some(tag) if !set.files.is_empty() => {
                        if random.bool() {
                            let request = request.header("If-None-Match", tag);
                            (request, Foretold::status(304).tag(tag).body(""))
                        } else {
                            (request, Foretold::status(200).tag(tag))
                        }
                    }
                    _ => (request, Foretold::status(404)),
                }
            }
        }
    }

    fn learn(&mut self, answer: &Answer) {
        let Some((target, before)) = self.learning.take() else { return };
        let tag = answer.header("etag");
        assert!(tag.is_none() || tag != before, "{target}: other files have the tag {before:?}");
        if let Some(set) = self.all.get_mut(&target) {
            set.tag = tag;
        }
    }
}
