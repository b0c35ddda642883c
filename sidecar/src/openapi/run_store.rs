//! Contract 1: the run store.

use stowage_config::Contract::RunStore;

use super::Path;
use super::operation::Operation;

pub(super) fn paths() -> Vec<Path> {
    vec![
        ("/", document(["readDefaultDocument", "writeDefaultDocument", "deleteDefaultDocument"])),
        ("/run-stores/{name}", document(["readDocument", "writeDocument", "deleteDocument"])),
    ]
}

fn document([read, write, delete]: [&'static str; 3]) -> Vec<(&'static str, Operation)> {
    let get = Operation::new(read, RunStore, "Read a document")
        .conditional_read()
        .document(200, "The document, compact", "Document")
        .watched()
        .historic();
    let put = Operation::new(write, RunStore, "Write a document")
        .describe(
            "If-None-Match: * creates, If-Match replaces; with neither the last writer wins, \
             unless the Store requires a condition. An empty body is {}.",
        )
        .conditional_write()
        .json_body("Document", false)
        .document(200, "The document as it was stored, with its new tag", "Document")
        .problems(&[428]);
    let delete = Operation::new(delete, RunStore, "Delete a document")
        .describe("And its history.")
        .conditional_write()
        .empty(204, "There was one, and it is gone");
    vec![("get", get), ("put", put), ("delete", delete)]
}
