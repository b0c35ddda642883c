//! Validation against the source's JSON Schema. Nothing outside the schema is ever read.

use jsonschema::{PatternOptions, Retrieve, Uri};
use serde_json::Value;
use stowage_config::FileError;

use crate::text::shorten;

/// The most faults that are reported of one file.
const ERRORS_MAX: usize = 20;
const MESSAGE_CHARS_MAX: usize = 300;
/// A relative reference needs something to be relative to before it can be refused.
const BASE_URI: &str = "schema:/";
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The schema cannot be used; says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema cannot be used: {0}")]
pub(crate) struct SchemaUnusable(pub(crate) String);

/// A schema that is ready to be held against configs.
#[derive(Debug)]
pub(crate) struct Validator {
    compiled: jsonschema::Validator,
    pointer: String,
}

impl Validator {
    /// Compiles a schema for what stands at `pointer` (RFC 6901) inside a config.
    ///
    /// # Errors
    /// [`SchemaUnusable`] where it is no JSON Schema, refers to something outside itself, has a
    /// pattern that is not linear in time, or the pointer is none.
    pub(crate) fn build(schema: &Value, pointer: &str) -> Result<Self, SchemaUnusable> {
        check_pointer(pointer)?;
        let compiled = jsonschema::options()
            .with_base_uri(BASE_URI)
            .with_retriever(Deny)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
            .build(schema)
            .map_err(|e| {
                let at = e.instance_path().to_string();
                let place = if at.is_empty() { String::new() } else { format!("at {at}: ") };
                SchemaUnusable(shorten(&format!("{place}{e}"), MESSAGE_CHARS_MAX))
            })?;
        Ok(Self { compiled, pointer: pointer.to_owned() })
    }

    /// Every fault of a config, bounded; none where it satisfies the schema.
    ///
    /// The messages say what the schema asks for, not what the file holds: a report travels to
    /// places where a config's values have no business.
    pub(crate) fn check(&self, config: &Value) -> Vec<FileError> {
        let Some(part) = config.pointer(&self.pointer) else {
            return vec![FileError {
                at: self.pointer.clone(),
                message: "nothing stands here, and the schema describes what does".to_owned(),
            }];
        };
        let mut faults = self.compiled.iter_errors(part);
        let mut errors: Vec<_> = faults
            .by_ref()
            .take(ERRORS_MAX)
            .map(|e| FileError {
                at: shorten(&format!("{}{}", self.pointer, e.instance_path()), MESSAGE_CHARS_MAX),
                message: shorten(&e.masked().to_string(), MESSAGE_CHARS_MAX),
            })
            .collect();
        let more = faults.count();
        if more > 0 {
            errors
                .push(FileError { at: self.pointer.clone(), message: format!("and {more} more") });
        }
        errors
    }
}

/// RFC 6901 §3: empty, or segments that each begin with `/`, with `~` only in `~0` and `~1`.
fn check_pointer(pointer: &str) -> Result<(), SchemaUnusable> {
    let starts = pointer.is_empty() || pointer.starts_with('/');
    let escapes = pointer.split('~').skip(1).all(|s| s.starts_with(['0', '1']));
    if starts && escapes {
        return Ok(());
    }
    Err(SchemaUnusable(format!(
        "{:?} is not a JSON pointer: write one such as /runtime",
        shorten(pointer, 100)
    )))
}

/// Answers every reference to something outside the schema with no.
struct Deny;

impl Retrieve for Deny {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("a schema may refer only to itself, not to {uri}: put it under $defs").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(schema: &Value, pointer: &str, config: &Value) -> Vec<(String, String)> {
        let validator = Validator::build(schema, pointer).unwrap();
        validator.check(config).into_iter().map(|e| (e.at, e.message)).collect()
    }

    #[test]
    fn every_fault_is_reported_with_its_place_and_without_the_value() {
        let schema = json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {
                "name": {"type": "string"},
                "jobs": {"type": "array", "items": {"$ref": "#/$defs/job"}},
            },
            "$defs": {"job": {"type": "object", "properties": {
                "every": {"type": "integer", "minimum": 1},
                "a/b": {"pattern": "^[a-z]+$"},
            }}},
        });
        let config = json!({"jobs": [{"every": 0}, {"every": "hunter2", "a/b": "hunter2"}]});
        let got = errors(&schema, "", &config);
        let places: Vec<_> = got.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(got.len(), 4, "{got:?}");
        for at in ["/jobs/0/every", "/jobs/1/every", "/jobs/1/a~1b", ""] {
            assert!(places.contains(&at), "no fault at {at:?}: {got:?}");
        }
        assert!(!format!("{got:?}").contains("hunter2"), "{got:?}");
        assert_eq!(errors(&schema, "", &json!({"name": "a", "jobs": []})), []);
    }

    #[test]
    fn a_pointer_names_the_part_that_is_described() {
        let schema = json!({"required": ["name"]});
        assert_eq!(errors(&schema, "/runtime", &json!({"runtime": {"name": 1}})), []);
        let missing = errors(&schema, "/runtime", &json!({"other": 1}));
        assert_eq!(missing[0].0, "/runtime");
        let nested = errors(
            &json!({"properties": {"n": {"type": "null"}}}),
            "/a~1b",
            &json!({"a/b": {"n": 1}}),
        );
        assert_eq!(nested[0].0, "/a~1b/n");
    }

    #[test]
    fn schemas_that_cannot_be_used_are_refused_with_the_reason() {
        let table = [
            (json!({"type": "strin"}), "", "strin"),
            (json!(5), "", ""),
            (json!({"$ref": "file:///etc/passwd"}), "", "only to itself"),
            (json!({"$ref": "http://127.0.0.1:1/schema.json"}), "", "only to itself"),
            (json!({"$ref": "other.json"}), "", "only to itself"),
            (json!({"$ref": "#/$defs/none"}), "", "none"),
            (json!({"pattern": "("}), "", "("),
            (json!({"pattern": "(a)\\1"}), "", "1"),
            (json!({"pattern": "((a{1000}){1000}){1000}"}), "", ""),
            (json!({"$schema": "http://127.0.0.1:1/meta"}), "", ""),
            (json!(true), "runtime", "JSON pointer"),
            (json!(true), "/a~2", "JSON pointer"),
        ];
        for (schema, pointer, reason) in table {
            let error = Validator::build(&schema, pointer).expect_err(&schema.to_string());
            assert!(error.to_string().contains(reason), "{schema}: {error}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_comes_to_an_end() {
        for schema in [json!({"$ref": "#"}), json!({"allOf": [{"$ref": "#"}]})] {
            if let Ok(validator) = Validator::build(&schema, "") {
                assert_eq!(validator.check(&json!({"a": 1})), [], "{schema}");
            }
        }
    }

    #[test]
    fn a_flood_of_faults_is_bounded() {
        let config = json!({"a": vec!["x".repeat(10); 5_000]});
        let schema = json!({"properties": {"a": {"items": {"enum": ["y".repeat(5_000)]}}}});
        let got = errors(&schema, "", &config);
        assert_eq!(got.len(), ERRORS_MAX + 1);
        assert_eq!(got[ERRORS_MAX].1, "and 4980 more");
        assert!(got.iter().all(|(_, m)| m.chars().count() <= MESSAGE_CHARS_MAX + 1));
    }
}
