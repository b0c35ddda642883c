//! Who calls, and what they may do. Nothing here knows HTTP beyond one header's value.

mod credentials;
mod jwt;
mod rights;

pub(crate) use credentials::{Bucket, Credentials, Holder, Identity};
#[cfg(any(test, fuzzing))]
pub(crate) use jwt::fuzzing;
pub(crate) use jwt::{InvalidJwt, JwtRules, NamespaceRules, RemoteKeys, keep_fresh};
pub(crate) use rights::{Demand, Refusal, Right, Scope, authorize, known};
