//! A whole run: find out what the server offers, then every case.

use std::time::{Duration, Instant};

use crate::case::Case;
use crate::cases;
use crate::execute::{Server, execute};
use crate::offers::Offers;
use crate::outcome::{Outcome, Result as CaseResult};
use crate::profile::Profile;
use crate::wire::{Answer, Connector, Field, InvalidField, Origin, WireError, field};

/// What is tried, and how.
#[derive(Clone)]
pub struct Settings {
    origin: Origin,
    profile: Profile,
    base: String,
    credentials: Option<Field>,
    fields: Vec<Field>,
    timeout: Duration,
    only: Vec<String>,
}

impl Settings {
    /// A server and what kind it is; each answer may take 10 s.
    #[must_use]
    pub fn new(origin: Origin, profile: Profile) -> Self {
        let base = origin.base.clone();
        let timeout = Duration::from_secs(10);
        Self {
            origin,
            profile,
            base,
            credentials: None,
            fields: Vec::new(),
            timeout,
            only: Vec::new(),
        }
    }

    /// Everything happens below this path of the URL.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        if !path.is_empty() {
            self.base = format!("{}/{path}", self.origin.base);
        }
        self
    }

    /// Sends `Authorization: Bearer <token>`.
    ///
    /// # Errors
    /// [`InvalidField`] where no header can hold the token, which it does not repeat.
    pub fn token(mut self, token: &str) -> Result<Self, InvalidField> {
        self.credentials = Some(field(&format!("Authorization: Bearer {}", token.trim()))?);
        Ok(self)
    }

    /// Sends this `Name: value` with every request. `Authorization` is left out where a case asks
    /// without credentials.
    ///
    /// # Errors
    /// [`InvalidField`] where it is no header.
    pub fn header(mut self, text: &str) -> Result<Self, InvalidField> {
        let field = field(text)?;
        if field.0.eq_ignore_ascii_case("authorization") {
            self.credentials = Some(field);
        } else {
            self.fields.push(field);
        }
        Ok(self)
    }

    /// How long a connection or an answer may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Only cases of this section, or of this id; may be said more than once.
    #[must_use]
    pub fn only(mut self, section_or_id: &str) -> Self {
        self.only.push(section_or_id.to_owned());
        self
    }

    /// The cases that will be tried.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        let chosen = |case: &Case| {
            self.only.is_empty()
                || self.only.iter().any(|only| only == case.id || only == case.section())
        };
        cases::of(self.profile).into_iter().filter(chosen).collect()
    }
}

/// Why nothing could be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The server does not answer.
    #[error("{0}; say where the server is with --url")]
    Unreachable(String),
    /// The credentials are missing or not accepted.
    #[error("{what} was answered {status}: give a token that may write with --token-file")]
    Credentials {
        /// The request.
        what: String,
        /// 401 or 403.
        status: u16,
    },
    /// The server is not one that can be tried like this.
    #[error("{0}")]
    Unsuitable(String),
    /// No case has this id or section.
    #[error("no case of profile {profile} matches; --list shows all of them")]
    NoCase {
        /// The profile.
        profile: Profile,
    },
}

impl Stop {
    pub(crate) fn wire(error: WireError) -> Self {
        Self::Unreachable(error.to_string())
    }

    pub(crate) fn refused(what: &str, answer: &Answer) -> Self {
        match answer.status {
            status @ (401 | 403) => Self::Credentials { what: what.to_owned(), status },
            status => Self::Unsuitable(format!(
                "{what} was answered {status}, not 2xx: the suite needs a place where it may \
                 write and read; name one with --path, and the kind of server with --profile"
            )),
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The profile.
    pub profile: Profile,
    /// `http://host:port/path`.
    pub url: String,
    /// The cases in their order.
    pub results: Vec<CaseResult>,
}

impl Report {
    /// Whether no case that binds has failed, and every case was answered.
    #[must_use]
    pub fn conforms(&self) -> bool {
        !self.results.iter().any(|result| result.is_fatal(self.profile))
    }
}

/// Tries a server. `told` is called with each result as it comes.
///
/// # Errors
/// [`Stop`] where nothing could be tried at all.
pub fn run(settings: &Settings, mut told: impl FnMut(&CaseResult)) -> Result<Report, Stop> {
    let cases = settings.cases();
    if cases.is_empty() {
        return Err(Stop::NoCase { profile: settings.profile });
    }
    let connector =
        Connector::new(settings.origin.clone(), settings.timeout).map_err(Stop::wire)?;
    let mut server = Server {
        connector,
        profile: settings.profile,
        base: settings.base.clone(),
        credentials: settings.credentials.clone(),
        fields: settings.fields.clone(),
        condition: settings.profile.condition(),
    };
    let offers = Offers::probe(&mut server)?;
    let mut results = Vec::with_capacity(cases.len());
    for case in cases {
        let since = Instant::now();
        let outcome: Outcome = execute(&server, &offers, &case);
        let result = CaseResult { case, outcome, seconds: since.elapsed().as_secs_f64() };
        told(&result);
        results.push(result);
    }
    let scheme = if settings.origin.tls { "https" } else { "http" };
    let url = format!("{scheme}://{}{}", settings.origin.authority(), settings.base);
    Ok(Report { profile: settings.profile, url, results })
}

/// A name that nobody else has.
pub(crate) fn name() -> String {
    format!("conformance-{:016x}", fastrand::u64(..))
}
