//! YAML (of which JSON is a part) as a tree that knows where everything stands.
//!
//! Only what Kubernetes and YAML 1.2 read alike is read: a plain `on` or `0777`, a merge key or a
//! key twice is refused with a sentence, because the same file would mean something else there.

mod parse;
mod scalar;

use serde_json::{Map, Value};

pub(super) use parse::parse;

/// A place in a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value, and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) content: Content,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Position,
    pub(super) value: Node,
}

/// One step from a value into what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    /// The value without its places.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Sequence(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Mapping(entries) => {
                let members = entries.iter().map(|e| (e.key.clone(), e.value.to_json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// The member of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text of a string.
    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(value) => value.as_str(),
            _ => None,
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Tells where this value stands, whose path and place are given, and all that it holds.
    pub(super) fn visit(
        &self,
        path: &[Step],
        at: Position,
        see: &mut impl FnMut(&[Step], Position),
    ) {
        see(path, at);
        let below = |step| path.iter().cloned().chain([step]).collect::<Vec<_>>();
        match &self.content {
            Content::Scalar(_) => {}
            Content::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.visit(&below(Step::Index(index)), item.at, see);
                }
            }
            Content::Mapping(entries) => {
                for Entry { key, key_at, value } in entries {
                    value.visit(&below(Step::Key(key.clone())), *key_at, see);
                }
            }
        }
    }

    /// Where a field stands: its key, or the item of a sequence. Where the path leads to nothing,
    /// the last thing on it that is there.
    pub(super) fn locate(&self, path: &[Step]) -> Position {
        let mut node = self;
        let mut at = self.at;
        for step in path {
            let next = match (step, &node.content) {
                (Step::Key(key), _) => node.entry(key).map(|entry| (entry.key_at, &entry.value)),
                (Step::Index(index), Content::Sequence(items)) => {
                    items.get(*index).map(|item| (item.at, item))
                }
                _ => None,
            };
            let Some((place, child)) = next else { break };
            at = place;
            node = child;
        }
        at
    }
}
