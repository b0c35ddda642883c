//! The check of histories can be relied on: it passes what one object does, whatever the
//! overlaps, and finds what one object cannot do.

#[path = "support/contracts.rs"]
mod contracts;
#[path = "support/linearizability.rs"]
mod linearizability;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use contracts::{
    Answer, Change, Condition, Document, DocumentOperation, Held, Members, Namespace,
    NamespaceOperation, Tags,
};
use linearizability::{Model, Span, check};

fn span<O>(call: u64, end: u64, operation: O) -> Span<O> {
    Span { call, end, operation }
}

fn put(body: &str) -> DocumentOperation {
    put_if(Condition::Nothing, body)
}

fn put_if(condition: Condition, body: &str) -> DocumentOperation {
    DocumentOperation::Put {
        body: body.into(),
        condition,
        answer: Answer::Done(format!("t{body}")),
    }
}

fn lost_put(body: &str) -> DocumentOperation {
    DocumentOperation::Put {
        body: body.into(),
        condition: Condition::Nothing,
        answer: Answer::Unknown,
    }
}

fn delete() -> DocumentOperation {
    DocumentOperation::Delete { condition: Condition::Nothing, answer: Answer::Done(true) }
}

fn refused(condition: Condition, current: Option<&str>) -> DocumentOperation {
    let answer = Answer::Refused(current.map(|body| format!("t{body}")));
    DocumentOperation::Put { body: "refused".into(), condition, answer }
}

fn get(body: &str) -> DocumentOperation {
    DocumentOperation::Get(Some((body.into(), format!("t{body}"))))
}

fn matches(body: &str) -> Condition {
    Condition::Matches(format!("t{body}"))
}

const NONE: DocumentOperation = DocumentOperation::Get(None);

/// Each history of a document that stands at nothing in the beginning, and whether it can be.
fn documents() -> Vec<(&'static str, Vec<Span<DocumentOperation>>, bool)> {
    vec![
        ("nothing at all", vec![], true),
        ("a read of what was written", vec![span(1, 2, put("a")), span(3, 4, get("a"))], true),
        (
            "a stale read",
            vec![span(1, 2, put("a")), span(3, 4, put("b")), span(5, 6, get("a"))],
            false,
        ),
        (
            "an old value while the new one is being written",
            vec![span(1, 2, put("a")), span(3, 6, put("b")), span(4, 5, get("a"))],
            true,
        ),
        (
            "the new value, then the old one",
            vec![
                span(1, 2, put("a")),
                span(3, 8, put("b")),
                span(4, 5, get("b")),
                span(6, 7, get("a")),
            ],
            false,
        ),
        (
            "two winners of one state: a lost update",
            vec![
                span(1, 2, put("a")),
                span(3, 6, put_if(matches("a"), "b")),
                span(4, 5, put_if(matches("a"), "c")),
            ],
            false,
        ),
        (
            "two creations",
            vec![
                span(1, 4, put_if(Condition::Absent, "a")),
                span(2, 3, put_if(Condition::Absent, "b")),
            ],
            false,
        ),
        (
            "a winner and a loser who sees the winner",
            vec![
                span(1, 2, put("a")),
                span(3, 6, put_if(matches("a"), "b")),
                span(4, 5, refused(matches("a"), Some("b"))),
            ],
            true,
        ),
        (
            "a loser who sees what he demanded",
            vec![span(1, 2, put("a")), span(3, 4, refused(matches("a"), Some("a")))],
            false,
        ),
        (
            "a loser to a write that comes later",
            vec![
                span(1, 2, put("a")),
                span(3, 4, refused(matches("a"), Some("b"))),
                span(5, 6, put("b")),
            ],
            false,
        ),
        (
            "a write without an answer that happened",
            vec![span(1, 5, lost_put("a")), span(6, 7, get("a"))],
            true,
        ),
        (
            "a write without an answer that did not",
            vec![span(1, 5, lost_put("a")), span(6, 7, NONE)],
            true,
        ),
        (
            "a write without an answer that was read, and then vanishes",
            vec![span(1, 5, lost_put("a")), span(2, 3, get("a")), span(6, 7, NONE)],
            false,
        ),
        (
            "a write without an answer that happens after its end",
            vec![span(1, 2, lost_put("a")), span(3, 4, NONE), span(5, 6, get("a"))],
            false,
        ),
        (
            "a write without an answer that changes its tag",
            vec![
                span(1, 5, lost_put("a")),
                span(6, 7, DocumentOperation::Get(Some(("a".into(), "t1".into())))),
                span(8, 9, DocumentOperation::Get(Some(("a".into(), "t2".into())))),
            ],
            false,
        ),
        ("a read of what nobody wrote", vec![span(1, 2, put("a")), span(3, 4, get("x"))], false),
        (
            "another tag than the answer said",
            vec![
                span(1, 2, put("a")),
                span(3, 4, DocumentOperation::Get(Some(("a".into(), "other".into())))),
            ],
            false,
        ),
        (
            "an acknowledged write that vanishes",
            vec![span(1, 2, put("a")), span(3, 4, NONE)],
            false,
        ),
        (
            "a deletion, then nothing",
            vec![span(1, 2, put("a")), span(3, 4, delete()), span(5, 6, NONE)],
            true,
        ),
        (
            "a document that comes back from its deletion",
            vec![span(1, 2, put("a")), span(3, 4, delete()), span(5, 6, get("a"))],
            false,
        ),
        ("a deletion of nothing that says there was something", vec![span(1, 2, delete())], false),
        (
            "an error that says that nothing was changed, and then it was",
            vec![
                span(
                    1,
                    2,
                    DocumentOperation::Put {
                        body: "a".into(),
                        condition: Condition::Nothing,
                        answer: Answer::Unchanged,
                    },
                ),
                span(3, 4, get("a")),
            ],
            false,
        ),
        (
            "many open at once, explained by one order alone",
            vec![
                span(1, 20, put("a")),
                span(2, 20, put_if(matches("a"), "b")),
                span(3, 20, put_if(matches("b"), "c")),
                span(4, 20, put_if(matches("c"), "d")),
                span(5, 6, get("d")),
                span(21, 22, get("d")),
            ],
            true,
        ),
    ]
}

#[test]
fn every_history_of_a_document() {
    for (name, history, is_possible) in documents() {
        let found = check(&Document, [None], &history);
        assert_eq!(found.is_ok(), is_possible, "{name}: {found:?}");
    }
}

fn patch(version: Option<u64>, key: &str, answer: Answer<u64>) -> NamespaceOperation {
    let changes = vec![Change::Set(key.into(), "1".into())];
    NamespaceOperation::Patch { changes, version, answer }
}

fn changes(changes: Vec<Change>, version: u64) -> NamespaceOperation {
    NamespaceOperation::Patch { changes, version: None, answer: Answer::Done(version) }
}

fn members(keys: &[&str]) -> Members {
    keys.iter().map(|key| ((*key).to_owned(), "1".to_owned())).collect()
}

#[test]
fn every_history_of_a_namespace() {
    let done = Answer::Done;
    let read = |version, keys: &[&str]| NamespaceOperation::Get(version, members(keys));
    let table = [
        (
            "a patch",
            vec![span(1, 2, patch(Some(0), "a", done(1))), span(3, 4, read(1, &["a"]))],
            true,
        ),
        (
            "two winners of one version",
            vec![
                span(1, 4, patch(Some(0), "a", done(1))),
                span(2, 3, patch(Some(0), "b", done(1))),
            ],
            false,
        ),
        (
            "a version that is given twice",
            vec![span(1, 4, patch(None, "a", done(1))), span(2, 3, patch(None, "b", done(1)))],
            false,
        ),
        (
            "a version that goes back",
            vec![
                span(1, 2, patch(None, "a", done(1))),
                span(3, 4, patch(None, "b", done(2))),
                span(5, 6, read(1, &["a"])),
            ],
            false,
        ),
        (
            "half of the patches",
            vec![
                span(1, 2, patch(None, "a", done(1))),
                span(3, 4, patch(None, "b", done(2))),
                span(5, 6, read(2, &["b"])),
            ],
            false,
        ),
        (
            "a gap that a write without an answer explains",
            vec![
                span(1, 9, patch(None, "a", Answer::Unknown)),
                span(2, 3, patch(None, "b", done(2))),
                span(10, 11, read(2, &["a", "b"])),
            ],
            true,
        ),
        (
            "a gap that nothing explains",
            vec![span(2, 3, patch(None, "b", done(2))), span(10, 11, read(2, &["b"]))],
            false,
        ),
        (
            "a clear and a deletion",
            vec![
                span(1, 2, patch(None, "a", done(1))),
                span(3, 4, changes(vec![Change::Delete("a".into())], 2)),
                span(5, 6, read(2, &[])),
                span(7, 8, patch(None, "b", done(3))),
                span(9, 10, changes(vec![Change::Clear], 4)),
                span(11, 12, read(4, &[])),
            ],
            true,
        ),
        (
            "a refusal that tells the version",
            vec![
                span(1, 2, patch(None, "a", done(1))),
                span(3, 4, patch(Some(0), "b", Answer::Refused(Some("1".into())))),
            ],
            true,
        ),
        (
            "a refusal of what holds",
            vec![span(3, 4, patch(Some(0), "b", Answer::Refused(Some("0".into()))))],
            false,
        ),
    ];
    for (name, history, is_possible) in table {
        let found = check(&Namespace, [(0, Members::new())], &history);
        assert_eq!(found.is_ok(), is_possible, "{name}: {found:?}");
    }
}

#[test]
fn a_tag_names_one_write() {
    let mut tags = Tags::default();
    let twice = [put("a"), delete(), put("a")];
    tags.take_in(&twice).expect_err("two writes of the same bytes have two tags");
    let mut tags = Tags::default();
    tags.take_in([&put("a"), &get("a")]).expect("one write, read once");
    tags.saw(&"ta".to_owned(), "b").expect_err("another body");
}

/// What a client wants to do, in the generated histories.
#[derive(Debug, Clone)]
enum Wish {
    Get,
    Put,
    PutIfAbsent,
    /// Under the condition of the tag that was current so many writes ago.
    PutIfBack(usize),
    Delete,
}

/// One operation of a generated history: when it is called, carried out (if at all) and answered,
/// each after the one before by so much.
#[derive(Debug, Clone)]
struct Plan {
    wish: Wish,
    call: u64,
    after_call: u64,
    after_effect: u64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It was carried out, but the answer is lost.
    AnswerLost,
    RequestLost,
}

fn plan() -> impl Strategy<Value = Plan> {
    let wish = prop_oneof![
        3 => Just(Wish::Get),
        3 => Just(Wish::Put),
        1 => Just(Wish::PutIfAbsent),
        3 => (0..3_usize).prop_map(Wish::PutIfBack),
        1 => Just(Wish::Delete),
    ];
    let fate = prop_oneof![
        8 => Just(Fate::Answered),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::RequestLost),
    ];
    // Calls spread so that about six operations are open at once.
    (wish, 0..1_000_u64, 0..50_u64, 0..50_u64, fate).prop_map(
        |(wish, call, after_call, after_effect, fate)| Plan {
            wish,
            call,
            after_call,
            after_effect,
            fate,
        },
    )
}

/// Carries plans out on one document, in the order of their effects.
fn carry_out(mut plans: Vec<Plan>) -> Vec<Span<DocumentOperation>> {
    plans.sort_by_key(|plan| plan.call + plan.after_call);
    let mut state: Option<Held> = None;
    let mut tags: Vec<String> = vec!["never".into()];
    let mut history = Vec::new();
    for (i, plan) in plans.into_iter().enumerate() {
        let current = state.as_ref().and_then(|held| held.tag.clone());
        let is_carried_out = plan.fate != Fate::RequestLost;
        let back = if let Wish::PutIfBack(back) = plan.wish { back } else { 0 };
        let earlier = tags[tags.len().saturating_sub(1 + back)].clone();
        let mut put = |condition: Condition, holds: bool| {
            let (body, tag) = (format!("b{i}"), format!("t{i}"));
            if holds && is_carried_out {
                state = Some(Held { body: body.clone(), tag: Some(tag.clone()) });
                tags.push(tag.clone());
            }
            let answer = match (plan.fate, holds) {
                (Fate::Answered, true) => Answer::Done(tag),
                (Fate::Answered, false) => Answer::Refused(current.clone()),
                _ => Answer::Unknown,
            };
            DocumentOperation::Put { body, condition, answer }
        };
        let operation = match plan.wish {
            Wish::Get => {
                let seen = state
                    .as_ref()
                    .map(|held| (held.body.clone(), held.tag.clone().expect("here each has one")));
                DocumentOperation::Get(seen)
            }
            Wish::Put => put(Condition::Nothing, true),
            Wish::PutIfAbsent => put(Condition::Absent, current.is_none()),
            Wish::PutIfBack(_) => {
                let holds = current.as_ref() == Some(&earlier);
                put(Condition::Matches(earlier), holds)
            }
            Wish::Delete => {
                let was_there = state.is_some();
                if is_carried_out {
                    state = None;
                }
                let answer = match plan.fate {
                    Fate::Answered => Answer::Done(was_there),
                    _ => Answer::Unknown,
                };
                DocumentOperation::Delete { condition: Condition::Nothing, answer }
            }
        };
        let effect = plan.call + plan.after_call;
        // Twice the time, so that a call and an end at one moment have an order: that of a model
        // that takes them to overlap.
        history.push(span(2 * plan.call, 2 * (effect + plan.after_effect) + 1, operation));
    }
    history
}

/// Tries every order: slow, and plainly right.
fn is_explained(state: &Option<Held>, left: &BTreeMap<usize, &Span<DocumentOperation>>) -> bool {
    let answered = |span: &Span<_>| Document.is_answered(&span.operation);
    if left.values().all(|span| !answered(span)) {
        return true;
    }
    // Nothing may come before an operation that had ended when it was called; one without an
    // answer can also be left out, which is what happens where it never is the next one.
    let first_end = left.values().filter(|span| answered(span)).map(|span| span.end).min();
    left.iter().any(|(i, next)| {
        if first_end.is_some_and(|end| end < next.call) {
            return false;
        }
        let mut rest = left.clone();
        rest.remove(i);
        // Those without an answer whose end has passed are left out for good.
        rest.retain(|_, span| answered(span) || span.end >= next.call);
        Document.step(state, &next.operation).is_some_and(|after| is_explained(&after, &rest))
    })
}

proptest! {
    #[test]
    fn what_one_document_does_is_passed(plans in prop::collection::vec(plan(), 0..80)) {
        let history = carry_out(plans);
        let found = check(&Document, [None], &history);
        prop_assert!(found.is_ok(), "{}", found.expect_err("a violation"));
    }

    /// Against every order, on short histories of which one answer is exchanged with another's.
    #[test]
    fn the_check_finds_exactly_what_no_order_explains(
        plans in prop::collection::vec(plan(), 2..7),
        one: prop::sample::Index,
        other: prop::sample::Index,
    ) {
        let mut history = carry_out(plans);
        let (one, other) = (one.index(history.len()), other.index(history.len()));
        let (first, second) = (history[one].operation.clone(), history[other].operation.clone());
        history[one].operation = second;
        history[other].operation = first;
        let left: BTreeMap<_, _> = history.iter().enumerate().collect();
        let found = check(&Document, [None], &history);
        prop_assert_eq!(found.is_ok(), is_explained(&None, &left), "{:#?}", history);
    }
}

#[test]
fn a_long_history_costs_what_its_overlaps_cost() {
    let mut history = Vec::new();
    for i in 0..20_000_u64 {
        let condition = if i == 0 { Condition::Absent } else { matches(&(i - 1).to_string()) };
        history.push(span(4 * i, 4 * i + 6, put_if(condition, &i.to_string())));
        let body = i.to_string();
        history.push(span(4 * i + 5, 4 * i + 7, get(&body)));
    }
    let began = std::time::Instant::now();
    let states = check(&Document, [None], &history).expect("it can be");
    let expected = Held { body: "19999".into(), tag: Some("t19999".into()) };
    assert_eq!(states, BTreeSet::from([Some(expected)]));
    let seconds = began.elapsed().as_secs();
    assert!(seconds < 30, "40,000 operations took {seconds} s");
}
