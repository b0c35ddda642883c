//! Text for people: cut to a length, without control characters.

/// Cuts text to at most `chars_max` characters and marks the cut; control characters become
/// spaces, so that a hostile name cannot write on a terminal.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character_and_cleaned() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äöü…");
        assert_eq!(shorten("a\u{1b}[31m\nb", 99), "a [31m b");
    }
}
