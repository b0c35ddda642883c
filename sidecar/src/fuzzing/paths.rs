//! Targets of requests: paths, names in them, and queries.

use http::Uri;
use stowage_store::{Key, NameKind, NamespaceKey};

use crate::http::{route, target};
use crate::runtimes::FilePath;

/// Reads any bytes as the target of a request: whatever is named there, no name and no key leads out of
/// its place.
///
/// # Panics
/// Where that does not hold.
pub fn paths(data: &[u8]) {
    let Ok(uri) = Uri::try_from(data) else { return };
    let _ = route(uri.path());
    for index in 0..6 {
        let raw = target::segment(&uri, index);
        let kinds = [NameKind::RunStore, NameKind::Job, NameKind::Site, NameKind::Branch];
        for kind in kinds {
            let Ok(name) = target::name(kind, raw) else { continue };
            assert!((1..=128).contains(&name.as_str().len()), "{name}: its length");
            let key = Key::run_store(&name);
            stays(key.as_str());
            stays(NamespaceKey::shared(&name).as_str());
        }
    }
    if let Some(decoded) = target::decode(target::segments_after(&uri, 3))
        && let Ok(path) = FilePath::parse(&decoded)
    {
        stays(path.as_str());
    }
    for parameter in ["ns", "key", "continue", "limit"] {
        let _ = target::query(&uri, parameter);
    }
}

/// Checks that a path is relative and goes down only.
fn stays(path: &str) {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    assert!(path.split('/').all(is_plain), "{path:?} leads elsewhere");
}
