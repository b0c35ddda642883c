//! Documents sorted by kind, each checked on its own.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use stowage_crds::{RuntimeConfigSource, Store, StoreNamespace};

use super::data;
use super::document::Document;
use super::kind::Kind;
use super::problem::Problem;
use super::resources::{ConfigMap, Located, Manifests, ObjectName, Secret};
use super::schema::Schemas;
use super::structure;
use super::suggest::did_you_mean;
use super::yaml::Content;

/// A resource that is in order on its own.
pub(super) struct Found<T> {
    pub(super) document: Document,
    pub(super) name: ObjectName,
    pub(super) resource: T,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Collection {
    pub(super) stores: Vec<Found<Store>>,
    pub(super) namespaces: Vec<Found<StoreNamespace>>,
    pub(super) sources: Vec<Found<RuntimeConfigSource>>,
    pub(super) secrets: Vec<Found<Secret>>,
    pub(super) config_maps: Vec<Found<ConfigMap>>,
    /// Where each resource stands, whether or not it is in order: a reference to one that is not
    /// is no second problem.
    declared: BTreeMap<(Kind, ObjectName), String>,
    /// Whether some text could not be read as a resource. What is missing elsewhere may be what it
    /// holds, so that nothing is called missing then.
    unread: bool,
}

impl Collection {
    /// Whether a resource stands somewhere, in order or not, as far as can be told.
    pub(super) fn declares(&self, kind: Kind, name: &ObjectName) -> bool {
        self.unread || self.declared.contains_key(&(kind, name.clone()))
    }

    /// Notes that some text could not be read as a resource.
    pub(super) fn note_unread(&mut self) {
        self.unread = true;
    }

    /// The names of a kind.
    pub(super) fn names(&self, kind: Kind) -> impl Iterator<Item = &ObjectName> {
        self.declared.keys().filter(move |(known, _)| *known == kind).map(|(_, name)| name)
    }

    /// That there is no such resource beside the one that refers to it.
    pub(super) fn missing(&self, kind: Kind, wanted: &ObjectName) -> String {
        let ObjectName { namespace, name } = wanted;
        let beside = self.names(kind).filter(|known| known.namespace == *namespace);
        let near = did_you_mean(name, beside.map(|known| &*known.name));
        let elsewhere = self.names(kind).find(|known| known.name == *name).map(|known| {
            format!("one stands in the namespace {}, which cannot be referred to", known.namespace)
        });
        let advice = near.or(elsewhere).unwrap_or_else(|| "add it to the manifests".to_owned());
        format!("there is no {} {name} in the namespace {namespace}: {advice}", kind.name())
    }

    /// Checks a document and keeps it where it is in order.
    pub(super) fn add(
        &mut self,
        document: Document,
        schemas: &Schemas,
        problems: &mut Vec<Problem>,
    ) {
        if !matches!(document.node.content, Content::Mapping(_)) {
            let message = "this is no resource: one begins with apiVersion: and kind:";
            problems.push(document.problem(&[], message));
            self.note_unread();
            return;
        }
        let kind = match Kind::of(&document.node) {
            Ok(kind) => kind,
            Err((path, message)) => {
                problems.push(document.problem(&path, message));
                self.note_unread();
                return;
            }
        };
        let unique = self.declare(kind, &document, problems);
        let checked = check(kind, &document, schemas, problems);
        if let (Some(name), Some(resource)) = (unique, checked) {
            self.keep(kind, document, name, resource, problems);
        }
    }

    /// Notes the name; `None` where there is none, or it is taken.
    fn declare(
        &mut self,
        kind: Kind,
        document: &Document,
        problems: &mut Vec<Problem>,
    ) -> Option<ObjectName> {
        let name = document.object_name()?;
        if let Some(place) = self.declared.get(&(kind, name.clone())) {
            let message = format!(
                "there is a {} of this name already, at {place}: rename one of them or take it out",
                kind.name()
            );
            problems.push(document.problem_at("metadata.name", message));
            return None;
        }
        self.declared.insert((kind, name.clone()), document.place());
        Some(name)
    }

    fn keep(
        &mut self,
        kind: Kind,
        document: Document,
        name: ObjectName,
        mut resource: Value,
        problems: &mut Vec<Problem>,
    ) {
        resource["metadata"]["namespace"] = name.namespace.clone().into();
        match kind {
            Kind::Store => keep_typed(&mut self.stores, document, name, resource, problems),
            Kind::StoreNamespace => {
                keep_typed(&mut self.namespaces, document, name, resource, problems);
            }
            Kind::RuntimeConfigSource => {
                keep_typed(&mut self.sources, document, name, resource, problems);
            }
            Kind::Secret => {
                let resource = data::secret(&document, problems);
                self.secrets.push(Found { document, name, resource });
            }
            Kind::ConfigMap => {
                let resource = data::config_map(&document, problems);
                self.config_maps.push(Found { document, name, resource });
            }
        }
    }
}

/// The resource as JSON; `None` where anything is wrong with it.
fn check(
    kind: Kind,
    document: &Document,
    schemas: &Schemas,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let schema = schemas.of(kind);
    let mut resource = document.node.to_json();
    schema.drop_nulls(&mut resource);
    let before = problems.len();
    for (path, message) in structure::faults(schema, &resource) {
        problems.push(document.problem(&path, message));
    }
    // As on an API server: rules can rely on the structure.
    if problems.len() == before {
        for (field, message) in schemas.broken_rules(kind, &resource) {
            // A rule at the root can only be about the name, which it cannot name as a path.
            let field = if field.is_empty() { "metadata.name" } else { &field };
            problems.push(document.problem_at(field, message));
        }
    }
    (problems.len() == before).then_some(resource)
}

fn keep_typed<T: DeserializeOwned>(
    kept: &mut Vec<Found<T>>,
    document: Document,
    name: ObjectName,
    resource: Value,
    problems: &mut Vec<Problem>,
) {
    match serde_json::from_value(resource) {
        Ok(resource) => kept.push(Found { document, name, resource }),
        Err(error) => problems.push(document.problem(&[], format!("it cannot be read: {error}"))),
    }
}

impl From<Collection> for Manifests {
    fn from(collection: Collection) -> Self {
        Self {
            stores: collection.stores.into_iter().map(located).collect(),
            namespaces: collection.namespaces.into_iter().map(located).collect(),
            sources: collection.sources.into_iter().map(located).collect(),
            secrets: collection.secrets.into_iter().map(named).collect(),
            config_maps: collection.config_maps.into_iter().map(named).collect(),
        }
    }
}

fn located<T>(found: Found<T>) -> Located<T> {
    Located { origin: found.document.origin(), resource: found.resource }
}

fn named<T>(found: Found<T>) -> (ObjectName, Located<T>) {
    (found.name.clone(), located(found))
}
