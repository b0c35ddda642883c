//! The body of a PUT that replaces a set of runtime configs.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use stowage_sync::ConfigFile;

use super::problem::Problem;
use crate::json;
use crate::runtimes::NewSet;
use bytes::Bytes;

#[derive(Deserialize)]
struct SetBody<'a> {
    revision: Cow<'a, str>,
    #[serde(borrow)]
    files: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct FileBody {
    filepath: String,
    config: Box<RawValue>,
}

/// Reads `{"revision", "files": [{"filepath", "config"}]}`.
///
/// # Errors
/// 400 that names the index of the first file that is wrong.
pub(crate) fn parse(text: &Bytes) -> Result<NewSet, Problem> {
    let compact = json::compact(text)?;
    let body: SetBody<'_> = json::object(&compact).map_err(|reason| {
        invalid(format!("the body must be {{\"revision\", \"files\": [{{…}}]}}: {reason}"))
    })?;
    let mut files = Vec::with_capacity(body.files.len());
    for (index, file) in body.files.into_iter().enumerate() {
        let file: FileBody = json::object(file.get().as_bytes()).map_err(|reason| {
            invalid(format!(
                "files[{index}] must be {{\"filepath\", \"config\"}} with config as JSON: {reason}"
            ))
        })?;
        files.push(ConfigFile { filepath: file.filepath, config: file.config });
    }
    NewSet::new(&body.revision, files).map_err(|e| invalid(e.to_string()))
}

fn invalid(detail: String) -> Problem {
    Problem::bad_request("invalid_set", detail)
}
