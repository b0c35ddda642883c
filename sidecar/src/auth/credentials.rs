//! The table of static tokens, and the identity that a header stands for.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use stowage_config::{Anonymous, Token, TokenGrant};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// A token by its name. The secret itself is not kept: its digest is enough to know it again.
pub(crate) struct NamedToken {
    name: String,
    digest: [u8; 32],
    grant: TokenGrant,
}

impl NamedToken {
    /// The name under which logs speak of it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it allows.
    pub(crate) fn grant(&self) -> &TokenGrant {
        &self.grant
    }
}

impl fmt::Debug for NamedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedToken").field("name", &self.name).finish_non_exhaustive()
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
        tokens: Vec<Arc<NamedToken>>,
        /// What no credentials allow.
        anonymous: Anonymous,
    },
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// Anyone, on a server that knows nobody.
    Everyone,
    /// The holder of a token.
    Token(Arc<NamedToken>),
    /// Nobody who said who they are, and what that allows.
    Anonymous(Anonymous),
    /// Someone whose credentials are no good.
    Invalid,
}

impl Identity {
    /// The name that logs give the sender.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Token(token) => token.name(),
            Self::Everyone | Self::Anonymous(_) => "anonymous",
            Self::Invalid => "invalid",
        }
    }
}

impl Credentials {
    /// A table of tokens by name.
    pub(crate) fn tokens(tokens: Vec<(String, Token)>, anonymous: Anonymous) -> Self {
        let named = |(name, token): (String, Token)| {
            Arc::new(NamedToken {
                name,
                digest: digest(token.value.as_bytes()),
                grant: token.grant,
            })
        };
        Self::Tokens { tokens: tokens.into_iter().map(named).collect(), anonymous }
    }

    /// Who an `Authorization` value stands for; `None` where the request has none.
    pub(crate) fn identify(&self, authorization: Option<&[u8]>) -> Identity {
        let (tokens, anonymous) = match self {
            Self::Everyone => return Identity::Everyone,
            Self::Tokens { tokens, anonymous } => (tokens, *anonymous),
        };
        let Some(value) = authorization else { return Identity::Anonymous(anonymous) };
        let Some(secret) = bearer(value) else { return Identity::Invalid };
        match find(tokens, secret) {
            Some(token) => Identity::Token(Arc::clone(token)),
            None => Identity::Invalid,
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
fn find<'a>(tokens: &'a [Arc<NamedToken>], secret: &[u8]) -> Option<&'a Arc<NamedToken>> {
    let digest = digest(secret);
    let mut found = 0u32;
    for (position, token) in (1u32..).zip(tokens) {
        let same: Choice = token.digest.ct_eq(&digest);
        found.conditional_assign(&position, same);
    }
    tokens.get((found as usize).checked_sub(1)?)
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
            let got = credentials.identify(header.map(str::as_bytes));
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
