//! Where a source's schema comes from.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use stowage_config::{Schema, SchemaSource};

use crate::parse::{Format, parse};
use crate::validate::{SchemaUnusable, Validator};

/// Compiling takes memory in proportion; no schema that people wrote is larger.
pub(crate) const SCHEMA_BYTES_MAX: u64 = 1 << 20;

/// What is known of the schema before the fetch.
#[derive(Debug)]
pub(crate) enum SchemaPlan<'a> {
    /// Every config that parses is valid.
    None,
    /// The schema is at hand.
    Ready(Validator),
    /// It stands at this path of the commit.
    InRepository { path: &'a str, pointer: &'a str },
}

impl<'a> SchemaPlan<'a> {
    /// Compiles a schema that is at hand, so that a wrong one costs no fetch.
    ///
    /// # Errors
    /// [`SchemaUnusable`].
    pub(crate) fn prepare(schema: Option<&'a Schema>) -> Result<Self, SchemaUnusable> {
        let Some(Schema { source, pointer }) = schema else { return Ok(Self::None) };
        match source {
            SchemaSource::Inline(schema) => Validator::build(schema, pointer).map(Self::Ready),
            SchemaSource::File(path) => {
                compile(&read(path)?, format(path), pointer).map(Self::Ready)
            }
            SchemaSource::Repository(path) => {
                let path = path.strip_prefix("./").unwrap_or(path);
                Ok(Self::InRepository { path, pointer })
            }
        }
    }

    /// The path in the repository, where it stands there.
    pub(crate) fn path(&self) -> Option<&'a str> {
        match self {
            Self::InRepository { path, .. } => Some(path),
            Self::None | Self::Ready(_) => None,
        }
    }
}

/// Compiles a schema from its text.
///
/// # Errors
/// [`SchemaUnusable`] with the place of the fault.
pub(crate) fn compile(
    text: &[u8],
    format: Format,
    pointer: &str,
) -> Result<Validator, SchemaUnusable> {
    let json = parse(text, format, SCHEMA_BYTES_MAX).map_err(|e| {
        let place = if e.at.is_empty() { String::new() } else { format!(" (at {})", e.at) };
        SchemaUnusable(format!("it does not parse: {}{place}", e.message))
    })?;
    let schema = serde_json::from_str(json.get())
        .map_err(|e| SchemaUnusable(format!("it is no JSON: {e}")))?;
    Validator::build(&schema, pointer)
}

/// JSON where the name says so; else YAML, which nearly all JSON is too.
pub(crate) fn format(path: &Path) -> Format {
    path.to_str().and_then(Format::of).unwrap_or(Format::Yaml)
}

fn read(path: &Path) -> Result<Vec<u8>, SchemaUnusable> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SCHEMA_BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(|e| SchemaUnusable(format!("its file cannot be read ({})", e.kind())))?;
    if text.len() as u64 > SCHEMA_BYTES_MAX {
        return Err(SchemaUnusable(format!("it is larger than {SCHEMA_BYTES_MAX} bytes")));
    }
    Ok(text)
}
