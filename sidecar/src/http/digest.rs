//! What a client says its body hashes to, and what it does hash to.
//!
//! `Content-Digest` (RFC 9530) and `Content-MD5` (RFC 1864) are about the bytes on the wire, before
//! anything is taken out of a JSON document. Whoever hashes while sending
//! has the digest only at the end: it may stand behind the body, in fields that `Trailer` announces
//! (RFC 9110 §6.6.2).

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::TRAILER;
use http::{HeaderMap, HeaderName};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

use super::problem::Problem;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// RFC 9651 §4.2.7: padding may be missing, and what it holds does not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Digests of a body, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Digests {
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
    md5: Option<[u8; 16]>,
}

impl Digests {
    /// Reads both fields. An algorithm that is not known is left out, as RFC 9530 §2 says.
    ///
    /// # Errors
    /// 400 where a field is there and is not as its RFC writes it.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut expected = Self::default();
        let lines: Vec<&[u8]> =
            headers.get_all(CONTENT_DIGEST).iter().map(|line| line.as_bytes()).collect();
        if !lines.is_empty() {
            expected.read_content_digest(&lines.join(&b","[..])).ok_or_else(|| {
                Problem::bad_request(
                    "invalid_header",
                    "Content-Digest must be a list of algorithm=:base64:, such as \
                     sha-256=:<base64 of 32 bytes>:",
                )
            })?;
        }
        let mut lines = headers.get_all(CONTENT_MD5).iter();
        if let Some(line) = lines.next() {
            let single = lines.next().is_none();
            let value = single.then(|| decode(line.as_bytes())).flatten().ok_or_else(|| {
                Problem::bad_request(
                    "invalid_header",
                    "Content-MD5 must be the base64 of the 16 bytes of one MD5 digest",
                )
            })?;
            expected.md5 = Some(value);
        }
        Ok(expected)
    }

    /// Refuses where what was found in a body is not what was expected of it.
    fn compare(&self, expected: &Self) -> Result<(), Problem> {
        let which = if differs(self.sha256, expected.sha256) {
            "sha-256 of Content-Digest"
        } else if differs(self.sha512, expected.sha512) {
            "sha-512 of Content-Digest"
        } else if differs(self.md5, expected.md5) {
            "Content-MD5"
        } else {
            return Ok(());
        };
        Err(Problem::bad_request(
            "digest_mismatch",
            format!(
                "the body is not the one that the {which} is of: it was changed on its way, or \
                 the digest is of something else; nothing was stored"
            ),
        ))
    }

    /// Refuses where a digest is expected by which nothing was hashed.
    fn require_all(&self, expected: &Self) -> Result<(), Problem> {
        let which = if expected.sha512.is_some() && self.sha512.is_none() {
            "Content-Digest with sha-512"
        } else if expected.md5.is_some() && self.md5.is_none() {
            "Content-MD5"
        } else {
            return Ok(());
        };
        Err(Problem::bad_request(
            "invalid_header",
            format!(
                "{which} came behind the body and was not announced, so it could not be checked, and nothing \
                 was stored: name the field in Trailer, or send sha-256"
            ),
        ))
    }

    /// A dictionary of byte sequences (RFC 9651 §3.2); of one key's values the last counts.
    fn read_content_digest(&mut self, value: &[u8]) -> Option<()> {
        for member in value.split(|b| *b == b',') {
            let member = member.trim_ascii();
            let (key, rest) = member.split_at_checked(member.iter().position(|b| *b == b'=')?)?;
            let rest = rest.strip_prefix(b"=:")?;
            let (bytes, after) = rest.split_at_checked(rest.iter().position(|b| *b == b':')?)?;
            // What follows are parameters, of which the RFC defines none.
            if !is_key(key) || !matches!(after, b":" | [b':', b';', ..]) {
                return None;
            }
            match key {
                b"sha-256" => self.sha256 = Some(decode(bytes)?),
                b"sha-512" => self.sha512 = Some(decode(bytes)?),
                _ => {}
            }
        }
        Some(())
    }
}

fn differs<const N: usize>(found: Option<[u8; N]>, expected: Option<[u8; N]>) -> bool {
    expected.is_some() && found != expected
}

/// RFC 9651 §3.1.2.
fn is_key(key: &[u8]) -> bool {
    let starts = |b: &u8| b.is_ascii_lowercase() || *b == b'*';
    let follows = |b: &u8| starts(b) || b.is_ascii_digit() || b"_-.".contains(b);
    key.first().is_some_and(starts) && key.iter().all(follows)
}

fn decode<const N: usize>(base64: &[u8]) -> Option<[u8; N]> {
    BASE64.decode(base64).ok()?.try_into().ok()
}

/// Hashes a body as it comes in: always with SHA-256, which the answer to an upload says, and with what
/// else the client wants compared.
pub(crate) struct Hashing {
    expected: Digests,
    sha256: Sha256,
    sha512: Option<Sha512>,
    md5: Option<Md5>,
}

impl Hashing {
    /// Starts with nothing hashed, by what a request's head says.
    ///
    /// # Errors
    /// As [`Digests::of`].
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let expected = Digests::of(headers)?;
        let is_announced = announces(headers);
        let sha512 = (is_announced || expected.sha512.is_some()).then(Sha512::new);
        let md5 = (is_announced || expected.md5.is_some()).then(Md5::new);
        Ok(Self { expected, sha256: Sha256::new(), sha512, md5 })
    }

    /// As [`Self::of`], where a digest is sent or announced; `None` where there is nothing to hash
    /// for.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn wanted(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        (is_sent(headers) || announces(headers)).then(|| Self::of(headers)).transpose()
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// The SHA-256. A digest in the trailers counts also where it was not announced, which nobody has to (RFC 9110
    /// §6.6.2).
    ///
    /// # Errors
    /// 400 where a digest is not the one that the client sent, or cannot be compared because the body was not hashed
    /// by it.
    pub(crate) fn verify(self, trailers: &HeaderMap) -> Result<[u8; 32], Problem> {
        let sha256: [u8; 32] = self.sha256.finalize().into();
        let found = Digests {
            sha256: Some(sha256),
            sha512: self.sha512.map(|hash| hash.finalize().into()),
            md5: self.md5.map(|hash| hash.finalize().into()),
        };
        found.compare(&self.expected)?;
        let behind = Digests::of(trailers)?;
        found.require_all(&behind)?;
        found.compare(&behind)?;
        Ok(sha256)
    }
}

/// Whether there is a field that holds a digest.
pub(crate) fn is_sent(fields: &HeaderMap) -> bool {
    fields.contains_key(CONTENT_DIGEST) || fields.contains_key(CONTENT_MD5)
}

/// Whether `Trailer` names a field that holds a digest.
fn announces(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(TRAILER).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|name| {
        let name = name.trim();
        [CONTENT_DIGEST, CONTENT_MD5].iter().any(|field| name.eq_ignore_ascii_case(field.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    // RFC 9530, Appendix B.1: {"hello": "world"} and a line feed.
    const BODY: &[u8] = b"{\"hello\": \"world\"}\n";
    const SHA256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const SHA512: &str = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCs\
                          yRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";
    const MD5: &str = "UFIauregE76D7gDe0/n0JA==";

    fn headers(digests: &[&str], md5: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in digests {
            headers.append(CONTENT_DIGEST, HeaderValue::from_str(line).unwrap());
        }
        for line in md5 {
            headers.append(CONTENT_MD5, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    fn verified(digests: &[&str], md5: &[&str], body: &[u8]) -> Result<[u8; 32], Problem> {
        let mut hashing = Hashing::of(&headers(digests, md5))?;
        let (start, end) = body.split_at(body.len() / 2);
        hashing.update(start);
        hashing.update(end);
        hashing.verify(&HeaderMap::new())
    }

    #[test]
    fn digests_of_the_body_are_taken_and_others_are_400() {
        let both = format!("{SHA256}, {SHA512}");
        let unpadded = SHA256.replace('=', "").replace("sha-256", "sha-256=");
        let table: &[(&[&str], &[&str])] = &[
            (&[], &[]),
            (&[SHA256], &[]),
            (&[SHA512], &[]),
            (&[&both], &[MD5]),
            (&[SHA256, SHA512], &[]),
            (&[&unpadded], &[]),
            (&["sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:;a=b"], &[]),
            (&[], &[MD5]),
        ];
        for (digests, md5) in table {
            let sha256 = verified(digests, md5, BODY).expect("the body's own digests");
            assert_eq!(sha256[..4], [0x44, 0xaf, 0xf4, 0xab], "{digests:?}");
            if !(digests.is_empty() && md5.is_empty()) {
                let problem = verified(digests, md5, b"another body").expect_err("other digests");
                assert_eq!(problem.status(), 400, "{digests:?} {md5:?}");
                assert!(problem.detail().contains("Content-"), "{}", problem.detail());
            }
        }
    }

    #[test]
    fn one_wrong_digest_among_right_ones_is_400() {
        let wrong = format!("{SHA256}, sha-512=:{}==:", "A".repeat(86));
        assert!(verified(&[&wrong], &[], BODY).is_err());
        assert!(verified(&[SHA256], &["1B2M2Y8AsgTpgAmY7PhCfg=="], BODY).is_err());
    }

    #[test]
    fn a_digest_behind_the_body_counts_where_it_was_announced() {
        let verified = |trailer: &'static str, digests: &[&str], body: &[u8]| {
            let mut head = HeaderMap::new();
            head.insert(TRAILER, HeaderValue::from_static(trailer));
            let mut hashing = Hashing::of(&head).expect("a head");
            hashing.update(body);
            hashing.verify(&headers(digests, &[])).is_ok()
        };
        for trailer in ["Content-Digest", "x, content-digest", "content-md5"] {
            for digest in [SHA256, SHA512] {
                assert!(verified(trailer, &[digest], BODY), "{trailer} {digest}");
                assert!(!verified(trailer, &[digest], b"other"), "{trailer} {digest}");
            }
            assert!(!verified(trailer, &["nonsense"], BODY), "{trailer}");
            assert!(verified(trailer, &[], BODY), "{trailer}, and none came");
        }
    }

    #[test]
    fn a_digest_behind_the_body_that_was_not_announced_is_compared_or_refused() {
        let sha1 = "sha=:AAAA:";
        let both = format!("{SHA256}, {SHA512}");
        // Content-Digest and Content-MD5 behind a body, and whether it is taken.
        type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a [u8], bool);
        let table: &[Row<'_>] = &[
            (&[], &[], BODY, true),
            (&[SHA256], &[], BODY, true),
            (&[SHA256], &[], b"other", false),
            (&[sha1], &[], b"other", true),
            // Nobody has hashed the body by these while it came.
            (&[SHA512], &[], BODY, false),
            (&[&both], &[], BODY, false),
            (&[], &[MD5], BODY, false),
            (&["nonsense"], &[], BODY, false),
        ];
        for (digests, md5, body, expected) in table {
            let mut hashing = Hashing::of(&HeaderMap::new()).expect("a head");
            hashing.update(body);
            let verified = hashing.verify(&headers(digests, md5));
            assert_eq!(verified.is_ok(), *expected, "{digests:?} {md5:?}: {verified:?}");
            if let Err(problem) = verified {
                assert_eq!(problem.status(), 400, "{digests:?} {md5:?}");
            }
        }
        // What was hashed for the head can be compared with the tail, too.
        let mut hashing = Hashing::of(&headers(&[SHA512], &[])).expect("a head");
        hashing.update(BODY);
        assert!(hashing.verify(&headers(&[SHA512], &[])).is_ok());
    }

    #[test]
    fn algorithms_that_are_not_known_are_left_out() {
        for digest in ["unixsum=:AAAA:", "md5=:AAAA:, sha=:AAAA:", "sha-384=::"] {
            let expected = Digests::of(&headers(&[digest], &[])).expect("well formed");
            assert_eq!(expected, Digests::default(), "{digest}");
        }
    }

    #[test]
    fn malformed_fields_are_400_and_named() {
        let table: &[(&[&str], &[&str])] = &[
            (&[""], &[]),
            (&["sha-256"], &[]),
            (&["sha-256="], &[]),
            (&["sha-256=RK/0"], &[]),
            (&["sha-256=:RK/0"], &[]),
            (&["sha-256=:RK/0:"], &[]),
            (&["sha-256=:not base64!:"], &[]),
            (&["sha-256=::"], &[]),
            (&["SHA-256=:AAAA:"], &[]),
            (&["sha-384=:AAAA:x"], &[]),
            (&["sha-384=:AAAA:,"], &[]),
            (&["=:AAAA:"], &[]),
            (&[], &["nonsense"]),
            (&[], &[""]),
            (&[], &["1B2M2Y8AsgTpgAmY7PhC"]),
            (&[], &[MD5, MD5]),
        ];
        for (digests, md5) in table {
            let problem = Digests::of(&headers(digests, md5)).expect_err("malformed");
            assert_eq!(problem.status(), 400, "{digests:?} {md5:?}");
            let field = if digests.is_empty() { "Content-MD5" } else { "Content-Digest" };
            assert!(problem.detail().contains(field), "{}", problem.detail());
        }
    }
}
