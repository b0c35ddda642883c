//! Tokens of a Store, and credentials of a source.

use crate::support::{SOURCE, STORE, directory, expect, problems_of};

fn tokens(secret: &str) -> String {
    format!(
        "{STORE}  auth: {{tokensSecretRef: {{name: tokens}}}}\n---\napiVersion: v1\nkind: Secret\n\
         metadata: {{name: tokens}}\n{secret}"
    )
}

#[test]
fn tokens_are_there_and_can_be_used() {
    let at_store = "6:28: spec.auth.tokensSecretRef.name";
    expect(
        "no Secret",
        &format!("{STORE}  auth: {{tokensSecretRef: {{name: tokens}}}}\n"),
        &[(at_store, "there is no Secret tokens in the namespace default: add it to the")],
    );
    expect(
        "an empty Secret",
        &tokens(""),
        &[(at_store, "holds no token: add one, as NAME: TOKEN")],
    );
    expect(
        "values that are no tokens",
        &tokens(
            "stringData:\n  a: ''\n  b: short\n  c: has a space in its middle\n  \
             d: '{\"token\": \"0123456789abcdef\", \"right\": 1}'\n  e: good-0123456789abcdef\n\
             data: {f: //79, g: '?'}\n",
        ),
        &[
            ("12:3: stringData.a", "this token cannot be used: it is empty"),
            ("13:3: stringData.b", "this token cannot be used: it is shorter than 16"),
            ("14:3: stringData.c", "this token cannot be used: it holds white space"),
            ("15:3: stringData.d", "an unknown member or a wrong type"),
            ("17:8: data.f", "this token cannot be used: it is not text"),
            ("17:17: data.g", "it is not base64: encode it, or move it to stringData"),
        ],
    );
    expect(
        "one token under two names",
        &tokens(
            "stringData:\n  a: good-0123456789abcdef\n  \
             b.c: '{\"token\": \"good-0123456789abcdef\", \"access\": \"read\"}'\n",
        ),
        &[("13:3: stringData[b.c]", "it is the same token as a: give each one of its own")],
    );
    expect(
        "values and keys that a Secret does not take",
        &tokens("stringData: {a: 0123456789012345, b: {c: d}, 'e/f': g}\n"),
        &[
            ("11:17: Kubernetes reads this number in another base", "put it in quotes"),
            ("11:35: stringData.b", "here stands a mapping, and a text is expected"),
        ],
    );
    expect(
        "a key that is none",
        &tokens("stringData: {a: good-0123456789abcdef, 'e/f': g}\n"),
        &[("11:40: stringData[e/f]", "a key holds only letters, digits, -, _ and .")],
    );
}

#[test]
fn what_goes_with_a_collector_is_there() {
    let traced = |secret: &str| {
        format!(
            "{STORE}  tracing:\n    otlp: {{endpoint: https://c, caSecretRef: {{name: ca}}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: {secret}}}\nstringData: {{a: b}}\n"
        )
    };
    expect(
        "no Secret",
        &traced("other"),
        &[("7:47: spec.tracing.otlp.caSecretRef.name", "there is no Secret ca")],
    );
    expect(
        "no such key",
        &traced("ca"),
        &[(
            "7:33: spec.tracing.otlp.caSecretRef.key",
            "has no key ca.crt: add it, or name another",
        )],
    );
}

#[test]
fn keys_of_jwts_are_there_and_can_be_used() {
    let jwt = |keys: &str, secret: &str| {
        format!(
            "{STORE}  auth:\n    jwt: {{issuer: i, audiences: [a], {keys}}}\n---\napiVersion: v1\n\
             kind: Secret\nmetadata: {{name: keys}}\n{secret}"
        )
    };
    let by_set = "jwksSecretRef: {name: keys}";
    expect(
        "no Secret",
        &jwt("jwksSecretRef: {name: other}", "stringData: {}\n"),
        &[("7:54: spec.auth.jwt.jwksSecretRef.name", "there is no Secret other")],
    );
    expect(
        "no such key",
        &jwt(by_set, "stringData: {keys.json: '{}'}\n"),
        &[("7:38: spec.auth.jwt.jwksSecretRef", "has no key jwks.json: add it, or name another")],
    );
    expect(
        "no set of keys",
        &jwt(by_set, "stringData: {jwks.json: '{}'}\n"),
        &[(
            "12:14: stringData[jwks.json]",
            "JWTs cannot be checked with this: it is not a JWK Set",
        )],
    );
    expect(
        "a secret that could be guessed",
        &jwt("hmacSecretRef: {name: keys, key: k}", "stringData: {k: hunter2}\n"),
        &[("12:14: stringData.k", "the secret has less than 32 bytes")],
    );
    expect(
        "two places",
        &jwt("jwksSecretRef: {name: keys}, jwksUri: 'https://i/k'", "stringData: {}\n"),
        &[("7:5: spec.auth.jwt", "come from exactly one of")],
    );
}

#[test]
fn no_problem_says_what_a_secret_holds() {
    let directory = directory(&[(
        "a.yaml",
        &tokens(
            "stringData:\n  a: hunter2\n  b: {hunter2: x}\n  'hunter 3': hunter2\n\
             data: {c: hunter2!}\nhunter2: 1\n",
        ),
    )]);
    let found = problems_of(&directory, &[directory.path().to_owned()]).join("\n");
    assert!(found.contains("stringData.b"), "{found}");
    for line in found.lines() {
        let message = line.splitn(3, ": ").nth(2).unwrap_or_default();
        assert!(!message.contains("hunter2"), "{line}");
    }
}

#[test]
fn credentials_of_a_source_fit_its_url() {
    let source = |url: &str, keys: &str| {
        format!(
            "{STORE}{}  auth: {{secretRef: {{name: git}}}}\n---\napiVersion: v1\nkind: Secret\n\
             metadata: {{name: git}}\nstringData: {{{keys}}}\n",
            SOURCE.replace("https://git.example/etl.git", url)
        )
    };
    let (https, ssh) = ("https://git.example/etl.git", "git@git.example:etl.git");
    let place = "14:22: spec.auth.secretRef.name";
    for (url, keys) in [
        (https, "username: a, password: b"),
        (https, "bearerToken: a"),
        ("http://127.0.0.1/etl.git", "bearerToken: a"),
        (ssh, "ssh-privatekey: a, known_hosts: b"),
    ] {
        expect(&format!("{url} with {keys}"), &source(url, keys), &[]);
    }
    for (url, keys, message) in [
        (
            https,
            "",
            "lacks what this URL needs: add username and password (or a bearerToken alone)",
        ),
        (https, "password: a", "lacks what this URL needs: add username"),
        (https, "username: a, password: ''", "add password (or a bearerToken alone)"),
        (https, "bearerToken: a, username: b, password: c", "both a bearerToken and a password"),
        (ssh, "username: a, password: b", "add ssh-privatekey and known_hosts"),
        (ssh, "ssh-privatekey: a", "add known_hosts"),
    ] {
        expect(&format!("{url} with {keys}"), &source(url, keys), &[(place, message)]);
    }
    expect(
        "file:// with credentials",
        &source("file:///srv/etl.git", "bearerToken: a"),
        &[("14:3: spec.auth", "a file:// URL takes no credentials: take auth out")],
    );
    expect(
        "SSH without credentials",
        &format!("{STORE}{}", SOURCE.replace(https, ssh)),
        &[("12:3: spec.url", "SSH needs credentials: name a Secret with ssh-privatekey")],
    );
    expect(
        "no such Secret",
        &format!("{STORE}{SOURCE}  auth: {{secretRef: {{name: git}}}}\n"),
        &[(place, "there is no Secret git in the namespace default")],
    );
}
