//! Which tokens hold while a server runs: those that are good, whatever else stands beside them.
//!
//! At a start, one file that is wrong refuses all: nobody waits for that server yet. Later that would keep a token
//! that was taken out good for as long as another file is wrong, so each is judged by itself.

use stowage_config::{Token, same_value};

use super::tokens::Found;

/// Tokens that can be told apart, and a sentence for each file that is left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Usable {
    pub(super) tokens: Vec<(String, Token)>,
    pub(super) faults: Vec<String>,
}

/// What is good of what was found. A value that stands there twice is whose it was among those that `held`, for
/// which of its rights were meant cannot be told; if it was nobody's, it is nobody's.
pub(super) fn usable(found: &Found, held: &[(String, Token)]) -> Usable {
    let (mut tokens, mut faults) = (found.tokens.clone(), found.faults.clone());
    while let Some(value) = repeated(&tokens) {
        tokens.retain(|entry| {
            let (name, token) = entry;
            let is_kept = token.value != value || held.contains(entry);
            if !is_kept {
                faults.push(format!(
                    "auth.tokens.{name}: it has the same value as another token; give each token a value of its own"
                ));
            }
            is_kept
        });
    }
    Usable { tokens, faults }
}

fn repeated(tokens: &[(String, Token)]) -> Option<String> {
    let (_, name) = same_value(tokens)?;
    let (_, token) = tokens.iter().find(|(other, _)| other == name)?;
    Some(token.value.clone())
}

#[cfg(test)]
mod tests {
    use stowage_config::TokenGrant;

    use super::*;

    fn token(name: &str, value: &str) -> (String, Token) {
        (name.into(), Token { value: value.into(), grant: TokenGrant::default() })
    }

    #[test]
    fn a_value_is_one_tokens_or_nobodys() {
        type Names = &'static [&'static str];
        // What held, what is found (each a name and a letter for its value), what holds.
        let table: &[(Names, Names, Names)] = &[
            (&[], &[], &[]),
            (&["a=1"], &[], &[]),
            (&[], &["a=1", "b=2"], &["a=1", "b=2"]),
            (&["a=1"], &["a=1", "b=1"], &["a=1"]),
            (&["b=1"], &["a=1", "b=1"], &["b=1"]),
            (&["a=2", "b=1"], &["a=1", "b=1", "c=3"], &["b=1", "c=3"]),
            (&["a=1"], &["b=1", "c=1", "d=1", "e=2"], &["e=2"]),
            (&["a=1", "b=2"], &["a=1", "b=2", "c=1", "d=2"], &["a=1", "b=2"]),
        ];
        let read = |names: Names| -> Vec<(String, Token)> {
            let pairs = names.iter().filter_map(|entry| entry.split_once('='));
            pairs.map(|(name, value)| token(name, value)).collect()
        };
        for (held, there, expected) in table {
            let found = Found { tokens: read(there), faults: vec!["another".into()] };
            let usable = usable(&found, &read(held));
            assert!(usable.tokens == read(expected), "{held:?}, then {there:?}: {usable:?}");
            let left_out = there.len() - expected.len();
            assert_eq!(usable.faults.len(), 1 + left_out, "{there:?}: {:?}", usable.faults);
        }
    }
}
