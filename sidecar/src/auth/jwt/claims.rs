//! What a token claims (RFC 7519 §4), and whether that holds now.

use serde::Deserialize;
use serde_json::value::RawValue;
use stowage_config::TokenGrant;

use super::compact::{Kind, object, present};
use super::key_set::Payload;
use super::{InvalidJwt, JwtRules};

/// The most bytes of a subject in a log.
const NAME_BYTES_MAX: usize = 128;

/// The claims of a token whose signature has checked out.
#[derive(Debug, PartialEq)]
pub(crate) struct Claims {
    issuer: Option<String>,
    audiences: Vec<String>,
    /// In seconds since 1970, as the two below.
    expires_at: Option<f64>,
    not_before: Option<f64>,
    subject: Option<String>,
    grant: Option<TokenGrant>,
    name: String,
}

#[derive(Deserialize)]
struct Fields {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<OneOrMany>,
    exp: Option<f64>,
    nbf: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    stowage: Option<Box<RawValue>>,
}

/// RFC 7519 §4.1.3.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Payload for Claims {
    const KIND: Kind = Kind::Access;

    fn parse(json: &[u8]) -> Result<Self, InvalidJwt> {
        Self::parse(json)
    }
}

impl Claims {
    /// Reads the claims; others than those that count here are ignored (RFC 7519 §4).
    ///
    /// # Errors
    /// [`InvalidJwt::Claims`], [`InvalidJwt::Grant`].
    pub(super) fn parse(json: &[u8]) -> Result<Self, InvalidJwt> {
        let fields: Fields = object(json).ok_or(InvalidJwt::Claims)?;
        let grant = match fields.stowage {
            None => None,
            Some(grant) => Some(object(grant.get().as_bytes()).ok_or(InvalidJwt::Grant)?),
        };
        Ok(Self {
            issuer: fields.iss,
            audiences: match fields.aud {
                None => Vec::new(),
                Some(OneOrMany::One(audience)) => vec![audience],
                Some(OneOrMany::Many(audiences)) => audiences,
            },
            expires_at: fields.exp,
            not_before: fields.nbf,
            name: name(fields.sub.as_deref()),
            // One that says nobody is not one user's: many may have it.
            subject: fields.sub.filter(|subject| !subject.is_empty()),
            grant,
        })
    }

    /// Whether they hold at a time, in seconds since 1970.
    ///
    /// # Errors
    /// [`InvalidJwt`] says which does not.
    pub(super) fn check(&self, rules: &JwtRules, now: f64) -> Result<(), InvalidJwt> {
        let skew = rules.clock_skew.as_secs_f64();
        if self.issuer.as_ref() != Some(&rules.issuer) {
            return Err(InvalidJwt::Issuer);
        }
        if !self.audiences.iter().any(|audience| rules.audiences.contains(audience)) {
            return Err(InvalidJwt::Audience);
        }
        let expires_at = self.expires_at.ok_or(InvalidJwt::NoExpiry)?;
        if now >= expires_at + skew {
            return Err(InvalidJwt::Expired);
        }
        if self.not_before.is_some_and(|not_before| now + skew < not_before) {
            return Err(InvalidJwt::NotYet);
        }
        Ok(())
    }

    /// Whose token it is; an issuer need not say.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// What it allows by itself.
    pub(crate) fn grant(&self) -> Option<&TokenGrant> {
        self.grant.as_ref()
    }

    /// What logs call its holder.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// A subject can be anything: what would forge a line of a log, or turn it around, is left out.
fn name(subject: Option<&str>) -> String {
    let mut name = String::from("jwt:");
    let shown = |char: &char| {
        !char.is_control()
            && !matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    for char in subject.unwrap_or_default().chars().filter(shown) {
        if name.len() + char.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        name.push(char);
    }
    name
}
