//! The description of both ports: OpenAPI 3.1, served at `/openapi.json` and committed as
//! `docs/openapi.json`.
//!
//! Bodies are described by the types that are written and read where there are such, the rest by
//! hand; every test's answer is held against it, and it against the router's table, so it cannot
//! say what is not so.

mod artifacts;
mod components;
mod fixed;
mod head;
mod jobs;
mod kv;
mod operation;
mod preflight;
mod run_store;
mod runtimes;
mod second_port;
mod shared;

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use stowage_config::Contract;
use stowage_store::EntityTag;

use self::operation::Operation;
use self::shared::SharedAnswers;
use crate::runtimes::digest_tag;

/// What stands at a path, by method.
type Path = (&'static str, Vec<(&'static str, Operation)>);

/// The whole description, as it is committed: indented, with a last newline.
#[must_use]
pub fn document() -> String {
    format!("{:#}\n", description())
}

/// The whole description, as it is served, and its tag.
pub(crate) fn compact() -> &'static (Bytes, EntityTag) {
    static TEXT: OnceLock<(Bytes, EntityTag)> = OnceLock::new();
    TEXT.get_or_init(|| {
        let text = Bytes::from(description().to_string());
        let tag = digest_tag(&text);
        (text, tag)
    })
}

fn description() -> Value {
    let mut answers = SharedAnswers::new(components::responses());
    let paths = paths(&mut answers);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stowage",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Small durable state over HTTP, under entity tags",
            "description": "What a Store serves at its main port. A contract that the Store does \
                            not enable is 404. Names are percent-decoded once. A 2xx to a write \
                            means: applied as a whole, visible to every later read, and on stable \
                            storage. Paths with a server of their own stand at the second port.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": tags(),
        "paths": paths,
        "components": components::components(answers),
    })
}

fn tags() -> Value {
    let said = |contract: Contract| match contract {
        Contract::RunStore => "One JSON document under compare-and-swap",
        Contract::Kv => "A namespace of keys under one version",
        Contract::Jobs => "Jobs, checkpoints, runs and events of an agent runtime",
        Contract::Runtimes => "The runtime configs of a Git branch, replaced as one",
        Contract::Artifacts => "Versioned archives of a site",
    };
    let tag =
        |contract: Contract| json!({"name": contract.as_str(), "description": said(contract)});
    let mut tags: Vec<Value> = Contract::all().into_iter().map(tag).collect();
    tags.push(json!({"name": "server", "description": "The server itself"}));
    Value::Array(tags)
}

fn paths(answers: &mut SharedAnswers) -> Value {
    let contracts = [
        run_store::paths(),
        kv::paths(),
        jobs::paths(),
        runtimes::paths(),
        artifacts::paths(),
        fixed::paths(),
    ];
    let mut paths = second_port::paths();
    for (path, operations) in contracts.into_iter().flatten() {
        let mut item = Map::new();
        for (method, operation) in operations {
            item.insert(method.to_owned(), operation.into_value(path));
        }
        item.insert("options".to_owned(), preflight::beside(&item, answers));
        paths.insert(path.to_owned(), Value::Object(item));
    }
    for item in paths.values_mut() {
        if let Some(get) = item.get("get") {
            item["head"] = head::beside(get, answers);
        }
    }
    Value::Object(paths)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::{MANAGEMENT_PATHS, described_routes};

    #[test]
    fn the_committed_description_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == document(), "docs/openapi.json is not up to date: run make openapi");
    }

    /// The operations of a path, by method.
    fn operations(item: &Value) -> impl Iterator<Item = (&String, &Value)> {
        item.as_object().unwrap().iter().filter(|(name, _)| *name != "servers")
    }

    /// The paths and methods of a port.
    fn routes(description: &Value, is_second_port: bool) -> BTreeSet<(String, String)> {
        let paths = description["paths"].as_object().unwrap().iter();
        let paths = paths.filter(|(_, item)| item.get("servers").is_some() == is_second_port);
        let of_path = |(path, item): (&String, _)| {
            let methods = operations(item).map(|(method, _)| method.to_uppercase());
            methods.map(|method| (path.clone(), method)).collect::<Vec<_>>()
        };
        paths.flat_map(of_path).collect()
    }

    #[test]
    fn it_describes_what_the_routers_know_and_nothing_else() {
        let description = description();
        assert_eq!(routes(&description, false), described_routes());
        let second = MANAGEMENT_PATHS
            .into_iter()
            .flat_map(|path| ["GET", "HEAD"].map(|method| (path.to_owned(), method.to_owned())));
        assert_eq!(routes(&description, true), second.collect());
    }

    /// What an answer of an operation has, its reference followed.
    fn answer<'a>(description: &'a Value, operation: &'a Value, status: &str) -> &'a Value {
        let answer = &operation["responses"][status];
        match answer["$ref"].as_str() {
            Some(place) => description.pointer(place.trim_start_matches('#')).unwrap(),
            None => answer,
        }
    }

    #[test]
    fn every_operation_says_what_other_methods_get_and_how_a_version_is_repeated() {
        let description = description();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in operations(item) {
                let refused = answer(&description, operation, "405");
                assert!(refused["headers"]["Allow"].is_object(), "{method} {path}: 405 with Allow");
                for status in operation["responses"].as_object().unwrap().keys() {
                    let headers = &answer(&description, operation, status)["headers"];
                    let (tag, version) = (&headers["ETag"], &headers["X-Stowage-Version"]);
                    assert_eq!(tag.is_object(), version.is_object(), "{method} {path}: {status}");
                }
                let wrong_type = &answer(&description, operation, "415")["headers"];
                let says = wrong_type["Accept-Patch"].is_object();
                assert_eq!(says, method == "patch", "{method} {path}: Accept-Patch");
            }
        }
    }

    #[test]
    fn every_operation_says_what_cannot_be_read_as_a_request_gets() {
        let description = description();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in operations(item) {
                for status in ["400", "414", "431"] {
                    let refused = answer(&description, operation, status);
                    let is_problem = refused["content"]["application/problem+json"].is_object();
                    let is_one = is_problem || method == "head" && refused.is_object();
                    assert!(is_one, "{method} {path}: {status} is described");
                }
            }
        }
    }

    #[test]
    fn head_is_described_as_get_without_content_and_ranges() {
        let description = description();
        let pairs = description["paths"].as_object().unwrap().iter();
        let pairs = pairs.filter_map(|(path, item)| Some((path, item.get("get")?, &item["head"])));
        for (path, get, head) in pairs {
            let taken = |operation: &Value| {
                let all = operation["parameters"].as_array().cloned().unwrap_or_default();
                let is_of_ranges =
                    |it: &Value| it["$ref"].as_str().is_some_and(|it| it.ends_with("Range"));
                all.into_iter().filter(|it| !is_of_ranges(it)).collect::<Vec<_>>()
            };
            assert_eq!(head.get("parameters").is_some(), !taken(get).is_empty(), "{path}");
            assert_eq!(taken(head), taken(get), "{path}: the same parameters");
            assert_eq!(head.get("security"), get.get("security"), "{path}: the same credentials");
            for status in get["responses"].as_object().unwrap().keys() {
                let (of_get, of_head) =
                    (answer(&description, get, status), answer(&description, head, status));
                if ["206", "416"].contains(&status.as_str()) {
                    assert!(of_head.is_null(), "{path}: {status} is for GET alone");
                    continue;
                }
                assert!(of_head.is_object(), "{path}: {status} to HEAD");
                assert_eq!(of_head["headers"], of_get["headers"], "{path}: {status}");
                assert!(
                    of_head.get("content").is_none(),
                    "{path}: {status} to HEAD has no content"
                );
            }
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let description = description();
        let paths = description["paths"].as_object().unwrap();
        let operations = paths.values().flat_map(operations).map(|(_, operation)| operation);
        let mut seen = BTreeSet::new();
        for operation in operations {
            let id = operation["operationId"].as_str().unwrap();
            assert!(seen.insert(id), "{id} stands there twice");
        }
    }
}
