//! Names, keys, and the files of namespaces.

use crate::volume::fuzzing as volume;
use crate::{Key, MemberKey, Name, NameKind};

/// Reads any text as every kind of name, as a segment of a path and as a path: whatever is taken
/// has one spelling, which fits a file name, stays in the tree, and reads back.
///
/// # Panics
/// Where that does not hold.
pub fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let kinds = [NameKind::Namespace, NameKind::RunStore, NameKind::Repository, NameKind::Branch];
    for kind in kinds {
        if let Ok(name) = Name::parse(kind, &text) {
            assert_eq!(name.as_str(), text);
            let segment = name.to_segment();
            assert!(segment.len() <= 250 && !segment.contains('/'), "{segment}");
            assert!(!matches!(&*segment, "" | "." | ".."), "{segment}");
            assert_eq!(Name::from_segment(kind, &segment), Ok(name));
        }
        if let Ok(name) = Name::from_segment(kind, &text) {
            assert_eq!(name.to_segment(), text, "a segment has one spelling");
        }
    }
    if let Ok(name) = Name::parse(NameKind::RunStore, &text) {
        let key = Key::run_store(&name);
        assert_eq!(Key::from_path(key.as_str()), Some(key));
    }
    if let Some((repository, branch)) = text.split_once('\n')
        && let Ok(repository) = Name::parse(NameKind::Repository, repository)
        && let Ok(branch) = Name::parse(NameKind::Branch, branch)
    {
        let key = Key::runtime_set(&repository, &branch);
        assert_eq!(Key::from_path(key.as_str()).as_ref(), Some(&key));
        assert_eq!(key.as_runtime_set(), Some((repository, branch)));
    }
    if let Some(key) = Key::from_path(&text) {
        assert_eq!(key.as_str(), text);
        let parts = key.as_str().split('/');
        assert!(parts.clone().count() <= 5, "{key}");
        assert!(parts.clone().all(|part| !matches!(part, "" | "." | "..")), "{key}");
        if let Some((repository, branch)) = key.as_runtime_set() {
            assert_eq!(Key::runtime_set(&repository, &branch), key);
        }
    }
    if let Ok(key) = MemberKey::new(&text) {
        assert_eq!(key.as_str(), text);
    }
}

/// Reads any bytes as the file of a namespace: what is taken is written back as compact JSON that
/// reads as the same.
///
/// # Panics
/// Where that does not hold.
pub fn namespace_file(data: &[u8]) {
    let Ok(namespace) = volume::decode(data) else { return };
    let file = volume::encode(&namespace);
    match volume::decode(&file) {
        Ok(again) => assert_eq!(again, namespace),
        Err(why) => panic!("{} does not read back: {why}", String::from_utf8_lossy(&file)),
    }
    assert_eq!(namespace.snapshot().len() as u64, namespace.snapshot_bytes());
    let snapshot = namespace.snapshot();
    let value: Result<&serde_json::value::RawValue, _> = serde_json::from_slice(&snapshot);
    assert!(value.is_ok(), "the snapshot is JSON: {value:?}");
    let bytes = file.len();
    // Escapes of one byte may be written longer than they were.
    assert!(bytes <= 6 * data.len(), "{bytes} bytes came out of {}", data.len());
}
