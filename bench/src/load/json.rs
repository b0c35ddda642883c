//! Finding single members in the answers of servers that write them in one known form.

use memchr::memmem;

/// What follows a member's name, white space left out. A server may write any amount of it, and
/// etcd's encoder does so on purpose.
fn after<'a>(json: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = memmem::find(json, name.as_bytes())? + name.len();
    let rest = json[at..].trim_ascii_start().strip_prefix(b":")?;
    Some(rest.trim_ascii_start())
}

/// Whether the first member of this quoted name is `true`.
pub(crate) fn is_true(json: &[u8], name: &str) -> bool {
    after(json, name).is_some_and(|rest| rest.starts_with(b"true"))
}

/// The number at the first member of this quoted name, itself quoted or not.
pub(crate) fn number(json: &[u8], name: &str) -> Option<u64> {
    let rest = after(json, name)?;
    let digits = rest.strip_prefix(b"\"").unwrap_or(rest);
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_however_they_are_spaced() {
        for json in [
            &br#"{"header":{"revision":"12"},"succeeded":true}"#[..],
            br#"{"header": {"revision" : "12"}, "succeeded": true}"#,
            br#"{"succeeded":true,"revision":12}"#,
        ] {
            assert!(is_true(json, "\"succeeded\""));
            assert_eq!(number(json, "\"revision\""), Some(12));
            assert!(!is_true(json, "\"other\"") && number(json, "\"other\"").is_none());
        }
    }
}
