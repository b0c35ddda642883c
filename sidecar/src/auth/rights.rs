//! Whether an identity may do what a request demands: one pure function.

use std::time::Duration;

use stowage_config::{Access, Anonymous, Contract};

use super::{Identity, InvalidJwt};

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// GET and HEAD.
    Read,
    /// Everything else.
    Write,
}

/// Which part of a contract a request touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// A KV namespace, a run-store name (`/` is the default document), a repository id or a site.
    Namespace(&'a str),
    /// A listing, which shows only what the caller may see.
    Listing,
}

/// What a request demands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand<'a> {
    /// Of which contract.
    pub(crate) contract: Contract,
    /// Which part.
    pub(crate) scope: Scope<'a>,
    /// To do what.
    pub(crate) right: Right,
}

/// Why a request is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Credentials are needed: 401.
    Unauthenticated,
    /// The credentials are no good: 401; why, where they are a JWT.
    Invalid(Option<InvalidJwt>),
    /// Whether the credentials are good cannot be told yet: 503.
    Unverified,
    /// The credentials were not looked at, and are not for so long: 429.
    HeldOff(Duration),
    /// The credentials are good, but not for this: 403.
    Forbidden,
}

/// Refuses whose credentials tell nobody, whatever they want to do.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::Unverified`], [`Refusal::HeldOff`].
pub(crate) fn known(identity: &Identity) -> Result<(), Refusal> {
    match identity {
        Identity::Invalid(reason) => Err(Refusal::Invalid(*reason)),
        Identity::Unverified => Err(Refusal::Unverified),
        Identity::HeldOff(wait) => Err(Refusal::HeldOff(*wait)),
        Identity::Everyone | Identity::Anonymous(_) | Identity::Token(_) | Identity::Jwt(..) => {
            Ok(())
        }
    }
}

/// Decides whether an identity may do what is demanded.
///
/// # Errors
/// [`Refusal`] where it may not.
pub(crate) fn authorize(identity: &Identity, demand: Demand<'_>) -> Result<(), Refusal> {
    known(identity)?;
    let Some(grant) = identity.grant() else {
        return match identity {
            Identity::Everyone => Ok(()),
            Identity::Anonymous(Anonymous::Read) if demand.right == Right::Read => Ok(()),
            _ => Err(Refusal::Unauthenticated),
        };
    };
    let contract = grant.contracts.as_ref().is_none_or(|all| all.contains(&demand.contract));
    let namespace = match (demand.scope, &grant.namespaces) {
        (Scope::Listing, _) | (_, None) => true,
        (Scope::Namespace(name), Some(names)) => names.iter().any(|n| n == name),
    };
    let access = demand.right == Right::Read || grant.access == Access::ReadWrite;
    if contract && namespace && access { Ok(()) } else { Err(Refusal::Forbidden) }
}

#[cfg(test)]
mod tests {
    use stowage_config::{Token, TokenGrant};

    use super::*;
    use crate::auth::{Credentials, RemoteKeys};

    fn holder(grant: TokenGrant) -> Identity {
        let token = Token { value: "t-0123456789abcdef".into(), grant };
        Credentials::tokens(vec![("t".into(), token)], None, None, Anonymous::None)
            .identify(Some(b"Bearer t-0123456789abcdef"), &RemoteKeys::new())
    }

    #[test]
    fn a_grant_is_limited_by_contract_namespace_and_access() {
        let all = || holder(TokenGrant::default());
        let reader = || {
            holder(TokenGrant {
                contracts: Some(vec![Contract::Kv, Contract::RunStore]),
                namespaces: Some(vec!["cart".into(), "/".into()]),
                access: Access::Read,
            })
        };
        let nobody = || Identity::Anonymous(Anonymous::None);
        let anyone = || Identity::Anonymous(Anonymous::Read);
        let cart = Scope::Namespace("cart");
        let (kv, runtimes) = (Contract::Kv, Contract::Runtimes);
        let unknown = Err(Refusal::Unauthenticated);
        let forbidden = Err(Refusal::Forbidden);
        let table = [
            (all(), kv, cart, Right::Write, Ok(())),
            (all(), runtimes, Scope::Listing, Right::Read, Ok(())),
            (reader(), kv, cart, Right::Read, Ok(())),
            (reader(), kv, cart, Right::Write, forbidden),
            (reader(), kv, Scope::Namespace("other"), Right::Read, forbidden),
            (reader(), Contract::RunStore, Scope::Namespace("/"), Right::Read, Ok(())),
            (reader(), Contract::RunStore, Scope::Namespace("x"), Right::Read, forbidden),
            (reader(), runtimes, Scope::Listing, Right::Read, forbidden),
            (nobody(), kv, cart, Right::Read, unknown),
            (anyone(), kv, cart, Right::Read, Ok(())),
            (anyone(), kv, cart, Right::Write, unknown),
            (Identity::Invalid(None), kv, cart, Right::Read, Err(Refusal::Invalid(None))),
            (Identity::Unverified, kv, cart, Right::Read, Err(Refusal::Unverified)),
            (Identity::Everyone, kv, cart, Right::Write, Ok(())),
        ];
        for (identity, contract, scope, right, expected) in table {
            let got = authorize(&identity, Demand { contract, scope, right });
            assert_eq!(got, expected, "{identity:?} {contract:?} {scope:?} {right:?}");
        }
    }
}
