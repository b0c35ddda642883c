//! CORS (the Fetch standard): what a browser is told about another origin's request.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::settings::{AllowedOrigins, OriginRule};

const ALLOWED_HEADERS: &str = "Authorization, If-Match, If-None-Match, Content-Type, Prefer, \
                               X-Thesara-App-Id, X-Thesara-Scope, X-Thesara-Room-Token";
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("ETag, X-Storage-Backend, Location, Retry-After");
/// What only some answers have, and a page cannot do without where it is; in the spelling of HTTP/2.
const EXPOSED_WHERE_SENT: [&str; 4] =
    ["link", "x-stowage-continue", "x-stowage-revision", "preference-applied"];
/// How long a browser may remember a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// The most bytes of further header names that a preflight is granted.
const NAMED_BYTES_MAX: usize = 4096;

/// What a request says about where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// What is answered as the allowed origin, where it is allowed.
    allowed: Option<(HeaderValue, OriginRule)>,
    /// The header names that a preflight asks for; `None` where the request is no preflight.
    preflight: Option<Vec<HeaderName>>,
}

impl Origin {
    /// Reads a request's method and headers.
    pub(crate) fn of(method: &Method, headers: &HeaderMap, origins: &AllowedOrigins) -> Self {
        let mut lines = headers.get_all(ORIGIN).iter();
        let origin = match (lines.next(), lines.next()) {
            (Some(origin), None) => Some(origin),
            _ => None,
        };
        let allowed = origin.and_then(|origin| match origins.rule(origin.to_str().ok()?)? {
            rule @ OriginRule::Named => Some((origin.clone(), rule)),
            rule @ OriginRule::Any => Some((HeaderValue::from_static("*"), rule)),
        });
        let preflight = (method == Method::OPTIONS
            && origin.is_some()
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD))
        .then(|| requested_headers(headers));
        Self { allowed, preflight }
    }

    /// Adds what the browser needs to an answer. A preflight is allowed the methods that the
    /// answer allows.
    pub(crate) fn decorate(&self, answer: &mut HeaderMap) {
        answer.append(VARY, HeaderValue::from_static("Origin, Accept-Encoding"));
        let Some((origin, rule)) = &self.allowed else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if *rule == OriginRule::Named {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let Some(requested) = &self.preflight else {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
            for name in EXPOSED_WHERE_SENT {
                if answer.contains_key(name) {
                    answer.append(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(name));
                }
            }
            return;
        };
        answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if let Some(methods) = answer.get(ALLOW).cloned() {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        let mut allowed = ALLOWED_HEADERS.to_owned();
        for name in requested {
            allowed.push_str(", ");
            allowed.push_str(name.as_str());
        }
        if let Ok(allowed) = HeaderValue::try_from(allowed) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
    }
}

/// The names that a preflight asks for beyond the fixed ones; what is not a header name is left
/// out, and so is what would make the answer's header too long.
fn requested_headers(headers: &HeaderMap) -> Vec<HeaderName> {
    let fixed = |name: &HeaderName| {
        ALLOWED_HEADERS.split(", ").any(|fixed| fixed.eq_ignore_ascii_case(name.as_str()))
    };
    let mut names: Vec<HeaderName> = Vec::new();
    let mut bytes = 0;
    for line in headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        for name in line.as_bytes().split(|b| *b == b',') {
            let Ok(name) = HeaderName::from_bytes(name.trim_ascii()) else { continue };
            bytes += name.as_str().len() + 2;
            if bytes > NAMED_BYTES_MAX {
                return names;
            }
            if !fixed(&name) && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}
