//! What a reconcile found out about an object, in the form that its status tells.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::runtime::controller::Action;

use super::{ApplyError, Conditions, Severity};
use crate::context::Context;

/// How soon something that may still come about is looked at again, where no watch tells.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// The same where somebody has to change something first.
const LOOK_AGAIN_STALLED: Duration = Duration::from_secs(30);

/// How an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is what its spec says, and works.
    Ready,
    /// It is on its way there.
    Reconciling,
    /// Somebody has to change something.
    Stalled,
    /// It does not work, as its spec wants.
    Resting,
}

/// How an object stands, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How.
    pub verdict: Verdict,
    /// Why, in one CamelCase word.
    pub reason: &'static str,
    /// Why, and what to do, in a sentence.
    pub message: String,
}

impl Finding {
    /// It works.
    #[must_use]
    pub fn ready(reason: &'static str, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ready, reason, message: message.into() }
    }

    /// It is on its way.
    #[must_use]
    pub fn reconciling(reason: &'static str, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Reconciling, reason, message: message.into() }
    }

    /// It is stuck.
    #[must_use]
    pub fn stalled(reason: &'static str, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Stalled, reason, message: message.into() }
    }

    /// It rests because that is wanted.
    #[must_use]
    pub fn resting(reason: &'static str, message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Resting, reason, message: message.into() }
    }

    /// What a child that could not be applied means; `None` where it is to be tried again with
    /// nothing changed.
    #[must_use]
    pub fn of_apply_error(error: &ApplyError) -> Option<Self> {
        let message = sentence(&error.to_string());
        match error {
            ApplyError::NameTaken { .. } => Some(Self::stalled("NameTaken", message)),
            ApplyError::Refused { .. } => Some(Self::stalled("Refused", message)),
            ApplyError::Leaving { .. } => Some(Self::reconciling("Replacing", message)),
            ApplyError::Api { .. } => None,
        }
    }

    /// The conditions that say so, built on those before.
    #[must_use]
    pub fn conditions(&self, before: &[Condition], generation: Option<i64>) -> Vec<Condition> {
        let mut now = Conditions::new(before, generation, Time(Timestamp::now()));
        match self.verdict {
            Verdict::Ready => now.ready(self.reason, &self.message),
            Verdict::Reconciling => now.reconciling(self.reason, &self.message),
            Verdict::Stalled => now.stalled(self.reason, &self.message),
            Verdict::Resting => {
                now.set(super::ConditionType::Ready, false, self.reason, &self.message)
            }
        };
        now.finish()
    }

    /// When to look again. What works, or rests, is looked at when something changes.
    #[must_use]
    pub fn action(&self) -> Action {
        match self.verdict {
            Verdict::Ready | Verdict::Resting => Action::await_change(),
            Verdict::Reconciling => Action::requeue(LOOK_AGAIN),
            Verdict::Stalled => Action::requeue(LOOK_AGAIN_STALLED),
        }
    }

    /// Writes an Event where the reason is another one than before.
    pub async fn announce<K>(&self, context: &Context, object: &K, before: &[Condition])
    where
        K: Resource<DynamicType = ()>,
    {
        let ready = before.iter().find(|condition| condition.type_ == "Ready");
        if ready.is_some_and(|ready| ready.reason == self.reason) {
            return;
        }
        let severity = match self.verdict {
            Verdict::Stalled => Severity::Warning,
            Verdict::Ready | Verdict::Reconciling | Verdict::Resting => Severity::Normal,
        };
        context.tell(object, severity, self.reason, "Reconcile", &self.message).await;
    }
}

/// As a sentence of its own: a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_as_a_sentence() {
        assert_eq!(sentence("the Service a is odd"), "The Service a is odd.");
        assert_eq!(sentence("done."), "Done.");
        assert_eq!(sentence(""), ".");
    }

    #[test]
    fn conditions_follow_the_verdict() {
        let types = |finding: &Finding| -> Vec<String> {
            let conditions = finding.conditions(&[], Some(1));
            conditions.iter().map(|c| format!("{}={}", c.type_, c.status)).collect()
        };
        assert_eq!(types(&Finding::ready("A", "b")), ["Ready=True"]);
        assert_eq!(types(&Finding::resting("A", "b")), ["Ready=False"]);
        assert_eq!(types(&Finding::stalled("A", "b")), ["Ready=False", "Stalled=True"]);
        assert_eq!(types(&Finding::reconciling("A", "b")), ["Ready=False", "Reconciling=True"]);
    }
}
