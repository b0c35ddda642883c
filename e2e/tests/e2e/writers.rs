//! Compare-and-swap through the Service.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};

use crate::support::http::Caller;
use crate::support::namespace::Namespace;
use crate::support::release;
use crate::support::stores;

const WRITERS: usize = 20;
/// Acknowledged writes of each.
const WINS: usize = 5;
const DOCUMENT: &str = "/run-stores/shared";

#[test]
fn a_document_holds_exactly_the_acknowledged_writes_of_twenty_writers() {
    let _cluster = release::shared();
    let namespace = Namespace::create("writers");
    let caller = stores::demo(&namespace);
    let created = caller.put(DOCUMENT, &[("if-none-match", "*")], &json!([])).unwrap();
    assert_eq!(created.status, 200, "{created:?}");

    let won: Vec<(String, usize)> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| (writer, caller.clone()))
            .map(|(writer, caller)| scope.spawn(move || append(&caller, writer)))
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });

    let lost: usize = won.iter().map(|(_, lost)| lost).sum();
    println!("{} writes won, {lost} were too late", won.len());
    assert!(lost > 0, "nobody was ever too late: the writers did not meet");
    let acknowledged: BTreeSet<String> = won.into_iter().map(|(entry, _)| entry).collect();
    assert_eq!(acknowledged.len(), WRITERS * WINS);
    let found = entries(&caller.get(DOCUMENT).unwrap().json());
    assert_eq!(found.len(), WRITERS * WINS, "an entry is there twice, or one too many is");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), acknowledged);
}

fn entries(document: &Value) -> Vec<String> {
    let entries = document.as_array().unwrap().iter();
    entries.map(|entry| entry.as_str().unwrap().to_owned()).collect()
}

/// Appends entries by read, change, write; gives each with the number of tries that were too late.
fn append(caller: &Caller, writer: usize) -> Vec<(String, usize)> {
    (0..WINS)
        .map(|number| {
            let entry = format!("{writer}.{number}");
            let mut lost = 0;
            loop {
                let read = caller.get(DOCUMENT).unwrap();
                let mut document = read.json();
                document.as_array_mut().unwrap().push(json!(entry));
                let tag = read.etag.unwrap();
                let written = caller.put(DOCUMENT, &[("if-match", &tag)], &document).unwrap();
                match written.status {
                    200 => return (entry, lost),
                    412 => lost += 1,
                    _ => panic!("neither won nor lost: {written:?}"),
                }
            }
        })
        .collect()
}
