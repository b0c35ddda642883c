//! Files that cannot be read, and in which order problems are told.

use std::fs;
use std::path::{Path, PathBuf};

use stowage::manifests;

use crate::support::{NAMESPACE, STORE, directory, problems_of};

#[test]
fn files_that_cannot_be_read() {
    let directory = directory(&[("blank.yaml", " \n"), ("latin.yaml", ""), ("large.yaml", "")]);
    fs::write(directory.path().join("latin.yaml"), b"a: b\nc: \xe9\n").unwrap();
    fs::write(directory.path().join("large.yaml"), vec![b'#'; (10 << 20) + 1]).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", directory.path().join("link.yaml")).unwrap();
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("notes.txt"), "no manifest").unwrap();
    let absent = directory.path().join("absent.yaml");
    let found = problems_of(&directory, &[directory.path().to_owned(), empty, absent]);
    let expected = [
        "empty: there is no .yaml, .yml or .json file here: put manifests into it",
        "large.yaml: it is larger than 10 MB: split it",
        "blank.yaml: it is empty: put a manifest into it, or remove it",
        "latin.yaml: it is not UTF-8 (from line 2 on): save it as UTF-8",
        "link.yaml: there is no such file: check the path",
        "absent.yaml: there is no such file: check the path",
    ];
    for expected in expected {
        assert!(found.iter().any(|f| f.starts_with(expected)), "no {expected}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_named_pipe_in_a_directory_is_refused_and_not_waited_for() {
    let directory = directory(&[("a.yaml", STORE)]);
    let pipe = directory.path().join("pipe.yaml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let (done, loaded) = std::sync::mpsc::channel();
    let paths = [directory.path().to_owned()];
    std::thread::spawn(move || done.send(manifests::load(&paths).map(drop)));
    let deadline = std::time::Duration::from_secs(20);
    let problems = loaded.recv_timeout(deadline).expect("it does not wait").unwrap_err();
    assert!(problems.to_string().contains("pipe.yaml: it is not a regular file"), "{problems}");
}

#[test]
fn every_problem_of_every_file_is_reported_in_order() {
    let directory = directory(&[
        ("b.yaml", &STORE.replace("1Gi", "x").replace("demo", "other")),
        ("a.yaml", &format!("{NAMESPACE}  quota: {{}}\n---\nkind: Pod\napiVersion: v1\n")),
    ]);
    let found = problems_of(&directory, &[directory.path().to_owned()]);
    let places: Vec<&str> = found.iter().map(|f| f.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["a.yaml:8:3", "a.yaml:10:1", "b.yaml:5:22"], "{found:#?}");
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let directory = directory(&[("a.yaml", &bomb)]);
    let found = problems_of(&directory, &[directory.path().to_owned()]);
    assert!(found[0].contains("with its aliases written out, this file is too large"), "{found:?}");
}

#[test]
fn a_relative_path_is_named_as_it_was_given() {
    let found = manifests::load(&[PathBuf::from("no/such/place")]).unwrap_err();
    let problem = found.iter().next().unwrap();
    assert_eq!(problem.file, Path::new("no/such/place"));
    assert_eq!(problem.to_string(), "no/such/place: there is no such file: check the path");
}
