//! How the values of header fields are put together (RFC 9110 §5.6).

/// The parts of a value, which stand apart by a separator; one within a quoted string is none.
pub(super) fn members(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.split(move |character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            other => return other == separator && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_within_quotes_is_none() {
        let table: &[(&str, &[&str])] = &[
            ("", &[""]),
            ("a", &["a"]),
            ("a, b,,c", &["a", " b", "", "c"]),
            ("a=\"x,y\",b", &["a=\"x,y\"", "b"]),
            ("a=\"x\\\",y\",b", &["a=\"x\\\",y\"", "b"]),
            ("a=\"x\\\\\",b", &["a=\"x\\\\\"", "b"]),
            ("a\\,b", &["a\\", "b"]),
            ("a=\"x,b", &["a=\"x,b"]),
        ];
        for (value, expected) in table {
            assert_eq!(members(value, ',').collect::<Vec<_>>(), *expected, "{value:?}");
        }
    }
}
