//! From the parser's events to trees, under a budget.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use super::{Content, Entry, Node, Position, scalar};

/// The deepest nesting. Resources have a depth of ten; what walks a tree is recursive.
const DEPTH_MAX: usize = 64;
/// What all nodes of a file may weigh: aliases are copied out, and an alias of aliases could fill
/// any memory.
const WEIGHT_MAX: usize = 64 << 20;
/// What a node weighs beside its text.
const NODE_WEIGHT: usize = 64;

/// Something that is wrong with the text itself.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Fault {
    pub(in super::super) at: Position,
    pub(in super::super) message: String,
}

/// Reads every document of a text, and everything that is wrong with it. After a fault that
/// leaves unclear what follows, the rest is not read.
pub(in super::super) fn parse(text: &str) -> (Vec<Node>, Vec<Fault>) {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let ended = match event {
            Ok((Event::StreamEnd, _)) => break,
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let message = format!("this is not YAML: {}", error.info());
                Err(Fault { at: position(*error.marker()), message })
            }
        };
        if let Err(fault) = ended {
            builder.faults.push(fault);
            break;
        }
    }
    (builder.documents, builder.faults)
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

/// A node that is read to its end.
#[derive(Clone)]
struct Built {
    node: Node,
    weight: usize,
    /// Whether it merges where it is a key: an alias of it does as well.
    merges: bool,
}

/// A collection whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    weight: usize,
    /// In a mapping, the key whose value comes next; `None` inside where the key is refused.
    key: Option<(Option<String>, Position)>,
    /// In a mapping, the line of each key so far.
    seen: HashMap<String, usize>,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    faults: Vec<Fault>,
    open: Vec<Open>,
    anchors: HashMap<usize, Built>,
    weight: usize,
    /// Whether the document that is read has a merge: it lacks fields, and nothing true can be said
    /// of those.
    merged: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let at = position(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let weight = NODE_WEIGHT + text.len();
                // In quotes it is a key as any other.
                let merges = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let value = self.scalar(&text, style, tag.as_deref(), at);
                let node = Node { at, content: Content::Scalar(value) };
                self.add(Built { node, weight, merges }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.start(Content::Sequence(Vec::new()), at, anchor, tag, "seq")
            }
            Event::MappingStart(anchor, tag) => {
                self.start(Content::Mapping(Vec::new()), at, anchor, tag, "map")
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { node, anchor, weight, .. }) => {
                    self.add_paid(Built { node, weight, merges: false }, anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(mut built) = self.anchors.get(&anchor).cloned() else {
                    let message = "this alias stands inside of what it refers to".to_owned();
                    return Err(Fault { at, message });
                };
                built.node.at = at;
                self.add(built, 0)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.merged = false;
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn start(
        &mut self,
        content: Content,
        at: Position,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        core: &str,
    ) -> Result<(), Fault> {
        if tag.is_some_and(|tag| !(tag.is_yaml_core_schema() && tag.suffix == core)) {
            self.refuse_tag(at);
        }
        if self.open.len() >= DEPTH_MAX {
            let message = format!("this is nested more than {DEPTH_MAX} levels deep");
            return Err(Fault { at, message });
        }
        self.spend(NODE_WEIGHT, at)?;
        let node = Node { at, content };
        let seen = HashMap::new();
        self.open.push(Open { node, anchor, weight: NODE_WEIGHT, key: None, seen });
        Ok(())
    }

    /// Adds a node that has not been paid for.
    fn add(&mut self, built: Built, anchor: usize) -> Result<(), Fault> {
        self.spend(built.weight, built.node.at)?;
        self.add_paid(built, anchor)
    }

    fn add_paid(&mut self, built: Built, anchor: usize) -> Result<(), Fault> {
        if anchor > 0 {
            self.spend(built.weight, built.node.at)?;
            self.anchors.insert(anchor, built.clone());
        }
        let Some(open) = self.open.last_mut() else {
            let empty = built.node.content == Content::Scalar(Value::Null);
            self.documents.extend((!empty && !self.merged).then_some(built.node));
            return Ok(());
        };
        open.weight += built.weight;
        match &mut open.node.content {
            Content::Sequence(items) => items.push(built.node),
            Content::Mapping(entries) => match open.key.take() {
                None => {
                    self.merged |= built.merges;
                    open.key = Some(read_key(&built, &mut open.seen, &mut self.faults));
                }
                Some((Some(key), key_at)) => entries.push(Entry { key, key_at, value: built.node }),
                Some((None, _)) => {}
            },
            Content::Scalar(_) => {}
        }
        Ok(())
    }

    fn spend(&mut self, weight: usize, at: Position) -> Result<(), Fault> {
        self.weight += weight;
        if self.weight > WEIGHT_MAX {
            let message = "with its aliases written out, this file is too large: write less, or \
                           use fewer aliases"
                .to_owned();
            return Err(Fault { at, message });
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Value {
        let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
        let as_text = match (tag, core) {
            (None, _) => style != ScalarStyle::Plain,
            (_, Some("str")) => true,
            (_, Some("null" | "bool" | "int" | "float")) => false,
            _ => {
                self.refuse_tag(at);
                true
            }
        };
        if as_text {
            return Value::String(text.to_owned());
        }
        scalar::resolve(text).unwrap_or_else(|refused| {
            self.faults.push(Fault { at, message: refused.to_string() });
            Value::String(text.to_owned())
        })
    }

    fn refuse_tag(&mut self, at: Position) {
        let message = "a tag (!) means nothing in a manifest: take it out".to_owned();
        self.faults.push(Fault { at, message });
    }
}

/// The key of a mapping's next entry; `None` inside where it is refused and its value with it.
fn read_key(
    built: &Built,
    seen: &mut HashMap<String, usize>,
    faults: &mut Vec<Fault>,
) -> (Option<String>, Position) {
    let at = built.node.at;
    let mut refuse = |message: String| {
        faults.push(Fault { at, message });
        (None, at)
    };
    if built.merges {
        return refuse("merge keys (<<) are not read: write the fields out".to_owned());
    }
    let key = match &built.node.content {
        Content::Scalar(Value::String(key)) => key.clone(),
        Content::Scalar(_) => return refuse("a key is a text: put it in quotes".to_owned()),
        _ => return refuse("a key is a text, not a list or a mapping".to_owned()),
    };
    if let Some(line) = seen.get(&key) {
        return refuse(format!(
            "the key {key:?} stands here a second time (first on line {line}): keep one"
        ));
    }
    seen.insert(key.clone(), at.line);
    (Some(key), at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::manifests::yaml::Step;

    fn faults(text: &str) -> Vec<(usize, usize, String)> {
        let (_, faults) = parse(text);
        faults.into_iter().map(|f| (f.at.line, f.at.column, f.message)).collect()
    }

    #[test]
    fn documents_are_read_with_their_places() {
        let text = "# first\na:\n  - b: 1\n  - 'c': {d: x}\n---\n---\n{\"e\": [true]}\n";
        let (documents, faults) = parse(text);
        assert_eq!(faults, []);
        let json: Vec<Value> = documents.iter().map(Node::to_json).collect();
        assert_eq!(json, [json!({"a": [{"b": 1}, {"c": {"d": "x"}}]}), json!({"e": [true]})]);
        let key = |key: &str| Step::Key(key.to_owned());
        let table = [
            (vec![], 2, 1),
            (vec![key("a")], 2, 1),
            (vec![key("a"), Step::Index(1)], 4, 5),
            (vec![key("a"), Step::Index(1), key("c"), key("d")], 4, 11),
            (vec![key("a"), Step::Index(0), key("nothing"), key("here")], 3, 5),
        ];
        for (path, line, column) in table {
            assert_eq!(documents[0].locate(&path), Position { line, column }, "{path:?}");
        }
        assert_eq!(documents[1].at, Position { line: 7, column: 1 });
    }

    #[test]
    fn json_with_tabs_is_read() {
        let (documents, faults) = parse("{\n\t\"a\": {\n\t\t\"b\": [1,\t2]\n\t}\n}\n");
        assert_eq!(faults, []);
        assert_eq!(documents[0].to_json(), json!({"a": {"b": [1, 2]}}));
    }

    #[test]
    fn a_key_that_looks_like_a_merge_is_one_without_quotes_only() {
        for text in ["\"<<\": {b: 1}\n", "'<<': {b: 1}\n", "!!str <<: {b: 1}\n"] {
            let (documents, faults) = parse(text);
            assert_eq!(faults, [], "{text}");
            assert_eq!(documents[0].to_json(), json!({"<<": {"b": 1}}), "{text}");
        }
        let (documents, faults) = parse("a: <<\nb: [<<]\n");
        assert_eq!(faults, [], "where a value stands");
        assert_eq!(documents[0].to_json(), json!({"a": "<<", "b": ["<<"]}));
        let (documents, faults) = parse("a: &x '<<'\nb: {*x : 1}\n");
        assert_eq!(faults, [], "an alias of one in quotes");
        assert_eq!(documents[0].to_json(), json!({"a": "<<", "b": {"<<": 1}}));
    }

    #[test]
    fn a_merge_is_told_of_once_in_whatever_form_it_comes() {
        let merge = "merge keys (<<) are not read: write the fields out";
        for (text, line, column) in [
            ("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n", 3, 3),
            ("a: &x <<\nb: {c: 1, *x : {d: 1}}\n", 2, 11),
            ("a: [&x <<]\nb:\n  ? *x\n  : {d: 1}\n", 3, 5),
            ("a: {&x <<: {b: 1}}\n", 1, 5),
        ] {
            assert_eq!(faults(text), [(line, column, merge.to_owned())], "{text}");
        }
        let (documents, faults) = parse("<<: {a: 1}\n---\nb: 1\n");
        assert_eq!(faults.len(), 1);
        let json: Vec<Value> = documents.iter().map(Node::to_json).collect();
        assert_eq!(json, [json!({"b": 1})], "what lacks what it was to have is no document");
    }

    #[test]
    fn aliases_are_copied_out() {
        let (documents, faults) = parse("a: &x {b: 1}\nc: *x\n");
        assert_eq!(faults, []);
        assert_eq!(documents[0].to_json(), json!({"a": {"b": 1}, "c": {"b": 1}}));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let table = [
            (
                "a: 1\nb: 2\na: 3\n",
                3,
                1,
                "the key \"a\" stands here a second time (first on line 1)",
            ),
            ("a: b: c\n", 1, 5, "this is not YAML"),
            ("a: [1\nb: 2\n", 2, 2, "this is not YAML"),
            ("a: on\n", 1, 4, "Kubernetes reads this word as true"),
            ("no: 1\n", 1, 1, "Kubernetes reads this word as false"),
            ("mode: 0777\n", 1, 7, "in another base"),
            ("a: &x 1\nb:\n  <<: *x\n", 3, 3, "merge keys"),
            ("1: a\n", 1, 1, "a key is a text: put it in quotes"),
            ("[a]: b\n", 1, 1, "a key is a text, not a list"),
            ("a: !!binary x\n", 1, 4, "a tag (!) means nothing"),
            ("a: !x {b: 1}\n", 1, 4, "a tag (!) means nothing"),
            ("a: &x [*x]\n", 1, 8, "this alias stands inside of what it refers to"),
            ("a: *x\n", 1, 4, "this is not YAML"),
        ];
        for (text, line, column, message) in table {
            let found = faults(text);
            let fits = found.iter().any(|f| (f.0, f.1) == (line, column) && f.2.contains(message));
            assert!(fits, "{text:?}: expected {line}:{column} {message}: {found:?}");
        }
    }

    #[test]
    fn what_could_fill_the_memory_is_refused_before_it_does() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(faults(&bomb)[0].2.contains("too large"), "{:?}", faults(&bomb));
        for (deep, message) in [
            ("[".repeat(100_000), "recursion limit exceeded"),
            ("[".repeat(100), "levels deep"),
            ("{a: ".repeat(100), "levels deep"),
            ("- ".repeat(100_000), "levels deep"),
        ] {
            let found = faults(&deep);
            assert!(found[0].2.contains(message), "expected {message}: {found:?}");
        }
    }

    /// Any JSON but what YAML cannot carry: its escapes of UTF-16 halves.
    fn any_json() -> impl Strategy<Value = Value> {
        let text = "[ -~äß\n\t€😀]{0,12}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text, inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever is written, by a serialiser of JSON or of YAML, is read as it was.
        #[test]
        fn what_is_written_is_read(value in any_json()) {
            let value = json!({"spec": value});
            for text in [
                serde_json::to_string(&value).unwrap(),
                serde_json::to_string_pretty(&value).unwrap(),
                serde_saphyr::to_string(&value).unwrap(),
            ] {
                let (documents, faults) = parse(&text);
                prop_assert_eq!(&faults, &[], "{}", text);
                prop_assert_eq!(documents[0].to_json(), value.clone(), "{}", text);
            }
        }

        /// Whatever stands in a file, it is answered.
        #[test]
        fn nothing_makes_the_reader_fail(text in "[ -~\n]{0,80}|[a-c:\\[\\]{}&*!|>?'\"#, \n-]{0,60}") {
            let (documents, faults) = parse(&text);
            for document in &documents {
                prop_assert!(document.at.line >= 1);
            }
            for fault in &faults {
                prop_assert!(!fault.message.is_empty());
            }
        }
    }
}
