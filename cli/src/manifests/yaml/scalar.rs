//! What a plain scalar means (YAML 1.2 §10.3.2), where YAML 1.1 readers agree.

use serde_json::{Number, Value};

/// Why a plain scalar is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("Kubernetes reads this word as {0}: write {0}, or put it in quotes where it is a text")]
    Boolean(bool),
    #[error(
        "Kubernetes reads this number in another base: put it in quotes where it is a text, or \
         write it as a decimal number"
    )]
    Base,
    #[error("JSON has no such number: write a finite one, or put it in quotes where it is a text")]
    NotFinite,
}

/// Resolves a plain scalar.
///
/// # Errors
/// [`Refused`] where readers of YAML 1.1 and 1.2 disagree, or JSON cannot hold it.
pub(super) fn resolve(text: &str) -> Result<Value, Refused> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if let Some(boolean) = yaml_1_1_boolean(text) {
        return Err(Refused::Boolean(boolean));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Err(Refused::NotFinite);
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(Value::String(text.to_owned()));
    }
    if is_in_another_base(unsigned) {
        return Err(Refused::Base);
    }
    number(text, unsigned)
}

fn yaml_1_1_boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// `0777`, `0o777`, `0xFF`, `0b11` and `1_000`.
fn is_in_another_base(unsigned: &str) -> bool {
    let digits = |text: &str, base: u32| {
        !text.is_empty() && text.chars().all(|c| c.is_digit(base) || c == '_')
    };
    match unsigned.strip_prefix('0') {
        Some(rest) => {
            digits(rest, 10)
                || rest.strip_prefix('x').is_some_and(|rest| digits(rest, 16))
                || rest.strip_prefix('o').is_some_and(|rest| digits(rest, 8))
                || rest.strip_prefix('b').is_some_and(|rest| digits(rest, 2))
        }
        None => unsigned.contains('_') && digits(unsigned, 10),
    }
}

fn number(text: &str, unsigned: &str) -> Result<Value, Refused> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    if let Ok(whole) = plain.parse::<i64>() {
        return Ok(whole.into());
    }
    if let Ok(whole) = plain.parse::<u64>() {
        return Ok(whole.into());
    }
    let float_like = unsigned.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    match plain.parse::<f64>() {
        Ok(float) if float_like => {
            Number::from_f64(float).map(Value::Number).ok_or(Refused::NotFinite)
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_mean_what_every_reader_makes_of_them() {
        let table = [
            ("", json!(null)),
            ("~", json!(null)),
            ("null", json!(null)),
            ("true", json!(true)),
            ("False", json!(false)),
            ("0", json!(0)),
            ("-17", json!(-17)),
            ("+17", json!(17)),
            ("18446744073709551615", json!(u64::MAX)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("-1e3", json!(-1000.0)),
            ("1Gi", json!("1Gi")),
            ("1.2.3", json!("1.2.3")),
            ("10:30", json!("10:30")),
            ("y", json!("y")),
            ("nope", json!("nope")),
            ("--upload-pack=x", json!("--upload-pack=x")),
            ("2026-01-02", json!("2026-01-02")),
            ("infinity", json!("infinity")),
            (".", json!(".")),
            ("0x", json!("0x")),
            ("1e400x", json!("1e400x")),
        ];
        for (text, expected) in table {
            assert_eq!(resolve(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_readers_disagree_on_is_refused() {
        for (text, expected) in [
            ("yes", Refused::Boolean(true)),
            ("Off", Refused::Boolean(false)),
            ("0777", Refused::Base),
            ("-0777", Refused::Base),
            ("0o17", Refused::Base),
            ("0xFF", Refused::Base),
            ("1_000", Refused::Base),
            (".inf", Refused::NotFinite),
            ("-.INF", Refused::NotFinite),
            ("1e400", Refused::NotFinite),
        ] {
            assert_eq!(resolve(text), Err(expected), "{text:?}");
        }
    }
}
