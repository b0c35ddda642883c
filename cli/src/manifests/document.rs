//! One document of a file: a resource as it was written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::field;
use super::problem::Problem;
use super::resources::{ObjectName, Origin};
use super::yaml::{Content, Node, Step};

/// A document, and the file in which it stands.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) file: Rc<PathBuf>,
    pub(super) node: Node,
}

impl Document {
    /// A problem at a field.
    pub(super) fn problem(&self, path: &[Step], message: impl Into<String>) -> Problem {
        let at = self.node.locate(path);
        Problem {
            file: self.file.to_path_buf(),
            line: at.line,
            column: at.column,
            field: field::display(path),
            message: message.into(),
        }
    }

    /// A problem at a field, written as `spec.storeRef.name`.
    pub(super) fn problem_at(&self, path: &str, message: impl Into<String>) -> Problem {
        self.problem(&field::steps(path), message)
    }

    pub(super) fn origin(&self) -> Origin {
        let mut fields = BTreeMap::new();
        for name in ["metadata", "spec"] {
            let path = [Step::Key(name.to_owned())];
            let at = self.node.locate(&path);
            let Some(value) = self.node.get(name) else { continue };
            value.visit(&path, at, &mut |path, at| {
                fields.insert(field::display(path), (at.line, at.column));
            });
        }
        Origin { file: self.file.to_path_buf(), line: self.node.at.line, fields }
    }

    /// `file:line`, to be named in a message about another document.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.node.at.line)
    }

    /// Its namespace and name, where it has a name at all.
    pub(super) fn object_name(&self) -> Option<ObjectName> {
        let metadata = self.node.get("metadata")?;
        let name = metadata.get("name")?.as_str()?.to_owned();
        let namespace = metadata.get("namespace").and_then(Node::as_str).unwrap_or("default");
        Some(ObjectName { namespace: namespace.to_owned(), name })
    }

    /// The documents of a `List`, as `kubectl get -o yaml` writes one; else the document itself.
    pub(super) fn flatten(self) -> Vec<Self> {
        let is_list = self.node.get("kind").and_then(Node::as_str) == Some("List")
            && self.node.get("apiVersion").and_then(Node::as_str) == Some("v1");
        match self.node.get("items").map(|items| &items.content) {
            Some(Content::Sequence(items)) if is_list => items
                .iter()
                .map(|node| Self { file: Rc::clone(&self.file), node: node.clone() })
                .collect(),
            _ => vec![self],
        }
    }
}
