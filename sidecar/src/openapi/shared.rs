//! The answers that operations share, and what becomes of them where a method has them otherwise.

use serde_json::{Map, Value};

use super::operation::answer_ref;

pub(super) struct SharedAnswers(Map<String, Value>);

impl SharedAnswers {
    pub(super) fn new(answers: Value) -> Self {
        Self(match answers {
            Value::Object(answers) => answers,
            _ => Map::new(),
        })
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// Changes an operation's answer: one that is shared stays, and there is another one beside it, with
    /// `suffix` behind its name.
    pub(super) fn change(
        &mut self,
        answer: &mut Value,
        suffix: &str,
        change: impl Fn(&mut Map<String, Value>),
    ) {
        let name = answer["$ref"].as_str().and_then(|place| place.rsplit('/').next());
        let Some((name, shared)) = name.and_then(|name| Some((name, self.0.get(name)?))) else {
            if let Some(answer) = answer.as_object_mut() {
                change(answer);
            }
            return;
        };
        let mut changed = shared.clone();
        if let Some(changed) = changed.as_object_mut() {
            change(changed);
        }
        if changed != *shared {
            let name = format!("{name}{suffix}");
            *answer = answer_ref(&name);
            self.0.insert(name, changed);
        }
    }
}
