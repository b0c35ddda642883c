//! Paths of fields, as people write them: `spec.branches[0].storeRef.name`.

use super::yaml::Step;

/// The steps of a path as a CEL rule or this module writes it.
pub(super) fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !name.is_empty() {
            steps.push(Step::Key(name.to_owned()));
        }
        let indexes = indexes.split(['[', ']']).filter_map(|index| index.parse().ok());
        steps.extend(indexes.map(Step::Index));
    }
    steps
}

/// A path for a person: keys that are not plain words stand in brackets.
pub(super) fn display(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::Key(key) if is_word(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Step::Key(key) => path.push_str(&format!("[{key}]")),
        }
    }
    path
}

fn is_word(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written_alike() {
        for path in ["", "spec", "spec.branches[0].storeRef.name", "a[1][2].b"] {
            assert_eq!(display(&steps(path)), path);
        }
        let key = |key: &str| Step::Key(key.to_owned());
        assert_eq!(steps("spec.branches[12]"), [key("spec"), key("branches"), Step::Index(12)]);
        assert_eq!(display(&[key("data"), key("tls.crt")]), "data[tls.crt]");
    }
}
