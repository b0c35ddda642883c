//! `stowage conformance` against `stowage up`: the server passes all of its own profiles, and what
//! does not apply to one is named here.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

use crate::support::{ADMIN, Place, Up, run, store};

/// A Store that the page of the suite may read, with further lines of its spec; its server, and a file
/// with its token.
async fn served(spec: &str) -> (Place, Up, PathBuf) {
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: tokens}}\nstringData:\n  admin: {ADMIN}\n"
    );
    let more = format!(
        "  auth: {{tokensSecretRef: {{name: tokens}}}}\n  cors: {{allowedOrigins: [\"https://conformance.example\"]}}\n{spec}"
    );
    let place = Place::new(&[("demo.yaml", &(secret + &store("demo", &more)))]);
    let up = place.ready(&["demo"]).await;
    let token = place.path("token");
    std::fs::write(&token, format!("{ADMIN}\n")).unwrap();
    (place, up, token)
}

/// Hundreds of cases, with races, each write synced: a machine under load takes its time.
const WHOLE_RUN: Duration = Duration::from_secs(300);

/// Runs the suite: exit code, standard output, standard error.
async fn whole_run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stowage"));
    command.arg("conformance").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(WHOLE_RUN, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{arguments:?}: no end")).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Every case of the profile passes but those that are named, which do not apply; `section/*` names a
/// whole section.
async fn passes(profile: &str, spec: &str, not_applicable: &[&str]) {
    let (place, up, token) = served(spec).await;
    let junit = place.path("junit.xml");
    let url = up.url("demo");
    let (code, stdout, stderr) = whole_run(&[
        "--url",
        &url,
        "--profile",
        profile,
        "--token-file",
        token.to_str().unwrap(),
        "--junit",
        junit.to_str().unwrap(),
    ])
    .await;
    let others: Vec<&str> = stdout
        .lines()
        .filter(|line| {
            ["FAIL", "hint", "ERROR"].iter().any(|word| line.trim_start().starts_with(word))
        })
        .collect();
    assert!(code == 0 && others.is_empty(), "{code}: {others:#?}\n{stdout}{stderr}");
    let skipped: Vec<&str> = stdout
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("n/a ")?.split_whitespace().next())
        .collect();
    let expected = |id: &&str| {
        let section = id.split('/').next().unwrap();
        not_applicable.contains(id) || not_applicable.contains(&format!("{section}/*").as_str())
    };
    let more: Vec<_> = skipped.iter().filter(|id| !expected(id)).collect();
    assert!(more.is_empty(), "{more:?} should apply to {profile}");
    for named in not_applicable {
        let found =
            skipped.iter().any(|id| id == named || id.starts_with(named.trim_end_matches('*')));
        assert!(found, "{named} is named as one that does not apply, and it does");
    }
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("failures=\"0\" errors=\"0\""), "{xml}");
    assert_eq!(xml.matches("<skipped").count(), skipped.len(), "{xml}");
    assert!(stdout.contains(&format!("{url} conforms ({profile}):")), "{stdout}");
    for text in [&stdout, &stderr, &xml] {
        assert!(!text.contains(ADMIN), "the token is told: {text}");
    }
}

/// Documents have strong tags, no dates and no ranges.
const OF_DOCUMENTS: &[&str] = &[
    "etag/last-modified",
    "if-match/weak-tag",
    "if-none-match/get-strong",
    "dates/since-current",
    "dates/since-rfc850",
    "dates/since-asctime",
    "dates/since-put",
    "dates/unmodified-long-ago",
    "dates/unmodified-current",
    "dates/unmodified-get",
    "order/none-match-over-modified",
    "head/range",
    "ranges/*",
    "connections/after-416",
];

#[tokio::test]
async fn the_run_store_passes_its_profile() {
    let mut expected = vec!["writes/created", "writes/condition-required"];
    expected.extend(OF_DOCUMENTS);
    passes("run-store", "", &expected).await;
}

#[tokio::test]
async fn so_does_one_that_takes_no_write_without_a_condition() {
    let mut expected = vec!["writes/created"];
    expected.extend(OF_DOCUMENTS);
    passes("run-store", "  runStore: {requirePrecondition: true}\n", &expected).await;
}

#[tokio::test]
async fn kv_passes_its_profile() {
    // A namespace is never absent, and its versions hold no letters.
    let mut expected = vec![
        "writes/delete",
        "writes/delete-absent",
        "writes/absent",
        "etag/aba-delete",
        "if-match/case",
        "if-match/star-absent",
        "if-match/absent",
        "if-match/deleted",
        "if-match/delete",
        "if-none-match/create",
        "if-none-match/create-twice",
        "if-none-match/create-again",
        "if-none-match/put-absent",
        "order/absent-get",
        "order/absent-delete",
        "head/absent",
        "connections/after-404",
        "races/creators",
        "problems/412-absent",
    ];
    expected.extend(OF_DOCUMENTS);
    passes("kv", "", &expected).await;
}

#[tokio::test]
async fn artifacts_pass_their_profile() {
    // Their tags are strong, and they have dates.
    passes(
        "artifacts",
        "",
        &[
            "writes/replaced",
            "if-match/weak-tag",
            "if-none-match/get-strong",
            "dates/unmodified-no-date",
        ],
    )
    .await;
}

/// A TLS endpoint before a server, with a certificate of an authority that only the given file names.
async fn tls_before(place: &Place, port: u16) -> (u16, PathBuf) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = place.path("ca.pem");
    std::fs::write(&file, certified.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(stream).await else { return };
                let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut tls, &mut server).await;
            });
        }
    });
    (address.port(), file)
}

#[tokio::test]
async fn it_reaches_a_server_by_tls_and_only_one_that_is_trusted() {
    let (place, up, token) = served("").await;
    let port: u16 = up.url("demo").rsplit(':').next().unwrap().parse().unwrap();
    let (port, authority) = tls_before(&place, port).await;
    let url = format!("https://localhost:{port}");
    let arguments = [
        "conformance",
        "--url",
        &url,
        "--profile",
        "run-store",
        "--only",
        "if-match",
        "--only",
        "races/writers",
        "--token-file",
        token.to_str().unwrap(),
    ];
    let command = |roots: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stowage"));
        command.args(arguments).env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
        command.kill_on_drop(true);
        command
    };
    let trusted = command(&authority).output().await.unwrap();
    let stdout = String::from_utf8_lossy(&trusted.stdout);
    assert!(trusted.status.success(), "{stdout}{}", String::from_utf8_lossy(&trusted.stderr));
    assert!(stdout.contains(&format!("{url} conforms (run-store): ")), "{stdout}");

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = place.path("other.pem");
    std::fs::write(&file, other.cert.pem()).unwrap();
    let refused = command(&file).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("certificate"), "{stderr}");
}

#[tokio::test]
async fn a_server_that_does_not_conform_ends_with_1_and_is_told_why() {
    let (_place, up, token) = served("").await;
    let token = token.to_str().unwrap();
    // The run store answers 200 where a server of the profile generic answers 201.
    let url = up.url("demo");
    let (code, stdout, _) = run(&[
        "conformance",
        "--url",
        &url,
        "--profile",
        "generic",
        "--path",
        "/run-stores/",
        "--token-file",
        token,
        "--only",
        "writes",
    ])
    .await;
    assert_eq!(code, 1, "{stdout}");
    for text in ["FAIL", "writes/created", "expected 201", "found    200", "does not conform"] {
        assert!(stdout.contains(text), "no {text:?} in {stdout}");
    }
    assert!(!stdout.contains('\u{1b}'), "no colours where it is no terminal: {stdout:?}");
}

#[tokio::test]
async fn what_cannot_be_tried_is_said() {
    let (place, up, token) = served("").await;
    let (url, token) = (up.url("demo"), token.to_str().unwrap().to_owned());
    let nowhere = place.path("none/junit.xml");
    let nowhere = nowhere.to_str().unwrap();
    let table: &[(&[&str], i32, &str)] = &[
        (&["--profile", "kv"], 64, "--url"),
        (&["--url", &url, "--profile", "other"], 64, "run-store"),
        (&["--url", "ftp://a", "--profile", "kv"], 64, "http://"),
        (&["--url", "http://u:secret@a", "--profile", "kv"], 64, "--token-file"),
        (&["--url", &url, "--profile", "kv", "--header", "nonsense"], 64, "--header"),
        (&["--url", &url, "--profile", "kv", "--only", "nonsense"], 64, "--list"),
        (&["--url", &url, "--profile", "kv", "--timeout", "0"], 64, "--timeout"),
        (&["--url", &url, "--profile", "kv", "--token-file", "/none"], 1, "/none"),
        (&["--url", &url, "--profile", "kv", "--junit", nowhere], 1, "junit.xml"),
        (&["--url", &url, "--profile", "kv"], 1, "401"),
        (&["--url", &url, "--profile", "kv", "--token", "secret-of-nobody"], 1, "401"),
        (&["--url", &url, "--profile", "generic", "--token-file", &token], 1, "--path"),
        (&["--url", "http://127.0.0.1:1", "--profile", "kv"], 1, "127.0.0.1:1"),
    ];
    for (arguments, expected, said) in table {
        let arguments: Vec<&str> = ["conformance"].iter().chain(*arguments).copied().collect();
        let (code, stdout, stderr) = run(&arguments).await;
        assert_eq!(code, *expected, "{arguments:?}: {stdout}{stderr}");
        assert!(stderr.contains(said), "{arguments:?}: no {said:?} in {stderr}");
        assert!(!stderr.contains("secret"), "{arguments:?}: a secret in {stderr}");
    }
}

#[tokio::test]
async fn the_list_shows_every_case_with_its_source() {
    let (code, stdout, _) = run(&["conformance", "--profile", "kv", "--list"]).await;
    assert_eq!(code, 0);
    for text in ["if-match/weak", "RFC 9110 §13.1.1", "MUST", "kv/grows", "contract"] {
        assert!(stdout.contains(text), "no {text:?} in {stdout}");
    }
    assert!(!stdout.contains("artifacts/"), "{stdout}");
    let few = run(&["conformance", "--profile", "kv", "--list", "--only", "races"]).await.1;
    assert!(few.lines().count() > 3 && few.lines().all(|l| l.starts_with("races/")), "{few}");
}
