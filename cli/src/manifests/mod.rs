//! Reading manifests: files and directories in, typed resources or every problem out.
//!
//! The same checks as an API server's stand here, from the same definitions: the structure (with
//! unknown fields refused, not dropped), then the CEL rules. Then come the checks that no single
//! resource shows: references, duplicates, tokens. Every problem is reported, each with the file,
//! the line and the field that it is about, so that one run says all there is to mend.

mod collection;
mod credentials;
mod data;
mod document;
mod field;
mod files;
mod kind;
mod problem;
mod references;
mod resources;
mod schema;
mod source_schema;
mod structure;
mod suggest;
mod yaml;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use collection::Collection;
use document::Document;
use schema::Schemas;

pub use problem::{Problem, Problems};
pub use resources::{ConfigMap, Located, Manifests, ObjectName, Origin, Secret, SecretValue};

/// Reads files and directories of manifests.
///
/// A directory is read as `kubectl apply -f` reads it: its `.yaml`, `.yml` and `.json` files, in
/// the order of their names, not those of directories in it; hidden files are left out. The order
/// of the resources is that of the paths, the files and the documents.
///
/// # Errors
/// Every [`Problem`], in the order of paths, files and lines; then nothing is to be served.
pub fn load(paths: &[PathBuf]) -> Result<Manifests, Problems> {
    let mut problems = Vec::new();
    let files = files::list(paths, &mut problems);
    let schemas = Schemas::new();
    let mut all = Collection::default();
    for file in &files {
        match files::read(file) {
            Err(problem) => {
                problems.push(*problem);
                all.note_unread();
            }
            Ok(text) => {
                let (documents, faults) = documents(file, &text);
                if !faults.is_empty() {
                    all.note_unread();
                }
                problems.extend(faults);
                for document in documents {
                    all.add(document, &schemas, &mut problems);
                }
            }
        }
    }
    problems.extend(references::check(&all));
    let order = |file: &PathBuf| files.iter().position(|known| known == file);
    problems.sort_by_cached_key(|p| (order(&p.file), p.line, p.column, p.field.clone()));
    match Problems::new(problems) {
        Some(problems) => Err(problems),
        None => Ok(all.into()),
    }
}

/// The documents of a file, and what is wrong with the text itself.
fn documents(file: &Path, text: &str) -> (Vec<Document>, Vec<Problem>) {
    let file = Rc::new(file.to_owned());
    let (nodes, faults) = yaml::parse(text);
    let problems = faults.into_iter().map(|fault| Problem {
        file: file.to_path_buf(),
        line: fault.at.line,
        column: fault.at.column,
        field: String::new(),
        message: fault.message,
    });
    let problems = problems.collect();
    let documents = nodes.into_iter().map(|node| Document { file: Rc::clone(&file), node });
    (documents.flat_map(Document::flatten).collect(), problems)
}
