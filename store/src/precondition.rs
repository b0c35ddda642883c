//! Preconditions as one pure function (RFC 9110 §13).

use crate::{EntityTag, Result, StoreError};

/// An entity tag as a client sent it; weak ones can be sent, though the store makes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireTag {
    /// Whether it was marked `W/`.
    pub weak: bool,
    /// The text between the quotes.
    pub opaque: String,
}

/// The value of an `If-Match` or `If-None-Match` field, all its lines together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagCondition {
    /// `*`: any current representation.
    Any,
    /// A list; an empty one matches nothing.
    Tags(Vec<WireTag>),
}

/// What a request demands of the current state. The default demands nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// `If-Match`, compared strongly (RFC 9110 §13.1.1).
    pub if_match: Option<TagCondition>,
    /// `If-None-Match`, compared weakly (RFC 9110 §13.1.2).
    pub if_none_match: Option<TagCondition>,
}

/// What evaluating [`Preconditions`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every condition holds.
    Holds,
    /// `If-Match` does not hold: 412 to every method.
    MatchFailed,
    /// `If-None-Match` does not hold: 304 to GET and HEAD, 412 to every other method.
    NoneMatchFailed,
}

impl Preconditions {
    /// No demand at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Demands that nothing stands there yet: `If-None-Match: *`.
    #[must_use]
    pub fn absent() -> Self {
        Self { if_match: None, if_none_match: Some(TagCondition::Any) }
    }

    /// Demands exactly this current representation: `If-Match: "<tag>"`.
    #[must_use]
    pub fn matches(tag: &EntityTag) -> Self {
        let tag = WireTag { weak: false, opaque: tag.opaque().to_owned() };
        Self { if_match: Some(TagCondition::Tags(vec![tag])), if_none_match: None }
    }

    /// Evaluates against the current representation's tag, `None` where there is none, in the
    /// order of RFC 9110 §13.2.2.
    #[must_use]
    pub fn evaluate(&self, current: Option<&EntityTag>) -> Verdict {
        if let Some(condition) = &self.if_match
            && !condition.matches(current, Comparison::Strong)
        {
            return Verdict::MatchFailed;
        }
        if let Some(condition) = &self.if_none_match
            && condition.matches(current, Comparison::Weak)
        {
            return Verdict::NoneMatchFailed;
        }
        Verdict::Holds
    }

    /// Demands that they hold for the current representation's tag, `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::PreconditionFailed`] with that tag.
    pub(crate) fn require(&self, current: Option<&EntityTag>) -> Result<()> {
        match self.evaluate(current) {
            Verdict::Holds => Ok(()),
            Verdict::MatchFailed | Verdict::NoneMatchFailed => {
                Err(StoreError::PreconditionFailed { current: current.cloned() })
            }
        }
    }
}

/// RFC 9110 §8.8.3.2.
#[derive(Clone, Copy)]
enum Comparison {
    Strong,
    Weak,
}

impl TagCondition {
    fn matches(&self, current: Option<&EntityTag>, comparison: Comparison) -> bool {
        let Some(current) = current else { return false };
        let opaque = current.opaque();
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| {
                *tag.opaque == *opaque && (!tag.weak || matches!(comparison, Comparison::Weak))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[&str]) -> Option<TagCondition> {
        let wire = |tag: &&str| match tag.strip_prefix("W/") {
            Some(opaque) => WireTag { weak: true, opaque: opaque.into() },
            None => WireTag { weak: false, opaque: (*tag).into() },
        };
        Some(TagCondition::Tags(tags.iter().map(wire).collect()))
    }

    /// Each value of a field; whether `If-Match` with it holds for the current tag `a` (§13.1.1)
    /// and whether `If-None-Match` with it does (§13.1.2), as the RFC's text has it.
    fn table() -> Vec<(Option<TagCondition>, bool, bool)> {
        vec![
            (None, true, true),
            (Some(TagCondition::Any), true, false),
            (tags(&[]), false, true),
            (tags(&["a"]), true, false),
            (tags(&["W/a"]), false, false),
            (tags(&["b"]), false, true),
            (tags(&["W/b"]), false, true),
            (tags(&["b", "a"]), true, false),
            (tags(&["b", "W/a"]), false, false),
            (tags(&["W/a", "a"]), true, false),
            (tags(&["A"]), false, true),
            (tags(&["\"a\""]), false, true),
        ]
    }

    #[test]
    fn every_pair_of_conditions_is_evaluated_in_the_order_of_the_rfc() {
        let current = EntityTag::new("a").unwrap();
        for (if_match, match_holds, _) in table() {
            for (if_none_match, _, none_match_holds) in table() {
                let (if_match, if_none_match) = (if_match.clone(), if_none_match.clone());
                let expected = match (match_holds, none_match_holds) {
                    (true, true) => Verdict::Holds,
                    (true, false) => Verdict::NoneMatchFailed,
                    (false, _) => Verdict::MatchFailed,
                };
                // Where nothing stands, every If-Match fails and every If-None-Match holds.
                let expected_on_nothing =
                    if if_match.is_some() { Verdict::MatchFailed } else { Verdict::Holds };
                let preconditions = Preconditions { if_match, if_none_match };
                assert_eq!(preconditions.evaluate(Some(&current)), expected, "{preconditions:?}");
                assert_eq!(preconditions.evaluate(None), expected_on_nothing, "{preconditions:?}");
            }
        }
    }

    #[test]
    fn the_shorthands_mean_what_they_say() {
        let (a, b) = (EntityTag::new("a").unwrap(), EntityTag::new("b").unwrap());
        let table = [
            (Preconditions::none(), true, true, true),
            (Preconditions::absent(), true, false, false),
            (Preconditions::matches(&a), false, true, false),
        ];
        for (preconditions, on_nothing, on_a, on_b) in table {
            for (current, holds) in [(None, on_nothing), (Some(&a), on_a), (Some(&b), on_b)] {
                let verdict = preconditions.evaluate(current);
                assert_eq!(verdict == Verdict::Holds, holds, "{preconditions:?} on {current:?}");
            }
        }
    }
}
