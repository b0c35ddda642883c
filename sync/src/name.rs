//! Names of repositories and branches: what the store takes, and what Git takes.

/// The longest repository id or branch, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A repository id or a branch cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameRefused {
    #[error(
        "the {0} is not 1 to {NAME_BYTES_MAX} bytes of letters, digits and . _ : @ + ~ - in \
         parts joined by /, none of them . or ..: choose another one"
    )]
    NotAName(&'static str),
    #[error(
        "Git allows no such branch name: it begins with -, . or /, holds .., :, ~ or @{{, or \
         ends in . or .lock"
    )]
    NotABranch,
}

/// Whether a byte may stand in a name and in a segment of a config's path.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:@+~-".contains(&byte)
}

/// Checks a name that may hold `/`, by the store's rules.
pub(crate) fn check_name(kind: &'static str, name: &str) -> Result<(), NameRefused> {
    let parts_fit = name
        .split('/')
        .all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(is_name_byte));
    if parts_fit && name.len() <= NAME_BYTES_MAX {
        Ok(())
    } else {
        Err(NameRefused::NotAName(kind))
    }
}

/// Checks a branch, by the store's rules and those of git-check-ref-format(1).
///
/// A leading `-` is refused although it could never reach git as an option.
pub(crate) fn check_branch(branch: &str) -> Result<(), NameRefused> {
    check_name("branch", branch)?;
    let bad_part =
        |part: &str| part.starts_with('.') || part.ends_with('.') || part.ends_with(".lock");
    let refused = branch.starts_with('-')
        || branch == "@"
        || branch.contains("..")
        || branch.contains([':', '~'])
        || branch.split('/').any(bad_part);
    if refused { Err(NameRefused::NotABranch) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_what_git_and_the_store_allow() {
        for good in ["main", "feature/x", "v1.2", "a@b", "a+b", "A_b-c", &"a".repeat(128)] {
            assert_eq!(check_branch(good), Ok(()), "{good}");
        }
        let not_names = ["", "/a", "a/", "a//b", "a/../b", "a b", "é", "a\n", "--upload-pack=x"];
        for bad in not_names {
            assert_eq!(check_branch(bad), Err(NameRefused::NotAName("branch")), "{bad:?}");
        }
        assert_eq!(check_branch(&"a".repeat(129)), Err(NameRefused::NotAName("branch")));
        for bad in ["-d", "a..b", "a:b", "a~1", ".a", "a/.b", "a.lock", "a.", "@"] {
            assert_eq!(check_branch(bad), Err(NameRefused::NotABranch), "{bad}");
        }
    }
}
