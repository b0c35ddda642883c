//! A case: what is tried, where it is written, and what must come, as data.

use serde_json::Value;

use crate::content::Content;
use crate::profile::Profile;
use crate::race::Race;
use crate::wire::Field;

/// How binding a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The RFC says MUST.
    Must,
    /// The RFC says SHOULD.
    Should,
    /// The RFC allows both; one of them is safer for clients.
    May,
    /// A contract of Stowage says so.
    Contract,
}

impl Level {
    /// Whether a server that fails is out of conformance.
    #[must_use]
    pub fn is_binding(self) -> bool {
        matches!(self, Self::Must | Self::Contract)
    }

    /// As RFC 2119 writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
            Self::Contract => "contract",
        }
    }
}

/// What a server must offer for a case to apply to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// `ETag`, weak or strong.
    Tag,
    /// Strong entity tags.
    StrongTag,
    /// Weak entity tags.
    WeakTag,
    /// `Last-Modified`.
    LastModified,
    /// No `Last-Modified`.
    NoLastModified,
    /// Ranges of bytes.
    Ranges,
    /// `HEAD`.
    Head,
    /// `DELETE`.
    Delete,
    /// 404 where nothing was written; a KV namespace is empty instead.
    Absence,
    /// Writes without a condition are refused.
    ConditionRequired,
    /// 201 to a write that created; the run store's contract says 200.
    Created,
    /// Another answer to a write that replaces; the contract of artifacts says 201 to both.
    Replaced,
    /// Reads and writes that are refused without the token that was given.
    Authorization,
    /// Several requests on one connection.
    KeepAlive,
    /// Pages of [`ORIGIN`] may read what is answered.
    Origin,
}

/// The origin that cases about CORS come from.
pub(crate) const ORIGIN: &str = "https://conformance.example";

/// A case.
#[derive(Debug, Clone)]
pub struct Case {
    /// `section/name`, for `--only` and for reports.
    pub id: &'static str,
    /// What must hold, as a sentence.
    pub title: &'static str,
    /// Where that is written.
    pub source: &'static str,
    pub(crate) level: Level,
    /// In Stowage's own profiles it is a part of the contract, whatever the RFC leaves open.
    pub(crate) promised: bool,
    pub(crate) profiles: &'static [Profile],
    pub(crate) needs: Vec<Need>,
    pub(crate) steps: Vec<Step>,
}

impl Case {
    /// The part of the id before the slash.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// How binding it is in a profile.
    #[must_use]
    pub fn level(&self, profile: Profile) -> Level {
        if self.promised && profile != Profile::Generic { Level::Contract } else { self.level }
    }
}

/// A step of a case.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// One request and its answer.
    Call(Box<Call>),
    /// Many clients at once.
    Race(Race),
}

/// A request, as a pattern, and what must come back.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) action: Action,
    /// Header lines; their values are patterns (see `template`).
    pub(crate) fields: Vec<Field>,
    /// The name under which later steps speak of the answer.
    pub(crate) save: Option<&'static str>,
    /// Without the credentials that were given.
    pub(crate) anonymous: bool,
    /// It must be answered on the connection of the step before.
    pub(crate) same_connection: bool,
    /// That the server closes without an answer is one as well.
    pub(crate) may_close: bool,
    pub(crate) expect: Vec<Expect>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// `GET` of the case's resource.
    Read,
    /// `HEAD` of it.
    Head,
    /// Writes it, by the profile's method.
    Write(Content),
    /// `DELETE` of it.
    Delete,
    /// Any other request. The target is a pattern.
    Raw { method: &'static str, target: &'static str, body: Vec<u8> },
    /// A write that announces more bytes than it sends, and breaks off.
    BreakOff { target: &'static str },
}

/// What must hold of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Expect {
    /// One of these.
    Status(&'static [u16]),
    /// One of these, or the case does not apply: what it is about comes after such an answer, and
    /// another case is about the status.
    Provided(&'static [u16]),
    /// Any 2xx.
    Success,
    /// Any 4xx or 5xx.
    Refusal,
    /// Not 5xx, except 501.
    NoServerError,
    /// The field is there.
    Has(&'static str),
    /// The field is not there.
    Lacks(&'static str),
    /// The field has this value (a pattern).
    Field(&'static str, &'static str),
    /// The field's value begins so.
    Begins(&'static str, &'static str),
    /// The field is a list with this member.
    Lists(&'static str, &'static str),
    /// The field is as it was in the named answer, there or not.
    Same(&'static str, &'static str),
    /// The field is absent, or as it was in the named answer.
    SameOrAbsent(&'static str, &'static str),
    /// `ETag` is another one than in the named answer.
    OtherTag(&'static str),
    /// Where the named answer to a write has an `ETag`, it is the one that is read now; whether the
    /// tag has become strong in the meantime does not matter.
    TagOfWrite(&'static str),
    /// `ETag` is absent or well-formed.
    TagSyntax,
    /// `ETag` is well-formed and strong.
    StrongTag,
    /// `ETag` is a decimal number, so much greater than in the named answer.
    VersionAfter(&'static str, u64),
    /// `Last-Modified` is not later than `Date`.
    NotModifiedInFuture,
    /// The body is this content.
    Holds(Content),
    /// The body is this part of the content: first byte, last byte.
    Part(Content, usize, usize),
    /// The body holds these bytes.
    Body(&'static [u8]),
    /// There is no body.
    NoBody,
    /// The body is JSON and has this value at this pointer (RFC 6901).
    Json(&'static str, Value),
    /// The body is JSON and has something at this pointer.
    JsonHas(&'static str),
    /// `application/problem+json` with the members of RFC 9457 and `error`.
    Problem,
    /// These hold where the status is one of those.
    Where(&'static [u16], Vec<Expect>),
    /// The second where the named answer was a 2xx, otherwise the first.
    Outcome { of: &'static str, before: Content, after: Content },
}
