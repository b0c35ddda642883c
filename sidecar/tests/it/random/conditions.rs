//! `If-Match` and `If-None-Match`, as RFC 9110 §13.2.2 evaluates them, written down once more.

use fastrand::Rng;

use super::super::raw::Request;

/// One of the two fields.
#[derive(Debug, Clone)]
enum Field {
    Any,
    /// Each with whether it is weak.
    Tags(Vec<(bool, String)>),
}

/// The conditions of a request.
#[derive(Debug, Default, Clone)]
pub(super) struct Conditions {
    is_match: Option<Field>,
    none_match: Option<Field>,
}

/// What the conditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    NotModified,
    Failed,
}

impl Conditions {
    /// At random, of what stands there now and what stood there before.
    pub(super) fn any(random: &mut Rng, current: Option<&str>, before: &[String]) -> Self {
        let field = |random: &mut Rng| {
            if random.u8(..4) == 0 {
                return Field::Any;
            }
            let tag = |random: &mut Rng| {
                let tag = match (random.u8(..8), current) {
                    (0..5, Some(tag)) => tag.to_owned(),
                    (5..7, _) if !before.is_empty() => before[random.usize(..before.len())].clone(),
                    _ => "\"never\"".to_owned(),
                };
                (random.u8(..6) == 0, tag)
            };
            Field::Tags((0..random.usize(1..4)).map(|_| tag(random)).collect())
        };
        let is_match = (random.u8(..3) == 0).then(|| field(random));
        let none_match = (random.u8(..4) == 0).then(|| field(random));
        Self { is_match, none_match }
    }

    pub(super) fn has_match(&self) -> bool {
        self.is_match.is_some()
    }

    /// Adds the fields, a list in one line or in several.
    pub(super) fn add(&self, mut request: Request, random: &mut Rng) -> Request {
        for (name, field) in [("If-Match", &self.is_match), ("If-None-Match", &self.none_match)] {
            let lines: Vec<String> = match field {
                None => continue,
                Some(Field::Any) => vec!["*".into()],
                Some(Field::Tags(tags)) => tags
                    .iter()
                    .map(|(weak, tag)| if *weak { format!("W/{tag}") } else { tag.clone() })
                    .collect(),
            };
            if random.bool() {
                request = request.header(name, &lines.join([",", ", ", " ,, "][random.usize(..3)]));
            } else {
                request = lines.iter().fold(request, |request, line| request.header(name, line));
            }
        }
        request
    }

    /// Decides about what stands there.
    pub(super) fn evaluate(&self, current: Option<&str>) -> Verdict {
        let among = |field: &Field, takes_weak: bool| match (field, current) {
            (_, None) => false,
            (Field::Any, Some(_)) => true,
            (Field::Tags(tags), Some(current)) => {
                tags.iter().any(|(weak, tag)| tag == current && (takes_weak || !weak))
            }
        };
        if self.is_match.as_ref().is_some_and(|field| !among(field, false)) {
            Verdict::Failed
        } else if self.none_match.as_ref().is_some_and(|field| among(field, true)) {
            Verdict::NotModified
        } else {
            Verdict::Holds
        }
    }
}
