//! A job to its clients: some documents, each of them as any other, that go all at once.

use crate::content::JOB;
use crate::contracts::{Answer, Condition, Document, DocumentOperation, Held, failing, holding};
use crate::linearizability::Model;

pub(crate) const JOB_DOCUMENTS: usize = JOB.end - JOB.start;

/// What clients do with a job.
#[derive(Debug, Clone)]
pub(crate) enum JobOperation {
    /// With one of its documents.
    One(usize, DocumentOperation),
    /// With all of them. The answer is whether there was any.
    Delete { condition: Condition, answer: Answer<bool> },
}

/// The documents of one job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job;

impl Model for Job {
    type State = [Option<Held>; JOB_DOCUMENTS];
    type Operation = JobOperation;

    fn step(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State> {
        let with_first = |first| {
            let mut next = state.clone();
            next[0] = first;
            next
        };
        match operation {
            JobOperation::One(i, operation) => {
                let mut next = state.clone();
                next[*i] = Document.step(&state[*i], operation)?;
                Some(next)
            }
            JobOperation::Delete { condition, answer } => {
                let is_there = state.iter().any(Option::is_some);
                match answer {
                    Answer::Unchanged => Some(state.clone()),
                    Answer::Done(false) if is_there => None,
                    Answer::Done(false) => Some(state.clone()),
                    Answer::Unknown if !is_there => Some(state.clone()),
                    Answer::Done(true) if !is_there => None,
                    Answer::Done(true) | Answer::Unknown => {
                        holding(&state[0], condition).map(|_| Default::default())
                    }
                    Answer::Refused(_) if !is_there => None,
                    Answer::Refused(current) => {
                        failing(&state[0], condition, current).map(with_first)
                    }
                }
            }
        }
    }

    fn is_answered(&self, operation: &Self::Operation) -> bool {
        match operation {
            JobOperation::One(_, operation) => Document.is_answered(operation),
            JobOperation::Delete { answer, .. } => *answer != Answer::Unknown,
        }
    }
}
