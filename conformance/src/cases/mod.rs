//! The tables: what is expected of a server, section by section.

mod artifacts;
mod common;
mod connections;
mod dates;
mod entity_tags;
mod head;
mod if_match;
mod if_none_match;
mod kv;
mod lists;
mod malformed;
mod not_modified;
mod order;
mod races;
mod ranges;
mod run_store;
mod writes;

use crate::case::Case;
use crate::profile::Profile;

/// The cases of a profile, in the order in which they are tried and reported.
#[must_use]
pub fn of(profile: Profile) -> Vec<Case> {
    let mut cases = all();
    cases.retain(|case| case.profiles.contains(&profile));
    cases
}

fn all() -> Vec<Case> {
    [
        writes::cases(),
        entity_tags::cases(),
        if_match::cases(),
        if_none_match::cases(),
        lists::cases(),
        not_modified::cases(),
        dates::cases(),
        order::cases(),
        head::cases(),
        ranges::cases(),
        malformed::cases(),
        connections::cases(),
        races::cases(),
        common::cases(),
        run_store::cases(),
        kv::cases(),
        artifacts::cases(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::case::{Action, Expect, Step};
    use crate::template::Context;
    use crate::wire::Answer;

    #[test]
    fn ids_are_unique_and_every_section_stands_together() {
        let mut ids = BTreeSet::new();
        for case in all() {
            assert!(ids.insert(case.id), "{} is there twice", case.id);
            assert_eq!(case.id.split('/').count(), 2, "{}: section/name", case.id);
            assert!(!case.title.ends_with('.'), "{}: a title", case.id);
            assert!(!case.steps.is_empty(), "{} does nothing", case.id);
            let cited = case.source == "contract" || case.source.starts_with("RFC ");
            assert!(cited, "{} cites nothing", case.id);
        }
        for &profile in Profile::ALL {
            let mut sections: Vec<&str> = of(profile).iter().map(Case::section).collect();
            sections.dedup();
            let unique: BTreeSet<&str> = sections.iter().copied().collect();
            assert_eq!(sections.len(), unique.len(), "{profile}: {sections:?}");
        }
    }

    /// Every name that a pattern or an expectation speaks of was saved by an earlier step.
    #[test]
    fn patterns_speak_of_what_was_saved() {
        let answer = Answer {
            status: 200,
            fields: vec![
                ("ETag".into(), "\"a\"".into()),
                ("Last-Modified".into(), "Sun, 06 Nov 1994 08:49:37 GMT".into()),
            ],
            ..Answer::default()
        };
        for case in all() {
            let mut context = Context::default();
            for step in &case.steps {
                let Step::Call(call) = step else { continue };
                let mut patterns: Vec<&str> = call.fields.iter().map(|f| f.1.as_str()).collect();
                if let Action::Raw { target, .. } = &call.action {
                    patterns.push(target);
                }
                for pattern in patterns {
                    assert!(context.fill(pattern).is_ok(), "{}: {pattern}", case.id);
                }
                for expect in &call.expect {
                    let checked = crate::check::check(expect, &answer, &context);
                    let unsaid = matches!(expect, Expect::Provided(_));
                    assert!(unsaid || checked.is_ok(), "{}: {expect:?}", case.id);
                }
                if let Some(name) = call.save {
                    context.saved.insert(name, answer.clone());
                }
                let silent = call.expect.is_empty() && call.save.is_none() && !call.may_close;
                assert!(!silent, "{}: a step that expects nothing: {call:?}", case.id);
            }
            let expects = case.steps.iter().any(|step| match step {
                Step::Race(_) => true,
                Step::Call(call) => {
                    call.expect.iter().any(|expect| !matches!(expect, Expect::Success))
                }
            });
            assert!(expects, "{} cannot fail", case.id);
        }
    }
}
