//! How the values of header fields are put together (RFC 9110 §5.6): lists, and quoted strings.

use std::borrow::Cow;

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

/// A token as it is, or what a quoted string says; `None` where the quotes are not in order.
pub(super) fn word(text: &str) -> Option<Cow<'_, str>> {
    let Some(quoted) = text.strip_prefix('"') else {
        return (!text.contains('"')).then_some(Cow::Borrowed(text));
    };
    let mut said = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(Cow::Owned(said)),
            '\\' => said.push(characters.next()?),
            other => said.push(other),
        }
    }
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

    #[test]
    fn a_quoted_string_says_what_is_in_it() {
        let table = [
            ("", Some("")),
            ("a", Some("a")),
            ("\"\"", Some("")),
            ("\"a b\"", Some("a b")),
            ("\"a\\\"b\\\\\"", Some("a\"b\\")),
            ("\"a", None),
            ("\"a\\\"", None),
            ("\"a\"b", None),
            ("a\"b\"", None),
        ];
        for (text, expected) in table {
            assert_eq!(word(text).as_deref(), expected, "{text:?}");
        }
    }
}
