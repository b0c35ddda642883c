//! Secrets and ConfigMaps: what they hold.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::document::Document;
use super::problem::Problem;
use super::resources::{ConfigMap, Secret, SecretValue};
use super::yaml::{Content, Node, Step};

/// The longest key, as an API server has it.
const KEY_BYTES_MAX: usize = 253;

/// Where a key of a Secret stands: `stringData` wins over `data`.
pub(super) fn secret_key_path(document: &Document, key: &str) -> Vec<Step> {
    let texts = document.node.get("stringData");
    let field = if texts.is_some_and(|t| t.get(key).is_some()) { "stringData" } else { "data" };
    vec![Step::Key(field.to_owned()), Step::Key(key.to_owned())]
}

/// The values of a Secret whose structure is in order.
pub(super) fn secret(document: &Document, problems: &mut Vec<Problem>) -> Secret {
    let mut values = BTreeMap::new();
    for (key, text, path) in entries(document, "data", problems) {
        // As line breaks do in an API server's JSON, they may stand anywhere in the text.
        let packed: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
        match BASE64.decode(packed) {
            Ok(bytes) => drop(values.insert(key, SecretValue(bytes))),
            Err(_) => {
                problems.push(document.problem(
                    &path,
                    "it is not base64: encode it, or move it to stringData as it is",
                ))
            }
        }
    }
    for (key, text, _) in entries(document, "stringData", problems) {
        values.insert(key, SecretValue(text.into_bytes()));
    }
    Secret { values }
}

/// The texts of a ConfigMap whose structure is in order.
pub(super) fn config_map(document: &Document, problems: &mut Vec<Problem>) -> ConfigMap {
    let entries = entries(document, "data", problems);
    ConfigMap { data: entries.into_iter().map(|(key, text, _)| (key, text)).collect() }
}

fn entries(
    document: &Document,
    field: &str,
    problems: &mut Vec<Problem>,
) -> Vec<(String, String, Vec<Step>)> {
    let Some(Content::Mapping(members)) = document.node.get(field).map(|node| &node.content) else {
        return Vec::new();
    };
    let mut entries = Vec::new();
    for member in members {
        let path = vec![Step::Key(field.to_owned()), Step::Key(member.key.clone())];
        if !is_key(&member.key) {
            let message = "a key holds only letters, digits, -, _ and . (at most 253), and is \
                           neither . nor ..: choose another one";
            problems.push(document.problem(&path, message));
        } else if let Some(text) = Node::as_str(&member.value) {
            entries.push((member.key.clone(), text.to_owned(), path));
        }
    }
    entries
}

/// A key becomes a file's name where a Secret is mounted.
fn is_key(key: &str) -> bool {
    let fits = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    fits && !key.is_empty() && key.len() <= KEY_BYTES_MAX && key != "." && !key.starts_with("..")
}
