//! Expectations as a person reads them.

use crate::case::Expect;
use crate::content::Content;

impl Expect {
    /// What is expected, in a few words.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Status(statuses) | Self::Provided(statuses) => {
                let texts: Vec<String> = statuses.iter().map(u16::to_string).collect();
                texts.join(" or ")
            }
            Self::Success => "2xx".into(),
            Self::Refusal => "a refusal, not 2xx".into(),
            Self::NoServerError => "no 5xx".into(),
            Self::Has(name) => (*name).to_owned(),
            Self::Lacks(name) => format!("no {name}"),
            Self::Field(name, value) => format!("{name}: {value}"),
            Self::Begins(name, value) => format!("{name}: {value}…"),
            Self::Lists(name, member) => format!("{name} with {member}"),
            Self::Same(name, of) => format!("{name} as in answer {of}"),
            Self::SameOrAbsent(name, of) => format!("no {name}, or that of answer {of}"),
            Self::OtherTag(of) => format!("another ETag than in answer {of}"),
            Self::TagOfWrite(of) => format!("the ETag of answer {of}, where it has one"),
            Self::TagSyntax => "no ETag, or a well-formed one".into(),
            Self::StrongTag => "a strong ETag".into(),
            Self::VersionAfter(of, by) => format!("the version of answer {of} and {by} more"),
            Self::NotModifiedInFuture => "Last-Modified not later than Date".into(),
            Self::Holds(content) => format!("the body {}", short(*content)),
            Self::Part(_, first, last) => format!("the bytes {first} to {last}"),
            Self::Body(bytes) => format!("the body {}", String::from_utf8_lossy(bytes)),
            Self::NoBody => "no body".into(),
            Self::Json(pointer, value) => format!("{value} at {pointer}"),
            Self::JsonHas(pointer) => format!("something at {pointer}"),
            Self::Problem => "a problem document (RFC 9457)".into(),
            Self::Where(statuses, inner) => {
                let inner: Vec<String> = inner.iter().map(Self::text).collect();
                let statuses = Self::Status(statuses).text();
                format!("{} where it is {statuses}", inner.join(", "))
            }
            Self::Outcome { of, before, after } => {
                format!("{} where answer {of} was 2xx, otherwise {}", short(*after), short(*before))
            }
        }
    }
}

/// A content by what tells it from others.
pub(crate) fn short(content: Content) -> String {
    format!(r#"{{"content":"{}",…}}"#, content.label())
}
