use std::time::{Duration, Instant};

use super::*;

const LIMIT: usize = 1 << 20;

#[test]
fn documents_become_json() {
    let table = [
        ("b: 1\na: [x, 2.5, true, null, ~]", r#"{"b":1,"a":["x",2.5,true,null,null]}"#),
        ("- {}\n- []\n- ''", r#"[{},[],""]"#),
        ("--- \n# only\na: 1\n...\n", r#"{"a":1}"#),
        ("text", r#""text""#),
        ("~", "null"),
        ("{\"json\": [1, \"a\\u00e9\"]}", "{\"json\":[1,\"aé\"]}"),
        ("a: |\n  one\n  two\n", r#"{"a":"one\ntwo\n"}"#),
        ("switch: [yes, no, on, off, y]", r#"{"switch":["yes","no","on","off","y"]}"#),
        ("n: [0755, 1_000, 0x10, 0o7, -3, 1e3]", r#"{"n":["0755","1_000",16,7,-3,1000.0]}"#),
        ("big: 18446744073709551615", r#"{"big":18446744073709551615}"#),
        ("200: ok\ntrue: b\n1.50: c", r#"{"200":"ok","true":"b","1.50":"c"}"#),
        ("date: 2024-01-02", r#"{"date":"2024-01-02"}"#),
        ("a: !!str 1", r#"{"a":"1"}"#),
        (
            "base: &b {x: 1, y: 2}\na:\n  <<: *b\n  y: 3",
            r#"{"base":{"x":1,"y":2},"a":{"y":3,"x":1}}"#,
        ),
        ("a: &x [1]\nb: *x", r#"{"a":[1],"b":[1]}"#),
    ];
    for (text, expected) in table {
        let got = to_json(text, LIMIT);
        assert_eq!(got.as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_cannot_be_a_config_is_refused_with_its_place() {
    let deep = "[".repeat(65) + &"]".repeat(65);
    let deep_blocks: String = (0..70).map(|n| " ".repeat(n) + "a:\n").collect();
    let table = [
        ("", "", "empty"),
        ("# nothing\n---\n", "", "empty"),
        ("a: 1\nb: 2\na: 3\n", "3:1", "\"a\" stands here twice"),
        ("a: 1\n\"a\": 3\n", "2:1", "\"a\" stands here twice"),
        ("1: x\n\"1\": y\n", "2:", "\"1\" stands here twice"),
        ("a: 1\n---\nb: 2\n", "3:1", "second document"),
        ("a: [1, 2\nb: 3\n", "2:", ""),
        ("a: 'x\n", "", ""),
        ("a: .nan", "1:4", "JSON has no such number"),
        ("a: -.inf", "1:4", "JSON has no such number"),
        ("a: 1e999", "1:4", "JSON has no such number"),
        ("? [a, b]\n: 1\n", "1:3", "key is a list"),
        ("? {a: b}\n: 1\n", "1:3", "key is a list or a map"),
        ("~: 1\n", "1:1", "key is null"),
        ("a: !include /etc/passwd\n", "1:", "tag"),
        ("a: !!python/object/apply:os.system ['id']\n", "1:", "tag"),
        ("a: *nowhere\n", "1:4", "anchor"),
        ("a: &a [*a]\n", "1:", ""),
        ("a:\n\tb: 1\n", "2:", ""),
        (&deep, "1:65", "64 levels"),
        (&deep_blocks, "65:", "64 levels"),
    ];
    for (text, at, message) in table {
        let error = to_json(text, LIMIT).expect_err(text);
        assert!(error.message.contains(message), "{text}: {error:?}");
        assert!(error.at.starts_with(at), "{text}: {error:?}");
        assert!(!error.message.is_empty() && !error.message.contains("from_str"), "{error:?}");
    }
}

/// Nine levels of nine aliases each: some 387 million strings when written out.
fn alias_bomb() -> String {
    let mut bomb = "a0: &a0 [lol]\n".to_owned();
    for level in 1..=9 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        bomb += &format!("a{level}: &a{level} [{below}]\n");
    }
    bomb
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let started = Instant::now();
    let error = to_json(&alias_bomb(), 10 << 20).unwrap_err();
    assert!(error.message.contains("alias"), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
}

#[test]
fn a_long_string_that_aliases_repeat_counts_each_time() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(10_000), "*a, ".repeat(1_000));
    let error = to_json(&text, LIMIT).unwrap_err();
    assert!(error.message.contains("larger than 1048576 bytes"), "{error:?}");
}

#[test]
fn aliases_cannot_nest_deeper_than_text() {
    let mut text = "a0: &a0 [1]\n".to_owned();
    for level in 1..100 {
        text += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    let error = to_json(&text, LIMIT).unwrap_err();
    assert!(error.message.contains("64 levels") || error.message.contains("alias"), "{error:?}");
}

#[test]
fn one_anchor_may_serve_many_places() {
    let text = format!("a: &a 1\nb: [{}]\n", "*a, ".repeat(1_000));
    assert!(to_json(&text, LIMIT).is_ok());
}
