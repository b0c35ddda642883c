//! `stowage validate`.

use std::process::ExitCode;

use serde::Serialize;

use crate::args::{Output, ValidateArgs};
use crate::exit::Failure;
use crate::manifests::{self, Manifests, Problem, Problems};

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    valid: bool,
    /// How many resources of each kind there are; empty where there are problems.
    counts: Counts,
    problems: Vec<&'a Problem>,
}

/// How many resources of each kind there are.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Counts {
    store: usize,
    store_namespace: usize,
    runtime_config_source: usize,
    secret: usize,
    config_map: usize,
}

impl Counts {
    fn of(manifests: &Manifests) -> Self {
        Self {
            store: manifests.stores.len(),
            store_namespace: manifests.namespaces.len(),
            runtime_config_source: manifests.sources.len(),
            secret: manifests.secrets.len(),
            config_map: manifests.config_maps.len(),
        }
    }

    /// `1 Store, 2 Secrets`: the kinds that there are.
    fn sentence(&self) -> String {
        let all = [
            (self.store, "Store"),
            (self.store_namespace, "StoreNamespace"),
            (self.runtime_config_source, "RuntimeConfigSource"),
            (self.secret, "Secret"),
            (self.config_map, "ConfigMap"),
        ];
        let some: Vec<String> = all
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, kind)| format!("{count} {kind}{}", plural(*count)))
            .collect();
        some.join(", ")
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Checks the manifests and prints the result.
///
/// # Errors
/// [`Failure`] where it cannot be printed; problems are not errors here but the answer.
pub(crate) fn run(args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let read = manifests::load(&args.files);
    let text = match args.output {
        Output::Text => text(&read),
        Output::Json => json(&read)?,
    };
    crate::print(&text)?;
    Ok(if read.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sorted(problems: &Problems) -> Vec<&Problem> {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|p| (&p.file, p.line, p.column, &p.field));
    sorted
}

fn text(read: &Result<Manifests, Problems>) -> String {
    match read {
        Ok(manifests) => format!("valid: {}\n", Counts::of(manifests).sentence()),
        Err(problems) => {
            let sorted = sorted(problems);
            let mut out: String = sorted.iter().map(|problem| format!("{problem}\n")).collect();
            out += &format!("{} problem{}\n", sorted.len(), plural(sorted.len()));
            out
        }
    }
}

fn json(read: &Result<Manifests, Problems>) -> Result<String, Failure> {
    let report = match read {
        Ok(manifests) => {
            Report { valid: true, counts: Counts::of(manifests), problems: Vec::new() }
        }
        Err(problems) => {
            Report { valid: false, counts: Counts::default(), problems: sorted(problems) }
        }
    };
    let text = serde_json::to_string_pretty(&report)
        .map_err(|e| Failure::Environment(format!("cannot encode the result: {e}")))?;
    Ok(text + "\n")
}
