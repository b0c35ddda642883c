//! The words in which the tables of cases are written.

use serde_json::Value;

use crate::case::{Action, Call, Case, Expect, Level, Need, Step};
use crate::content::{A, Content};
use crate::profile::Profile;
use crate::race::Race;

fn case(level: Level, id: &'static str, source: &'static str, title: &'static str) -> Case {
    Case {
        id,
        title,
        source,
        level,
        promised: false,
        profiles: Profile::ALL,
        needs: Vec::new(),
        steps: Vec::new(),
    }
}

/// A case of level MUST.
pub(crate) fn must(id: &'static str, source: &'static str, title: &'static str) -> Case {
    case(Level::Must, id, source, title)
}

/// A case of level SHOULD.
pub(crate) fn should(id: &'static str, source: &'static str, title: &'static str) -> Case {
    case(Level::Should, id, source, title)
}

/// A case of level MAY.
pub(crate) fn may(id: &'static str, source: &'static str, title: &'static str) -> Case {
    case(Level::May, id, source, title)
}

/// A case of Stowage's contracts.
pub(crate) fn contract(
    profiles: &'static [Profile],
    id: &'static str,
    title: &'static str,
) -> Case {
    Case { profiles, ..case(Level::Contract, id, "contract", title) }
}

impl Case {
    /// What the server must offer.
    pub(crate) fn needs(mut self, needs: &[Need]) -> Self {
        self.needs.extend_from_slice(needs);
        self
    }

    /// The profiles that it is for.
    pub(crate) fn profiles(mut self, profiles: &'static [Profile]) -> Self {
        self.profiles = profiles;
        self
    }

    /// The RFC that the contract follows here.
    pub(crate) fn cites(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }

    /// Stowage's contracts promise it.
    pub(crate) fn promised(mut self) -> Self {
        self.promised = true;
        self
    }

    /// What is done.
    pub(crate) fn steps<const N: usize>(mut self, steps: [Step; N]) -> Self {
        self.steps.extend(steps);
        self
    }

    /// What is done once [`A`] stands at the resource and was read as `a`.
    pub(crate) fn on_a<const N: usize>(mut self, steps: [Step; N]) -> Self {
        self.steps.push(write(A).ok().into());
        self.steps.push(read().save("a").status(&[200]).into());
        self.steps.extend(steps);
        self
    }
}

fn call(action: Action) -> Call {
    Call {
        action,
        fields: Vec::new(),
        save: None,
        anonymous: false,
        same_connection: false,
        may_close: false,
        expect: Vec::new(),
    }
}

/// `GET` of the resource.
pub(crate) fn read() -> Call {
    call(Action::Read)
}

/// `HEAD` of the resource.
pub(crate) fn head() -> Call {
    call(Action::Head)
}

/// A write of the resource.
pub(crate) fn write(content: Content) -> Call {
    call(Action::Write(content))
}

/// `DELETE` of the resource.
pub(crate) fn delete() -> Call {
    call(Action::Delete)
}

/// Any request.
pub(crate) fn send(method: &'static str, target: &'static str) -> Call {
    call(Action::Raw { method, target, body: Vec::new() })
}

/// An upload that breaks off.
pub(crate) fn break_off(target: &'static str) -> Call {
    call(Action::BreakOff { target }).may_close()
}

/// The resource holds `a` under its tag, as before.
pub(crate) fn unchanged() -> Step {
    read().status(&[200]).holds(A).expect(Expect::Same("ETag", "a")).into()
}

/// The resource holds this.
pub(crate) fn now(content: Content) -> Step {
    read().status(&[200]).holds(content).into()
}

/// Nothing is there.
pub(crate) fn nothing() -> Step {
    read().status(&[404, 410]).into()
}

/// A race.
pub(crate) fn race(race: Race) -> Step {
    Step::Race(race)
}

impl From<Call> for Step {
    fn from(call: Call) -> Self {
        Self::Call(Box::new(call))
    }
}

impl Call {
    /// Adds a header line.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an `If-Match` line.
    pub(crate) fn if_match(self, value: &str) -> Self {
        self.with("If-Match", value)
    }

    /// Adds an `If-None-Match` line.
    pub(crate) fn if_none_match(self, value: &str) -> Self {
        self.with("If-None-Match", value)
    }

    /// Gives a raw request a body of JSON.
    pub(crate) fn json(self, text: &str) -> Self {
        self.body(text).with("Content-Type", "application/json")
    }

    /// Gives a raw request a body.
    pub(crate) fn body(mut self, bytes: impl AsRef<[u8]>) -> Self {
        if let Action::Raw { body, .. } = &mut self.action {
            *body = bytes.as_ref().to_vec();
        }
        self
    }

    /// Names the answer.
    pub(crate) fn save(mut self, name: &'static str) -> Self {
        self.save = Some(name);
        self
    }

    /// Without credentials.
    pub(crate) fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// On the connection of the step before.
    pub(crate) fn same_connection(mut self) -> Self {
        self.same_connection = true;
        self
    }

    /// A connection that is closed without an answer is one.
    pub(crate) fn may_close(mut self) -> Self {
        self.may_close = true;
        self
    }

    /// Adds an expectation.
    pub(crate) fn expect(mut self, expect: Expect) -> Self {
        self.expect.push(expect);
        self
    }

    /// Expects any 2xx.
    pub(crate) fn ok(self) -> Self {
        self.expect(Expect::Success)
    }

    /// Expects one of these statuses.
    pub(crate) fn status(self, statuses: &'static [u16]) -> Self {
        self.expect(Expect::Status(statuses))
    }

    /// Goes on after one of these statuses only; otherwise the case does not apply.
    pub(crate) fn provided(self, statuses: &'static [u16]) -> Self {
        self.expect(Expect::Provided(statuses))
    }

    /// Expects this content as the body.
    pub(crate) fn holds(self, content: Content) -> Self {
        self.expect(Expect::Holds(content))
    }

    /// Expects a field.
    pub(crate) fn has(self, name: &'static str) -> Self {
        self.expect(Expect::Has(name))
    }

    /// Expects a field with a value.
    pub(crate) fn field(self, name: &'static str, value: &'static str) -> Self {
        self.expect(Expect::Field(name, value))
    }

    /// Expects a member of a list.
    pub(crate) fn lists(self, name: &'static str, member: &'static str) -> Self {
        self.expect(Expect::Lists(name, member))
    }

    /// Expects these bytes as the body.
    pub(crate) fn answers(self, body: &'static str) -> Self {
        self.expect(Expect::Body(body.as_bytes()))
    }

    /// Expects a value in a body of JSON.
    pub(crate) fn member(self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.expect(Expect::Json(pointer, value.into()))
    }

    /// Expects a problem of this status and word.
    pub(crate) fn problem(self, status: &'static [u16], word: &'static str) -> Self {
        self.status(status).expect(Expect::Problem).member("/error", word)
    }
}
