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
/// How often who waits for a time looks at the clock.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(6 * 3600);

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
        self.action_by(None)
    }

    /// As [`Self::action`], and at `time` at the latest.
    #[must_use]
    pub fn action_by(&self, time: Option<Timestamp>) -> Action {
        let by_verdict = match self.verdict {
            Verdict::Ready | Verdict::Resting => None,
            Verdict::Reconciling => Some(LOOK_AGAIN),
            Verdict::Stalled => Some(LOOK_AGAIN_STALLED),
        };
        let by_time = time.map(|time| wait_until(time, Timestamp::now()));
        match by_verdict.into_iter().chain(by_time).min() {
            Some(wait) => Action::requeue(wait),
            None => Action::await_change(),
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

/// A timer does not run while a machine sleeps, and a clock may be set: who waits for a time looks at
/// it now and then.
fn wait_until(time: Timestamp, now: Timestamp) -> Duration {
    // Not a moment too early: then nothing would be due, and the next look would be as early.
    let wait = Duration::try_from(time.duration_since(now)).unwrap_or_default();
    (wait + Duration::from_millis(100)).min(LOOK_AT_CLOCK)
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
    fn who_waits_for_a_time_comes_back_then_or_sooner() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let table = [(110, 10_100), (100, 100), (90, 100), (100 + 6 * 3600, 6 * 3_600_000)];
        for (time, expected_ms) in table {
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(wait_until(second(time), second(100)), expected, "{time}");
        }
        let (ready, stuck) = (Finding::ready("A", "b"), Finding::stalled("A", "b"));
        assert_eq!(ready.action_by(None), Action::await_change());
        assert_eq!(ready.action_by(Some(Timestamp::MAX)), Action::requeue(LOOK_AT_CLOCK));
        assert_eq!(stuck.action_by(Some(Timestamp::MAX)), Action::requeue(LOOK_AGAIN_STALLED));
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
