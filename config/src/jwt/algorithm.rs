//! The algorithms of signatures that are taken (RFC 7518 §3.1, RFC 8037 §3.1).

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// A hash keyed with a shared secret.
    Hmac(Hash),
    /// RSA as of PKCS #1 v1.5.
    Rsa(Hash),
    /// RSA with random padding.
    RsaPss(Hash),
    /// The curve P-256 with SHA-256.
    Es256,
    /// The curve P-384 with SHA-384.
    Es384,
    /// The curve Edwards25519.
    Ed25519,
}

/// The hash within an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// 256 bits.
    Sha256,
    /// 384 bits.
    Sha384,
    /// 512 bits.
    Sha512,
}

impl Hash {
    /// How long it is, in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Algorithm {
    /// The algorithm of a name; `none` is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hmac(Hash::Sha256),
            "HS384" => Self::Hmac(Hash::Sha384),
            "HS512" => Self::Hmac(Hash::Sha512),
            "RS256" => Self::Rsa(Hash::Sha256),
            "RS384" => Self::Rsa(Hash::Sha384),
            "RS512" => Self::Rsa(Hash::Sha512),
            "PS256" => Self::RsaPss(Hash::Sha256),
            "PS384" => Self::RsaPss(Hash::Sha384),
            "PS512" => Self::RsaPss(Hash::Sha512),
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            // The second name is that of RFC 9864.
            "EdDSA" | "Ed25519" => Self::Ed25519,
            _ => return None,
        })
    }
}
