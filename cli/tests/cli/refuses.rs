//! What `stowage up` refuses at start: a clear sentence, an exit code, nothing half started.

use std::net::TcpListener;

use stowage_store::{VolumeOptions, VolumeStore};

use crate::support::{ADMIN, Place, run, store, store_with_token};

pub(crate) async fn refused(place: &Place, more: &[&str]) -> (i32, String) {
    let arguments = place.up_arguments();
    let arguments: Vec<&str> =
        arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let (code, stdout, stderr) = run(&arguments).await;
    assert_eq!(stdout, "", "nothing is shown as served");
    assert!(!place.path("ready.json").exists(), "no ready file");
    (code, stderr)
}

#[tokio::test]
async fn wrong_input_ends_with_64_and_a_sentence() {
    let good = store("demo", "");
    let missing_secret = store("demo", "  auth: {tokensSecretRef: {name: absent}}\n");
    let unknown_field = store("demo", "  replicaz: 1\n");
    let empty_secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: empty}\n".to_owned()
        + &store("demo", "  auth: {tokensSecretRef: {name: empty}}\n");
    let short_token = store_with_token("demo", "short");
    let reserved = store("tokens", "");
    let secret_only = "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {}\n";
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);
    let table: &[Row<'_>] = &[
        ("a Secret that is not there", &[("a.yaml", &missing_secret)], &[], &["absent", "a.yaml:"]),
        ("an unknown field", &[("a.yaml", &unknown_field)], &[], &["replicaz", "a.yaml:7"]),
        ("a Secret without tokens", &[("a.yaml", &empty_secret)], &[], &["empty"]),
        ("a token that is too short", &[("a.yaml", &short_token)], &[], &["shorter than 16"]),
        ("a name that is taken", &[("a.yaml", &reserved)], &[], &["tokens", "another name"]),
        ("an empty directory", &[], &[], &["manifests"]),
        ("no Store", &[("a.yaml", secret_only)], &[], &["no Store"]),
        (
            "a Store that is not there",
            &[("a.yaml", &good)],
            &["--listen", "lake=127.0.0.1:0"],
            &["no Store lake", "demo"],
        ),
        (
            "an address that is none",
            &[("a.yaml", &good)],
            &["--listen", "8080"],
            &["127.0.0.1:8080"],
        ),
        (
            "an empty Secret beyond loopback",
            &[("a.yaml", &empty_secret)],
            &["--listen", "0.0.0.0:0"],
            &["empty"],
        ),
    ];
    for (case, manifests, flags, said) in table {
        let place = Place::new(manifests);
        std::fs::write(place.path("ready.json"), "of a killed process").unwrap();
        let (code, stderr) = if flags.contains(&"8080") {
            std::fs::remove_file(place.path("ready.json")).unwrap();
            refused(&place, flags).await
        } else {
            refused(&place, flags).await
        };
        assert_eq!(code, 64, "{case}: {stderr}");
        for words in *said {
            assert!(stderr.contains(words), "{case}: no {words:?} in {stderr}");
        }
        assert!(!stderr.contains("panicked"), "{case}: {stderr}");
        assert!(!place.data().exists(), "{case}: the data directory is not touched");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = store("free", "") + &store("demo", "");
    let place = Place::new(&[("a.yaml", &text)]);
    let demo = format!("demo={address}");
    let (code, stderr) =
        refused(&place, &["--listen", "free=127.0.0.1:0", "--listen", &demo]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("Store demo") && stderr.contains(&address), "{stderr}");
    assert!(stderr.contains("--listen demo=ADDR"), "says what to do: {stderr}");
}

#[tokio::test]
async fn a_second_up_on_the_same_data_is_refused() {
    let place = Place::new(&[("a.yaml", &store_with_token("demo", ADMIN))]);
    let first = place.ready(&["demo"]).await;
    let arguments = place.up_arguments();
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["--listen", "127.0.0.1:0"]);
    let (code, _, stderr) = run(&arguments).await;
    assert_eq!(code, 1, "{stderr}");
    let pid = format!("(process {})", first.pid());
    assert!(stderr.contains("in use by another stowage up") && stderr.contains(&pid), "{stderr}");
    assert!(first.ready_table().is_some(), "the first one's ready file stays");
    assert!(first.stop().await.success(), "the first one is not disturbed");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_one_is_named() {
    let place = Place::new(&[("a.yaml", &store("demo", ""))]);
    std::fs::write(place.data(), "a file").unwrap();
    let (code, stderr) = refused(&place, &["--listen", "127.0.0.1:0"]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("is not a directory; choose another one with --data"), "{stderr}");
}

#[tokio::test]
async fn a_ready_file_that_cannot_be_written_stops_the_start() {
    let place = Place::new(&[("a.yaml", &store("demo", ""))]);
    for (case, file) in [("a directory", "manifests"), ("no directory there", "absent/ready.json")]
    {
        let mut arguments = place.up_arguments();
        arguments.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
        let at = arguments.iter().position(|a| a == "--ready-file").unwrap() + 1;
        arguments[at] = place.path(file).to_str().unwrap().to_owned();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, stdout, stderr) = run(&arguments).await;
        assert_eq!((code, stdout.as_str()), (1, ""), "{case}: {stderr}");
        assert!(stderr.contains("ready file"), "{case}: {stderr}");
    }
}

#[tokio::test]
async fn a_stores_directory_that_another_process_serves_is_named() {
    let text = store("free", "") + &store("demo", "");
    let place = Place::new(&[("a.yaml", &text)]);
    std::fs::create_dir(place.data()).unwrap();
    let held = VolumeStore::open(&place.data().join("demo"), &VolumeOptions::default()).unwrap();
    let flags = ["--listen", "free=127.0.0.1:0", "--listen", "demo=127.0.0.1:0"];
    let (code, stderr) = refused(&place, &flags).await;
    assert_eq!(code, 1, "{stderr}");
    let holder = format!("process {}", std::process::id());
    assert!(stderr.contains("Store demo") && stderr.contains(&holder), "{stderr}");
    drop(held);
}
