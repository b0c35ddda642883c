//! Published signatures, the forms that are refused, claims and their borders in time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stowage_config::jwt::{Algorithm, InvalidKeys, Key, read_jwks};
use stowage_config::{Access, Contract, Jwt, TokenGrant};

use super::compact::{Compact, TOKEN_BYTES_MAX};
use super::signature::has_signed;
use super::*;

pub(super) const SECRET: &[u8] = b"a-secret-of-the-test-of-at-least-thirty-two-bytes";
const NOW: f64 = 1_800_000_000.0;

/// The key of a set of one.
fn one_key(jwk: &Value) -> Key {
    let set = json!({"keys": [jwk]}).to_string();
    read_jwks(set.as_bytes()).expect("a key").remove(0)
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn token(header: &Value, claims: &Value) -> String {
    signed(&header.to_string(), &claims.to_string())
}

fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", encoded(tag))
}

/// A token that the secret has signed, and its digest.
pub(super) fn signed_token() -> (String, [u8; 32]) {
    let token = signed(r#"{"alg":"HS256"}"#, "{}");
    let digest = digest(&token);
    (token, digest)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn verified(keys: &KeySet, token: &str) -> Result<std::sync::Arc<Claims>, InvalidJwt> {
    keys.signed(token.as_bytes(), digest(token))
}

fn rules(keys: &[u8]) -> JwtRules {
    let config: Jwt = serde_json::from_value(json!({
        "issuer": "https://issuer", "audiences": ["stowage", "other"], "hmacSecretFile": "/s",
        "grant": {"access": "read"},
    }))
    .unwrap();
    JwtRules::new(&config, Some(keys)).unwrap()
}

/// RFC 7515 appendix A.2 and A.3, RFC 8037 appendix A.4.
#[test]
fn published_signatures_check_out_and_altered_ones_do_not() {
    const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rsa = json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
    let ec = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let ed =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let table = [
        (
            "RS256",
            rsa,
            format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}"),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "ES256",
            ec,
            format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            "EdDSA",
            ed,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    for (name, jwk, message, signature) in table {
        let algorithm = Algorithm::named(name).unwrap();
        let key = one_key(&jwk);
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let is_signed =
            |text: &str, signature: &[u8]| has_signed(&key, algorithm, text.as_bytes(), signature);
        assert!(is_signed(&message, &signature), "{name}");
        assert!(!is_signed(&message.replace('J', "K"), &signature), "{name}: another text");
        assert!(!is_signed(&message, &signature[..signature.len() - 1]), "{name}: cut");
        signature[10] ^= 1;
        assert!(!is_signed(&message, &signature), "{name}: another signature");
    }
}

/// RFC 7515 appendix A.1.
#[test]
fn the_published_hmac_checks_out() {
    let secret = URL_SAFE_NO_PAD
        .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        .unwrap();
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let token = format!("{message}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    // Not trimmed: a secret may be any bytes.
    let keys = KeySet::from_secret(&secret).unwrap();
    assert!(verified(&keys, &token).is_ok());
}

#[test]
fn forms_that_are_refused() {
    let keys = KeySet::from_secret(SECRET).unwrap();
    let claims = json!({"sub": "u"});
    let with = |name: &str, value: Value| {
        let mut header = json!({"alg": "HS256"});
        header[name] = value;
        token(&header, &claims)
    };
    let good = with("typ", json!("JWT"));
    let parts: Vec<&str> = good.split('.').collect();
    let (header, body, tag) = (parts[0], parts[1], parts[2]);
    let long = with("x", json!("a".repeat(TOKEN_BYTES_MAX)));
    let table = [
        ("a good one", good.clone(), None),
        ("another case of the type", with("typ", json!("application/AT+jwt")), None),
        ("a header that is not known", with("x", json!({"deep": []})), None),
        ("HMAC takes any key id", with("kid", json!("k")), None),
        ("two parts", format!("{header}.{body}"), Some(InvalidJwt::Malformed)),
        ("four parts", format!("{good}.{tag}"), Some(InvalidJwt::Malformed)),
        ("padding", format!("{good}="), Some(InvalidJwt::Malformed)),
        ("white space", format!("{header}. {body}.{tag}"), Some(InvalidJwt::Malformed)),
        ("another alphabet", format!("{header}.+/+/.{tag}"), Some(InvalidJwt::Malformed)),
        ("no header", format!(".{body}.{tag}"), Some(InvalidJwt::Malformed)),
        ("no signature", format!("{header}.{body}."), Some(InvalidJwt::Signature)),
        (
            "half of the signature",
            format!("{header}.{body}.{}", &tag[..20]),
            Some(InvalidJwt::Signature),
        ),
        ("none", with("alg", json!("none")), Some(InvalidJwt::Algorithm)),
        ("none in capitals", with("alg", json!("NONE")), Some(InvalidJwt::Algorithm)),
        ("an empty algorithm", with("alg", json!("")), Some(InvalidJwt::Algorithm)),
        ("an algorithm in small letters", with("alg", json!("hs256")), Some(InvalidJwt::Algorithm)),
        (
            "another one that its key is too short for",
            with("alg", json!("HS512")),
            Some(InvalidJwt::UnknownKey),
        ),
        ("one that is for other keys", with("alg", json!("RS256")), Some(InvalidJwt::UnknownKey)),
        (
            "an algorithm that is no text",
            with("alg", json!(["HS256"])),
            Some(InvalidJwt::Malformed),
        ),
        ("no algorithm", signed("{}", "{}"), Some(InvalidJwt::Malformed)),
        (
            "two algorithms",
            signed(r#"{"alg":"HS256","alg":"none"}"#, "{}"),
            Some(InvalidJwt::Malformed),
        ),
        (
            "an array for a header",
            signed(r#"["HS256",null,null,null]"#, "{}"),
            Some(InvalidJwt::Malformed),
        ),
        ("crit", with("crit", json!(["b64"])), Some(InvalidJwt::Critical)),
        ("an empty crit", with("crit", json!([])), Some(InvalidJwt::Critical)),
        ("no crit, said", with("crit", Value::Null), Some(InvalidJwt::Critical)),
        ("another type", with("typ", json!("logout+jwt")), Some(InvalidJwt::Type)),
        ("too large", long, Some(InvalidJwt::TooLarge)),
        (
            "claims that are no object",
            signed(r#"{"alg":"HS256"}"#, r#"["https://issuer"]"#),
            Some(InvalidJwt::Claims),
        ),
        ("claims that are no JSON", signed(r#"{"alg":"HS256"}"#, "iss"), Some(InvalidJwt::Claims)),
        (
            "two expiries",
            signed(r#"{"alg":"HS256"}"#, r#"{"exp":1,"exp":9e9}"#),
            Some(InvalidJwt::Claims),
        ),
        (
            "an expiry that is text",
            signed(r#"{"alg":"HS256"}"#, r#"{"exp":"9"}"#),
            Some(InvalidJwt::Claims),
        ),
    ];
    for (name, token, expected) in table {
        assert_eq!(verified(&keys, &token).err(), expected, "{name}");
    }
}

#[test]
fn claims_hold_by_issuer_audience_and_time() {
    let base = || json!({"iss": "https://issuer", "aud": "stowage", "exp": NOW + 10.0});
    let with = |name: &str, value: Value| {
        let mut claims = base();
        claims[name] = value;
        claims
    };
    let table = [
        (base(), None),
        (with("aud", json!(["nobody", "other"])), None),
        (with("aud", json!(["nobody"])), Some(InvalidJwt::Audience)),
        (with("aud", json!([])), Some(InvalidJwt::Audience)),
        (with("aud", Value::Null), Some(InvalidJwt::Audience)),
        (with("aud", json!("Stowage")), Some(InvalidJwt::Audience)),
        (with("iss", json!("https://issuer/")), Some(InvalidJwt::Issuer)),
        (with("iss", Value::Null), Some(InvalidJwt::Issuer)),
        (with("exp", Value::Null), Some(InvalidJwt::NoExpiry)),
        // The skew is a minute: it is over on its second (RFC 7519 §4.1.4).
        (with("exp", json!(NOW - 59.0)), None),
        (with("exp", json!(NOW - 59.5)), None),
        (with("exp", json!(NOW - 60.0)), Some(InvalidJwt::Expired)),
        (with("exp", json!(-1)), Some(InvalidJwt::Expired)),
        (with("nbf", json!(NOW + 60.0)), None),
        (with("nbf", json!(NOW + 60.5)), Some(InvalidJwt::NotYet)),
        (with("nbf", json!(NOW + 61.0)), Some(InvalidJwt::NotYet)),
        (with("nbf", json!(NOW)), None),
        (with("iat", json!(NOW + 1e6)), None),
    ];
    let rules = rules(SECRET);
    for (claims, expected) in table {
        let parsed = Claims::parse(claims.to_string().as_bytes()).unwrap();
        assert_eq!(parsed.check(&rules, NOW).err(), expected, "{claims}");
    }
}

#[test]
fn rights_are_those_of_the_claim_and_nothing_else_passes_for_one() {
    let grant = |stowage: &str| {
        let claims = format!(r#"{{"sub":"u","stowage":{stowage}}}"#);
        Claims::parse(claims.as_bytes()).map(|claims| claims.grant().cloned())
    };
    let limited = TokenGrant {
        contracts: Some(vec![Contract::Kv]),
        namespaces: Some(vec!["cart".into()]),
        access: Access::Read,
    };
    let text = r#"{"contracts":["kv"],"namespaces":["cart"],"access":"read"}"#;
    assert_eq!(grant(text), Ok(Some(limited)));
    assert_eq!(grant("{}"), Ok(Some(TokenGrant::default())));
    let malformed = [
        "null",
        "[]",
        r#"["kv"]"#,
        "true",
        r#""read""#,
        r#"{"access":"all"}"#,
        r#"{"contracts":"kv"}"#,
        r#"{"contracts":["queues"]}"#,
        r#"{"namespace":["cart"]}"#,
        r#"{"access":"read","access":"readWrite"}"#,
        r#"{"namespaces":[1]}"#,
    ];
    for text in malformed {
        assert_eq!(grant(text), Err(InvalidJwt::Grant), "{text}");
    }
    assert_eq!(Claims::parse(b"{}").map(|claims| claims.grant().cloned()), Ok(None));
}

#[test]
fn a_name_is_short_and_cannot_forge_a_line() {
    let long = "ü".repeat(100);
    let cut = format!("jwt:{}", "ü".repeat(62));
    let table = [
        ("user-1", "jwt:user-1"),
        ("a\nb\u{1b}[31m\u{7f}", "jwt:ab[31m"),
        ("a\u{202e}b\u{2028}c\u{200b}", "jwt:abc"),
        ("", "jwt:"),
        (long.as_str(), cut.as_str()),
    ];
    for (subject, name) in table {
        let claims = Claims::parse(json!({"sub": subject}).to_string().as_bytes()).unwrap();
        assert_eq!(claims.name(), name);
        let known = Some(subject).filter(|subject| !subject.is_empty());
        assert_eq!(claims.subject(), known, "it is known as a whole, where it names somebody");
    }
    assert_eq!(Claims::parse(b"{}").unwrap().subject(), None);
}

#[test]
fn a_token_is_verified_once_by_the_same_keys() {
    let keys = KeySet::from_secret(SECRET).unwrap();
    let good = token(&json!({"alg": "HS256"}), &json!({"sub": "u"}));
    let first = verified(&keys, &good).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &verified(&keys, &good).unwrap()), "kept");
    let others = KeySet::from_secret(&[b'x'; 40]).unwrap();
    assert_eq!(verified(&others, &good).err(), Some(InvalidJwt::Signature), "not by others");
}

#[test]
fn a_token_that_was_verified_still_expires() {
    let rules = rules(SECRET);
    let claims = json!({"iss": "https://issuer", "aud": "stowage", "exp": NOW});
    let parsed = Claims::parse(claims.to_string().as_bytes()).unwrap();
    assert_eq!(parsed.check(&rules, NOW), Ok(()));
    assert_eq!(parsed.check(&rules, NOW + 60.0), Err(InvalidJwt::Expired));
}

#[test]
fn keys_that_are_of_no_use_are_left_out() {
    let ed = |extra: Value| {
        let mut jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encoded([1; 32])});
        jwk.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        jwk
    };
    let rsa = |bytes: usize| json!({"kty": "RSA", "e": "AQAB", "n": encoded(vec![0xc3; bytes])});
    let point = |crv: &str, x: usize, y: usize| json!({"kty": "EC", "crv": crv, "x": encoded(vec![1; x]), "y": encoded(vec![1; y])});
    let table = [
        (ed(json!({})), true),
        (ed(json!({"use": "sig", "key_ops": ["verify"], "alg": "EdDSA", "x5c": ["…"]})), true),
        (ed(json!({"use": "enc"})), false),
        (ed(json!({"key_ops": ["encrypt"]})), false),
        (ed(json!({"alg": "RS256"})), false),
        (ed(json!({"alg": "HS256"})), false),
        (ed(json!({"alg": "unknown"})), false),
        (ed(json!({"d": encoded([1; 32])})), false),
        (ed(json!({"x": encoded([1; 31])})), false),
        (ed(json!({"crv": "X25519"})), false),
        (rsa(256), true),
        (rsa(255), false),
        (rsa(1025), false),
        (point("P-256", 32, 32), true),
        (point("P-256", 32, 31), false),
        (point("P-384", 48, 48), true),
        (point("P-384", 32, 32), false),
        (point("P-521", 66, 66), false),
        (json!({"kty": "oct", "k": encoded(SECRET)}), false),
        (json!("key"), false),
    ];
    for (jwk, is_taken) in table {
        let set = json!({"keys": [jwk]}).to_string();
        assert_eq!(KeySet::from_jwks(set.as_bytes()).is_ok(), is_taken, "{jwk}");
    }
    let beside = json!({"keys": [json!({"kty": "new"}), ed(json!({}))]}).to_string();
    assert!(KeySet::from_jwks(beside.as_bytes()).is_ok(), "others do no harm");
    let many = json!({"keys": vec![ed(json!({})); 101]}).to_string();
    assert_eq!(KeySet::from_jwks(many.as_bytes()).err(), Some(InvalidKeys::TooMany));
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":"#] {
        assert_eq!(KeySet::from_jwks(text.as_bytes()).err(), Some(InvalidKeys::NotASet), "{text}");
    }
    assert_eq!(KeySet::from_secret(b" short\n").err(), Some(InvalidKeys::Short));
}

#[test]
fn a_key_is_chosen_by_id_and_algorithm() {
    let key = |extra: Value| {
        let mut jwk = json!({"kty": "RSA", "e": "AQAB", "n": encoded(vec![0xc3; 256])});
        jwk.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        one_key(&jwk)
    };
    let table = [
        (json!({"kid": "a"}), "RS256", Some("a"), true),
        (json!({"kid": "a"}), "PS512", Some("a"), true),
        (json!({"kid": "a"}), "RS256", None, true),
        (json!({"kid": "a"}), "RS256", Some("A"), false),
        (json!({}), "RS256", Some("a"), false),
        (json!({}), "RS256", None, true),
        (json!({"kid": "a", "alg": "RS256"}), "RS256", Some("a"), true),
        (json!({"kid": "a", "alg": "RS256"}), "RS512", Some("a"), false),
        (json!({"kid": "a"}), "ES256", Some("a"), false),
        // The key's text as a secret: nobody but its owner knows a secret.
        (json!({"kid": "a"}), "HS256", Some("a"), false),
    ];
    for (extra, algorithm, id, expected) in table {
        let fits = key(extra.clone()).fits(Algorithm::named(algorithm).unwrap(), id);
        assert_eq!(fits, expected, "{extra} {algorithm} {id:?}");
    }
}

#[test]
fn debug_output_holds_no_secret() {
    let rules = rules(SECRET);
    let text = format!("{rules:?}");
    assert!(text.contains("issuer") && !text.contains("secret-of"), "{text}");
    assert!(!text.contains("[97, 45"), "{text}");
    let compact = token(&json!({"alg": "HS256"}), &json!({}));
    assert!(Compact::parse(compact.as_bytes()).is_ok());
}

#[test]
fn what_a_key_has_signed_is_known_as_long_as_the_key_is() {
    let signer = |seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let set = |keys: &[(&str, &Ed25519KeyPair)]| {
        let jwk = |(id, key): &(&str, &Ed25519KeyPair)| {
            let x = encoded(key.public_key());
            json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x})
        };
        let keys: Vec<_> = keys.iter().map(jwk).collect();
        KeySet::from_jwks(json!({"keys": keys}).to_string().as_bytes()).unwrap()
    };
    let (first, second) = (signer(1), signer(2));
    let token = |id: &str, key: &Ed25519KeyPair| {
        let header = json!({"alg": "EdDSA", "kid": id});
        let message = format!("{}.{}", encoded(header.to_string()), encoded("{}"));
        format!("{message}.{}", encoded(key.sign(message.as_bytes())))
    };
    let of_first = token("1", &first);
    let of_second = token("2", &second);
    let before = set(&[("1", &first), ("2", &second)]);
    for token in [&of_first, &of_second] {
        verified(&before, token).expect("it is signed");
    }
    let after = |keys: &[(&str, &Ed25519KeyPair)]| {
        let after = set(keys);
        after.learn_from(&before);
        [&of_first, &of_second].map(|token| after.knows(&digest(token)))
    };
    let third = signer(3);
    let table: [(&str, &[_], _); 5] = [
        ("the same keys", &[("1", &first), ("2", &second)], [true, true]),
        ("another order, and one more", &[("3", &third), ("2", &second), ("1", &first)], [true; 2]),
        ("the first is gone", &[("2", &second)], [false, true]),
        ("another has its id", &[("1", &third), ("2", &second)], [false, true]),
        ("it has another id", &[("4", &first), ("2", &second)], [false, true]),
    ];
    for (case, keys, expected) in table {
        assert_eq!(after(keys), expected, "{case}");
    }
}
