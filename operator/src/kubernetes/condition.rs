//! Conditions that tools can read (kstatus): `Ready`, and `Reconciling` and `Stalled` present only
//! while they are true.
//! <https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The types of conditions, by the names that tools look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionType {
    /// It is what its spec says, and works.
    Ready,
    /// It is on its way there.
    Reconciling,
    /// It is stuck: somebody has to change something.
    Stalled,
    /// The newest commit of every branch was fetched.
    Fetched,
    /// Every file of it is valid.
    Validated,
    /// It is served.
    Published,
}

impl ConditionType {
    /// The word in the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Fetched => "Fetched",
            Self::Validated => "Validated",
            Self::Published => "Published",
        }
    }
}

/// The conditions of one object, in the making. Built from those that stand in its status, so that
/// what did not change keeps its time.
#[derive(Debug, Clone)]
pub struct Conditions {
    before: Vec<Condition>,
    now: Vec<Condition>,
    generation: Option<i64>,
    time: Time,
}

impl Conditions {
    /// Starts from what the status says, for the object's `metadata.generation`, at `time`.
    #[must_use]
    pub fn new(before: &[Condition], generation: Option<i64>, time: Time) -> Self {
        Self { before: before.to_vec(), now: Vec::new(), generation, time }
    }

    /// `Ready=True`, nothing else.
    pub fn ready(&mut self, reason: &str, message: &str) -> &mut Self {
        self.set(ConditionType::Ready, true, reason, message)
    }

    /// On its way: `Ready=False`, `Reconciling=True`.
    pub fn reconciling(&mut self, reason: &str, message: &str) -> &mut Self {
        self.set(ConditionType::Ready, false, reason, message).set(
            ConditionType::Reconciling,
            true,
            reason,
            message,
        )
    }

    /// Somebody has to change something: `Ready=False`, `Stalled=True`.
    pub fn stalled(&mut self, reason: &str, message: &str) -> &mut Self {
        self.set(ConditionType::Ready, false, reason, message).set(
            ConditionType::Stalled,
            true,
            reason,
            message,
        )
    }

    /// One condition. `reason` is one CamelCase word, `message` a sentence that says what to do.
    pub fn set(
        &mut self,
        kind: ConditionType,
        status: bool,
        reason: &str,
        message: &str,
    ) -> &mut Self {
        let status = if status { "True" } else { "False" };
        let since = self
            .before
            .iter()
            .find(|before| before.type_ == kind.as_str() && before.status == status)
            .map_or_else(|| self.time.clone(), |before| before.last_transition_time.clone());
        self.now.retain(|condition| condition.type_ != kind.as_str());
        self.now.push(Condition {
            type_: kind.as_str().to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: since,
            observed_generation: self.generation,
        });
        self
    }

    /// What the status is to say.
    #[must_use]
    pub fn finish(self) -> Vec<Condition> {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    fn words(conditions: &[Condition]) -> Vec<(&str, &str, i64)> {
        conditions
            .iter()
            .map(|c| (c.type_.as_str(), c.status.as_str(), c.last_transition_time.0.as_second()))
            .collect()
    }

    #[test]
    fn a_condition_keeps_its_time_until_it_turns() {
        let mut first = Conditions::new(&[], Some(1), at(10));
        first.reconciling("Starting", "The pod is starting.");
        let first = first.finish();
        assert_eq!(words(&first), [("Ready", "False", 10), ("Reconciling", "True", 10)]);

        let mut second = Conditions::new(&first, Some(1), at(20));
        second.stalled("ImageMissing", "The image cannot be pulled.");
        let second = second.finish();
        assert_eq!(words(&second), [("Ready", "False", 10), ("Stalled", "True", 20)]);

        let mut third = Conditions::new(&second, Some(2), at(30));
        third.ready("Serving", "The store serves.");
        let third = third.finish();
        assert_eq!(words(&third), [("Ready", "True", 30)]);
        assert_eq!(third[0].observed_generation, Some(2));
    }
}
