//! The description of the main port: OpenAPI 3.1, served at `/openapi.json` and committed as
//! `docs/openapi.json`.
//!
//! Bodies are described by the types that are written and read where there are such, the rest by
//! hand; every test's answer is held against it, and it against the router's table, so it cannot
//! say what is not so.

mod artifacts;
mod components;
mod fixed;
mod jobs;
mod kv;
mod operation;
mod run_store;
mod runtimes;

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use stowage_config::Contract;
use stowage_store::EntityTag;

use self::operation::Operation;
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
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stowage",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Small durable state over HTTP, under entity tags",
            "description": "What a Store serves at its main port. A contract that the Store does \
                            not enable is 404. Names are percent-decoded once. A 2xx to a write \
                            means: applied as a whole, visible to every later read, and on stable \
                            storage.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": tags(),
        "paths": paths(),
        "components": components::components(),
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

fn paths() -> Value {
    let contracts = [
        run_store::paths(),
        kv::paths(),
        jobs::paths(),
        runtimes::paths(),
        artifacts::paths(),
        fixed::paths(),
    ];
    let mut paths = Map::new();
    for (path, operations) in contracts.into_iter().flatten() {
        let mut item = Map::new();
        for (method, operation) in operations {
            item.insert(method.to_owned(), operation.into_value(path));
        }
        paths.insert(path.to_owned(), Value::Object(item));
    }
    Value::Object(paths)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::described_routes;

    #[test]
    fn the_committed_description_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == document(), "docs/openapi.json is not up to date: run make openapi");
    }

    #[test]
    fn it_describes_what_the_router_knows_and_nothing_else() {
        let described: BTreeSet<(String, String)> = description()["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(|method| (path.clone(), method.to_uppercase())).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(described, described_routes());
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let description = description();
        let paths = description["paths"].as_object().unwrap();
        let operations = paths.values().flat_map(|item| item.as_object().unwrap().values());
        let mut seen = BTreeSet::new();
        for operation in operations {
            let id = operation["operationId"].as_str().unwrap();
            assert!(seen.insert(id), "{id} stands there twice");
        }
    }
}
