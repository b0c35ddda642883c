//! Whom a server knows, and the identity that a header stands for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::jwt::{Claims, InvalidJwt, JwtRules, Kind, NamespaceRules, RemoteKeys, Unknown};
use sha2::{Digest, Sha256};
use stowage_config::{Anonymous, Token, TokenGrant};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Who holds a token that the server itself grants rights to, by its name.
#[derive(Debug)]
pub(crate) struct Holder {
    name: String,
    grant: TokenGrant,
}

impl Holder {
    /// A holder of this name, and what the token allows.
    pub(crate) fn new(name: String, grant: TokenGrant) -> Self {
        Self { name, grant }
    }

    /// The name under which logs speak of it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the token allows.
    pub(crate) fn grant(&self) -> &TokenGrant {
        &self.grant
    }
}

/// A static token. The secret itself is not kept: its digest is enough to know it again.
#[derive(Clone)]
pub(crate) struct StaticToken {
    digest: [u8; 32],
    holder: Arc<Holder>,
}

impl fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticToken").field("name", &self.holder.name).finish_non_exhaustive()
    }
}

/// Whom a server knows.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    /// Nobody: every caller may do everything. Said on the command line in so many words.
    Everyone,
    /// Those who hold a token, and what the others may do.
    Tokens {
        /// Checked to have no two of the same value.
        tokens: Vec<StaticToken>,
        /// The tokens of StoreNamespaces that are taken, if any.
        namespaces: Option<Arc<NamespaceRules>>,
        /// The JWTs of an issuer of the user's that are taken, if any.
        jwt: Option<Arc<JwtRules>>,
        /// What no credentials allow.
        anonymous: Anonymous,
    },
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// Anyone, on a server that knows nobody.
    Everyone,
    /// The holder of a static token, or of one of a StoreNamespace.
    Token(Arc<Holder>),
    /// The holder of a JWT of the user's issuer, under the rules by which it was taken.
    Jwt(Arc<Claims>, Arc<JwtRules>),
    /// Nobody who said who they are, and what that allows.
    Anonymous(Anonymous),
    /// Someone whose credentials are no good; why, where it is a JWT.
    Invalid(Option<InvalidJwt>),
    /// Someone with a JWT, whose keys have not been fetched yet.
    Unverified,
    /// Someone whose credentials are not looked at for so long, because too many of their address were no
    /// good.
    HeldOff(Duration),
}

/// Whose requests are counted as one where their rate is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bucket<'a> {
    /// All those who do not say who they are.
    Unnamed,
    /// The holders of a token, by its name.
    Token(&'a str),
    /// The holders of JWTs, by their subject.
    Subject(Option<&'a str>),
}

impl Identity {
    /// With whose requests its own are counted.
    pub(crate) fn bucket(&self) -> Bucket<'_> {
        match self {
            Self::Token(token) => Bucket::Token(token.name()),
            Self::Jwt(claims, _) => Bucket::Subject(claims.subject()),
            Self::Everyone
            | Self::Anonymous(_)
            | Self::Invalid(_)
            | Self::Unverified
            | Self::HeldOff(_) => Bucket::Unnamed,
        }
    }

    /// Which user this is; a static token names none, nor does one of a StoreNamespace.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self {
            Self::Jwt(claims, _) => claims.subject(),
            _ => None,
        }
    }

    /// What the credentials allow; `None` where there are none.
    pub(crate) fn grant(&self) -> Option<&TokenGrant> {
        match self {
            Self::Token(token) => Some(token.grant()),
            Self::Jwt(claims, rules) => Some(claims.grant().unwrap_or(rules.grant())),
            _ => None,
        }
    }

    /// Whether newer keys might tell who it is.
    pub(crate) fn needs_keys(&self) -> bool {
        matches!(self, Self::Unverified | Self::Invalid(Some(InvalidJwt::UnknownKey)))
    }

    /// The name that logs give the sender.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Token(token) => token.name(),
            Self::Jwt(claims, _) => claims.name(),
            Self::Everyone | Self::Anonymous(_) => "anonymous",
            Self::Invalid(_) | Self::Unverified | Self::HeldOff(_) => "invalid",
        }
    }
}

impl Credentials {
    /// A table of tokens by name, and the JWTs that are taken beside them.
    pub(crate) fn tokens(
        tokens: Vec<(String, Token)>,
        namespaces: Option<NamespaceRules>,
        jwt: Option<JwtRules>,
        anonymous: Anonymous,
    ) -> Self {
        let known = |(name, token): (String, Token)| StaticToken {
            digest: digest(token.value.as_bytes()),
            holder: Arc::new(Holder::new(name, token.grant)),
        };
        Self::Tokens {
            tokens: tokens.into_iter().map(known).collect(),
            namespaces: namespaces.map(Arc::new),
            jwt: jwt.map(Arc::new),
            anonymous,
        }
    }

    /// Takes over which tokens were found to be signed, where the keys that signed them still count.
    /// What they allow is asked anew all the same.
    pub(crate) fn learn_from(&self, before: &Self) {
        let (
            Self::Tokens { namespaces, jwt, .. },
            Self::Tokens { namespaces: namespaces_before, jwt: jwt_before, .. },
        ) = (self, before)
        else {
            return;
        };
        if let (Some(rules), Some(before)) = (namespaces, namespaces_before) {
            rules.learn_from(before);
        }
        if let (Some(rules), Some(before)) = (jwt, jwt_before) {
            rules.learn_from(before);
        }
    }

    /// Which JWTs of the user's issuer are taken.
    pub(crate) fn jwt(&self) -> Option<&JwtRules> {
        match self {
            Self::Everyone => None,
            Self::Tokens { jwt, .. } => jwt.as_deref(),
        }
    }

    /// Whether it takes no signature to tell who an `Authorization` value stands for, and it is somebody.
    pub(crate) fn knows(&self, authorization: &[u8], remote: &RemoteKeys) -> bool {
        let Self::Tokens { tokens, namespaces, jwt, .. } = self else { return true };
        let Some(digest) = bearer(authorization).map(digest) else { return false };
        find(tokens, &digest).is_some()
            || namespaces.as_ref().is_some_and(|rules| rules.knows(&digest))
            || jwt.as_ref().is_some_and(|rules| rules.knows(&digest, remote))
    }

    /// Who an `Authorization` value stands for; `None` where the request has none.
    pub(crate) fn identify(&self, authorization: Option<&[u8]>, remote: &RemoteKeys) -> Identity {
        let (tokens, namespaces, jwt, anonymous) = match self {
            Self::Everyone => return Identity::Everyone,
            Self::Tokens { tokens, namespaces, jwt, anonymous } => {
                (tokens, namespaces, jwt, *anonymous)
            }
        };
        let Some(value) = authorization else { return Identity::Anonymous(anonymous) };
        let Some(secret) = bearer(value) else { return Identity::Invalid(None) };
        let digest = digest(secret);
        if let Some(holder) = find(tokens, &digest) {
            return Identity::Token(Arc::clone(holder));
        }
        // A static token that was mistyped is told as one: it has no dots, most of the time.
        if !secret.contains(&b'.') {
            return Identity::Invalid(None);
        }
        if let Some(rules) =
            namespaces.as_ref().filter(|_| Kind::of(secret) == Some(Kind::Namespace))
        {
            return match rules.verify(secret, digest) {
                Ok(holder) => Identity::Token(holder),
                Err(reason) => Identity::Invalid(Some(reason)),
            };
        }
        let Some(rules) = jwt else { return Identity::Invalid(None) };
        match rules.verify(secret, digest, remote) {
            Ok(claims) => Identity::Jwt(claims, Arc::clone(rules)),
            Err(Unknown::Invalid(reason)) => Identity::Invalid(Some(reason)),
            Err(Unknown::NoKeys) => Identity::Unverified,
        }
    }
}

/// The token of a `Bearer` value (RFC 6750 §2.1); the scheme's case does not matter.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let end = value.iter().position(|b| *b == b' ')?;
    let (scheme, rest) = value.split_at_checked(end)?;
    let secret = rest.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer") && !secret.is_empty()).then_some(secret)
}

/// Looks at every token, whichever it is, so that the time says nothing about how close a guess
/// came or where in the table it stands.
fn find<'a>(tokens: &'a [StaticToken], digest: &[u8; 32]) -> Option<&'a Arc<Holder>> {
    let mut found = 0u32;
    for (position, token) in (1u32..).zip(tokens) {
        let same: Choice = token.digest.ct_eq(digest);
        found.conditional_assign(&position, same);
    }
    tokens.get((found as usize).checked_sub(1)?).map(|token| &token.holder)
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Credentials {
        let token = |name: &str, value: &str| {
            (name.to_owned(), Token { value: value.to_owned(), grant: TokenGrant::default() })
        };
        Credentials::tokens(
            vec![token("first", "first-0123456789abc"), token("last", "last-0123456789abcd")],
            None,
            None,
            Anonymous::Read,
        )
    }

    #[test]
    fn a_header_stands_for_one_token_or_nobody() {
        let table: &[(Option<&str>, Result<&str, bool>)] = &[
            (Some("Bearer first-0123456789abc"), Ok("first")),
            (Some("bearer last-0123456789abcd"), Ok("last")),
            (Some("BEARER   last-0123456789abcd "), Ok("last")),
            (None, Err(true)),
            (Some(""), Err(false)),
            (Some("Bearer"), Err(false)),
            (Some("Bearer "), Err(false)),
            (Some("Bearer first-0123456789ab"), Err(false)),
            (Some("Bearer first-0123456789abcd"), Err(false)),
            (Some("Basic first-0123456789abc"), Err(false)),
            (Some("first-0123456789abc"), Err(false)),
        ];
        let credentials = self::table();
        for (header, expected) in table {
            let got = credentials.identify(header.map(str::as_bytes), &RemoteKeys::new());
            let got = match &got {
                Identity::Token(token) => Ok(token.name()),
                Identity::Anonymous(_) => Err(true),
                _ => Err(false),
            };
            assert_eq!(&got, expected, "{header:?}");
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let text = format!("{:?}", table());
        assert!(text.contains("first") && !text.contains("0123456789"), "{text}");
    }
}
