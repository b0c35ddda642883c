//! Validation against a schema from each of its places.

use serde_json::json;
use stowage_config::{Schema, SchemaSource};
use stowage_sync::{Outcome, SyncReport};

use crate::file_config;
use crate::support::{Recorder, Repository, Scratch};

const SCHEMA_JSON: &str = r#"{"type": "object", "required": ["name"],
    "properties": {"name": {"type": "string"}, "retries": {"type": "integer", "maximum": 5}}}"#;
const SCHEMA_YAML: &str =
    "type: object\nrequired: [name]\nproperties:\n  retries: {type: integer, maximum: 5}\n";

async fn sync_with(repository: &Repository, source: SchemaSource, pointer: &str) -> SyncReport {
    let mut config = file_config(repository);
    config.schema = Some(Schema { source, pointer: pointer.to_owned() });
    let recorder = Recorder::default();
    let report = Scratch::new().sync(&config, &recorder).await;
    assert_eq!(recorder.count(), usize::from(report.outcome == Outcome::Published));
    report
}

/// The schema's own file matches the include patterns, and is no config all the same.
fn repository(config: &str) -> Repository {
    let repository = Repository::new();
    repository.commit(&[
        ("a-runtime.yaml", config),
        ("schema/runtime.json", SCHEMA_JSON),
        ("schema/s.yaml", SCHEMA_YAML),
    ]);
    repository
}

#[tokio::test]
async fn a_schema_may_stand_inline_in_a_file_or_in_the_repository() {
    let dir = tempfile::tempdir().unwrap();
    let (json_file, yaml_file) = (dir.path().join("schema.json"), dir.path().join("schema"));
    std::fs::write(&json_file, SCHEMA_JSON).unwrap();
    std::fs::write(&yaml_file, SCHEMA_YAML).unwrap();
    let sources = [
        SchemaSource::Inline(serde_json::from_str(SCHEMA_JSON).unwrap()),
        SchemaSource::File(json_file),
        SchemaSource::File(yaml_file),
        SchemaSource::Repository("schema/runtime.json".to_owned()),
        SchemaSource::Repository("./schema/s.yaml".to_owned()),
    ];
    let (good, bad) = (repository("name: etl\n"), repository("name: etl\nretries: 9\n"));
    // Only where the schema is that file, it is no config; here it has no `name`.
    good.git(["mv", "schema/runtime.json", "schema/rt.json"]);
    bad.git(["mv", "schema/runtime.json", "schema/rt.json"]);
    good.commit(&[]);
    bad.commit(&[]);
    for source in sources {
        let source = match source {
            SchemaSource::Repository(p) if p == "schema/runtime.json" => {
                SchemaSource::Repository("schema/rt.json".to_owned())
            }
            other => other,
        };
        let report = sync_with(&good, source.clone(), "").await;
        assert_eq!(report.outcome, Outcome::Published, "{source:?} {report:?}");
        let report = sync_with(&bad, source.clone(), "").await;
        assert_eq!(report.outcome, Outcome::Invalid, "{source:?} {report:?}");
        let error = &report.invalid[0].errors[0];
        assert_eq!(error.at, "/retries");
        assert!(error.message.contains("maximum of 5"), "{error:?}");
    }
}

#[tokio::test]
async fn the_schemas_own_file_is_no_config_although_the_patterns_match_it() {
    let good = repository("name: etl\n");
    let source = SchemaSource::Repository("schema/runtime.json".to_owned());
    let report = sync_with(&good, source, "").await;
    assert_eq!((report.outcome, report.files), (Outcome::Published, 1), "{report:?}");
}

#[tokio::test]
async fn a_pointer_names_what_is_described() {
    let source = || SchemaSource::Inline(json!({"required": ["name"]}));
    let repository = Repository::new();
    repository.commit(&[
        ("a-runtime.yaml", "runtime: {name: a}\n"),
        ("b-runtime.yaml", "runtime: {}\n"),
        ("c-runtime.yaml", "workflow: {}\n"),
    ]);
    let report = sync_with(&repository, source(), "/runtime").await;
    let got: Vec<_> =
        report.invalid.iter().map(|f| (f.file.as_str(), f.errors[0].at.as_str())).collect();
    assert_eq!(got, [("b-runtime.yaml", "/runtime"), ("c-runtime.yaml", "/runtime")]);
    let report = sync_with(&repository, source(), "runtime").await;
    assert_eq!(report.reason, "SchemaUnusable", "{report:?}");
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_says_why() {
    let repository = Repository::new();
    repository.commit(&[
        ("runtime.yaml", "name: etl\n"),
        ("dup.yaml", "type: object\ntype: array\n"),
        ("ref.json", r##"{"$ref": "file:///etc/passwd"}"##),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let big = dir.path().join("big.json");
    std::fs::write(&big, format!("\"{}\"", "x".repeat(1 << 20))).unwrap();
    let table = [
        (SchemaSource::Inline(json!({"type": "objekt"})), "objekt"),
        (SchemaSource::Inline(json!({"$ref": "http://127.0.0.1:1/s"})), "only to itself"),
        (SchemaSource::Repository("ref.json".into()), "only to itself"),
        (SchemaSource::Repository("dup.yaml".into()), "twice (at 2:1)"),
        (SchemaSource::Repository("none.json".into()), "no file none.json"),
        (SchemaSource::Repository("../x".into()), "no file ../x"),
        (SchemaSource::File("/nowhere/schema.json".into()), "cannot be read"),
        (SchemaSource::File(big), "larger than"),
    ];
    for (source, message) in table {
        let report = sync_with(&repository, source.clone(), "").await;
        assert_eq!(report.reason, "SchemaUnusable", "{source:?} {report:?}");
        assert!(report.message.contains(message), "{source:?} {report:?}");
        assert!(!report.message.contains("/nowhere"), "{report:?}");
    }
}
