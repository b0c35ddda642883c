//! What a document and a namespace are to their clients: the models of
//! [`linearizability`](crate::linearizability).

use std::collections::BTreeMap;

use crate::linearizability::Model;

/// An entity tag's text.
pub(crate) type Tag = String;

/// What a write demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Nothing,
    Absent,
    Matches(Tag),
}

/// What came back from a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer<T> {
    /// It was carried out.
    Done(T),
    /// The condition did not hold for this tag.
    Refused(Option<Tag>),
    /// An error that says that nothing was changed.
    Unchanged,
    /// None, or one that leaves it open.
    Unknown,
}

/// What clients do with one document.
#[derive(Debug, Clone)]
pub(crate) enum DocumentOperation {
    Get(Option<(String, Tag)>),
    Put {
        body: String,
        condition: Condition,
        answer: Answer<Tag>,
    },
    /// The answer is whether there was one.
    Delete {
        condition: Condition,
        answer: Answer<bool>,
    },
}

/// A document that stands there. The tag is unknown as long as it is that of a write whose answer
/// nobody got and that nobody has read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) body: String,
    pub(crate) tag: Option<Tag>,
}

/// One document under compare-and-swap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Document;

impl Held {
    /// The same document, now that its tag was seen; `None` where it has another one.
    fn seen_as(&self, tag: &Tag) -> Option<Self> {
        match &self.tag {
            Some(known) if known != tag => None,
            _ => Some(Self { body: self.body.clone(), tag: Some(tag.clone()) }),
        }
    }
}

/// The state in which a condition holds, refined by what that says; `None` where it does not.
pub(crate) fn holding(state: &Option<Held>, condition: &Condition) -> Option<Option<Held>> {
    match (condition, state) {
        (Condition::Nothing, _) | (Condition::Absent, None) => Some(state.clone()),
        (Condition::Absent, Some(_)) | (Condition::Matches(_), None) => None,
        (Condition::Matches(tag), Some(held)) => held.seen_as(tag).map(Some),
    }
}

/// The state in which a condition fails and the current tag is this one.
pub(crate) fn failing(
    state: &Option<Held>,
    condition: &Condition,
    current: &Option<Tag>,
) -> Option<Option<Held>> {
    let fails = match (condition, current) {
        (Condition::Nothing, _) | (Condition::Absent, None) => false,
        (Condition::Absent, Some(_)) | (Condition::Matches(_), None) => true,
        (Condition::Matches(tag), Some(current)) => tag != current,
    };
    match (state, current) {
        _ if !fails => None,
        (None, None) => Some(None),
        (Some(held), Some(current)) => held.seen_as(current).map(Some),
        (None, Some(_)) | (Some(_), None) => None,
    }
}

impl Model for Document {
    type State = Option<Held>;
    type Operation = DocumentOperation;

    fn step(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State> {
        match operation {
            DocumentOperation::Get(saw) => match (state, saw) {
                (None, None) => Some(None),
                (Some(held), Some((body, tag))) if held.body == *body => {
                    held.seen_as(tag).map(Some)
                }
                _ => None,
            },
            DocumentOperation::Put { body, condition, answer } => match answer {
                Answer::Unchanged => Some(state.clone()),
                Answer::Refused(current) => failing(state, condition, current),
                Answer::Done(_) | Answer::Unknown => {
                    holding(state, condition)?;
                    let tag = match answer {
                        Answer::Done(tag) => Some(tag.clone()),
                        _ => None,
                    };
                    Some(Some(Held { body: body.clone(), tag }))
                }
            },
            // Where there is nothing, the condition is not looked at.
            DocumentOperation::Delete { condition, answer } => match (answer, state) {
                (Answer::Unchanged, _) => Some(state.clone()),
                (Answer::Done(false) | Answer::Unknown, None) => Some(None),
                (Answer::Done(true) | Answer::Unknown, Some(_)) => {
                    holding(state, condition).map(|_| None)
                }
                (Answer::Refused(current), Some(_)) => failing(state, condition, current),
                (Answer::Refused(_) | Answer::Done(true), None)
                | (Answer::Done(false), Some(_)) => None,
            },
        }
    }

    fn is_answered(&self, operation: &Self::Operation) -> bool {
        !matches!(
            operation,
            DocumentOperation::Put { answer: Answer::Unknown, .. }
                | DocumentOperation::Delete { answer: Answer::Unknown, .. }
        )
    }
}

/// The members of a namespace, values as JSON texts.
pub(crate) type Members = BTreeMap<String, String>;

/// One step of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Set(String, String),
    Delete(String),
    Clear,
}

/// What clients do with one namespace.
#[derive(Debug, Clone)]
pub(crate) enum NamespaceOperation {
    Get(u64, Members),
    /// The condition is a version, if any; the answer is the new version.
    Patch {
        changes: Vec<Change>,
        version: Option<u64>,
        answer: Answer<u64>,
    },
}

/// One namespace under its version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Namespace;

/// Applies a patch's changes in order.
pub(crate) fn apply(changes: &[Change], members: &mut Members) {
    for change in changes {
        match change {
            Change::Set(key, value) => {
                members.insert(key.clone(), value.clone());
            }
            Change::Delete(key) => {
                members.remove(key);
            }
            Change::Clear => members.clear(),
        }
    }
}

impl Model for Namespace {
    type State = (u64, Members);
    type Operation = NamespaceOperation;

    fn step(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State> {
        let (version, members) = state;
        match operation {
            NamespaceOperation::Get(seen, content) => {
                (version == seen && members == content).then(|| state.clone())
            }
            NamespaceOperation::Patch { changes, version: demanded, answer } => {
                let holds = demanded.is_none_or(|demanded| demanded == *version);
                let is_explained = match answer {
                    Answer::Unchanged => return Some(state.clone()),
                    Answer::Refused(current) => {
                        let is_it = *current == Some(version.to_string());
                        return (!holds && is_it).then(|| state.clone());
                    }
                    Answer::Done(new) => *new == version + 1,
                    Answer::Unknown => true,
                };
                (holds && is_explained).then(|| {
                    let mut members = members.clone();
                    apply(changes, &mut members);
                    (version + 1, members)
                })
            }
        }
    }

    fn is_answered(&self, operation: &Self::Operation) -> bool {
        !matches!(operation, NamespaceOperation::Patch { answer: Answer::Unknown, .. })
    }
}

/// The tags that one document has had. A tag names one write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tags {
    bodies: BTreeMap<Tag, String>,
}

impl Tags {
    /// Takes in what a tag was seen on.
    ///
    /// # Errors
    /// What it was seen on before.
    pub(crate) fn saw(&mut self, tag: &Tag, body: &str) -> Result<(), String> {
        self.agree(tag, body)?;
        self.bodies.insert(tag.clone(), body.to_owned());
        Ok(())
    }

    /// Whether nothing is known against this tag on this body.
    ///
    /// # Errors
    /// What it was seen on before.
    pub(crate) fn agree(&self, tag: &Tag, body: &str) -> Result<(), String> {
        match self.bodies.get(tag) {
            Some(known) if known != body => {
                Err(format!("the tag {tag} was on {known:?}, and is on {body:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Takes in every tag of a history, and that no two writes were given the same.
    ///
    /// # Errors
    /// The first that is on two bodies or two writes.
    pub(crate) fn take_in<'a>(
        &mut self,
        history: impl IntoIterator<Item = &'a DocumentOperation>,
    ) -> Result<(), String> {
        let mut given = std::collections::BTreeSet::new();
        for operation in history {
            match operation {
                DocumentOperation::Get(Some((body, tag))) => self.saw(tag, body)?,
                DocumentOperation::Put { body, answer: Answer::Done(tag), .. } => {
                    self.saw(tag, body)?;
                    if !given.insert(tag) {
                        return Err(format!("the tag {tag} was given to two writes"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
