//! A shell command that reads a token out of its manifest: what is printed to be pasted works as it
//! stands, and shows no secret.

use std::path::Path;

/// The command, for a manifest that holds the token as `NAME: VALUE` on a line of its own; `None`
/// where it is written otherwise, or where more than one line looks so.
///
/// `file` is the manifest's path, `text` what it holds.
pub(crate) fn token_command(file: &Path, text: &str, name: &str, value: &str) -> Option<String> {
    let file = file.to_str().filter(|path| !path.contains('\''))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.chars().all(plain) {
        return None;
    }
    // What sed finds there: the same steps as in the command below.
    let after = |line: &'_ str| -> Option<String> {
        let rest = line.trim_start_matches(' ').strip_prefix(name)?.strip_prefix(':')?;
        rest.trim_start_matches(' ').split(' ').next().map(str::to_owned)
    };
    let mut found = text.split('\n').filter_map(after);
    let only = found.next().filter(|first| first == value && found.next().is_none());
    only.map(|_| format!(r"sed -n 's/^ *{name}: *\([^ ]*\).*/\1/p' '{file}'"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const TOKEN: &str = "change-me-0123456789";

    #[test]
    fn the_command_prints_the_token_or_there_is_none() {
        let table = [
            ("stringData:\n  admin: change-me-0123456789\n", true),
            ("stringData:\n  admin:   change-me-0123456789   # every right\n  reader: x\n", true),
            ("stringData:\n  admin: change-me-0123456789", true),
            ("stringData: {admin: change-me-0123456789}\n", false),
            ("stringData:\n  admin: 'change-me-0123456789'\n", false),
            ("data:\n  admin: Y2hhbmdlLW1lLTAxMjM0NTY3ODk=\n", false),
            ("stringData:\n  admin: >-\n    change-me-0123456789\n", false),
            ("stringData:\r\n  admin: change-me-0123456789\r\n", false),
            ("stringData:\n  admin: change-me-0123456789\n---\nx:\n  admin: other\n", false),
        ];
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a store.yaml");
        for (text, expected) in table {
            std::fs::write(&file, text).unwrap();
            let command = token_command(&file, text, "admin", TOKEN);
            assert_eq!(command.is_some(), expected, "{text:?}");
            let Some(command) = command else { continue };
            assert!(!command.contains(TOKEN), "{command}");
            let _forks = crate::up::FORKS.blocking_lock();
            let output = Command::new("sh").args(["-c", &command]).output().unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            // As a shell's $(…) takes it.
            assert_eq!(printed.trim_end_matches('\n'), TOKEN, "{text:?}: {command}");
        }
    }

    #[test]
    fn what_a_shell_or_sed_would_read_as_its_own_is_left_alone() {
        let text = "stringData:\n  a.b: change-me-0123456789\n  admin: change-me-0123456789\n";
        assert_eq!(token_command(Path::new("a.yaml"), text, "a.b", TOKEN), None);
        assert_eq!(token_command(Path::new("it's.yaml"), text, "admin", TOKEN), None);
    }
}
