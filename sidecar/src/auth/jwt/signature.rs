//! Signatures. A key of one kind never checks a signature of another: that is where "algorithm
//! confusion" comes from (RFC 8725 §2.1).

use ring::{hmac, signature};
use stowage_config::jwt::{Algorithm, Hash, Key, Material};

/// Whether a key has signed the message.
pub(super) fn has_signed(
    key: &Key,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let checked = match (key.material(), algorithm) {
        (Material::Secret(secret), Algorithm::Hmac(hash)) => {
            // Compares in constant time.
            hmac::verify(&hmac::Key::new(keyed(hash), secret), message, signature)
        }
        (Material::Rsa { n, e }, Algorithm::Rsa(hash)) => {
            let scheme = match hash {
                Hash::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                Hash::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                Hash::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            };
            signature::RsaPublicKeyComponents { n, e }.verify(scheme, message, signature)
        }
        (Material::Rsa { n, e }, Algorithm::RsaPss(hash)) => {
            let scheme = match hash {
                Hash::Sha256 => &signature::RSA_PSS_2048_8192_SHA256,
                Hash::Sha384 => &signature::RSA_PSS_2048_8192_SHA384,
                Hash::Sha512 => &signature::RSA_PSS_2048_8192_SHA512,
            };
            signature::RsaPublicKeyComponents { n, e }.verify(scheme, message, signature)
        }
        (Material::P256(point), Algorithm::Es256) => {
            unparsed(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
        }
        (Material::P384(point), Algorithm::Es384) => {
            unparsed(&signature::ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
        }
        (Material::Ed25519(key), Algorithm::Ed25519) => {
            unparsed(&signature::ED25519, key).verify(message, signature)
        }
        _ => return false,
    };
    checked.is_ok()
}

fn keyed(hash: Hash) -> hmac::Algorithm {
    match hash {
        Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha384 => hmac::HMAC_SHA384,
        Hash::Sha512 => hmac::HMAC_SHA512,
    }
}

fn unparsed<'a>(
    scheme: &'static dyn signature::VerificationAlgorithm,
    key: &'a [u8],
) -> signature::UnparsedPublicKey<&'a [u8]> {
    signature::UnparsedPublicKey::new(scheme, key)
}
