//! The name that was probably meant.

/// `did you mean …?`, where a known name is near to what was written.
pub(super) fn did_you_mean<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let lower = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.len().min(written.len()).div_ceil(3))
        .min()
        .map(|(_, name)| format!("did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["Store", "StoreNamespace", "Secret"];
        for (written, expected) in [
            ("store", Some("did you mean Store?")),
            ("Sotre", Some("did you mean Store?")),
            ("StoreNamespce", Some("did you mean StoreNamespace?")),
            ("Deployment", None),
            ("Service", None),
            ("x", None),
        ] {
            assert_eq!(did_you_mean(written, known).as_deref(), expected, "{written}");
        }
    }
}
