//! The suite finds what is wrong: a small server that keeps to every rule passes all of it, and the
//! same server with one defect fails the case that is named for it.

mod planted {
    pub(crate) mod conditions;
    pub(crate) mod defect;
    pub(crate) mod server;
}

use std::time::Duration;

use planted::defect::Defect;
use planted::server::{Server, TOKEN};
use stowage_conformance::{Origin, Outcome, Profile, Report, Settings, run};

fn settings(server: &Server) -> Settings {
    let origin = Origin::parse(&format!("http://{}", server.address)).expect("a URL");
    Settings::new(origin, Profile::Generic)
        .timeout(Duration::from_secs(20))
        .token(TOKEN)
        .expect("a token")
}

fn try_it(server: &Server, only: Option<&str>) -> Report {
    let mut settings = settings(server);
    if let Some(only) = only {
        settings = settings.only(only);
    }
    run(&settings, |_| {}).expect("the server can be tried")
}

/// What is not a pass, a line each.
fn others(report: &Report) -> Vec<String> {
    report
        .results
        .iter()
        .filter(|result| result.outcome != Outcome::Pass)
        .map(|result| format!("{}: {:?}", result.case.id, result.outcome))
        .collect()
}

#[test]
fn a_server_without_a_defect_passes_everything() {
    let report = try_it(&Server::start(None), None);
    let (skipped, failed): (Vec<String>, Vec<String>) =
        others(&report).into_iter().partition(|line| line.contains("NotApplicable"));
    assert_eq!(failed, Vec::<String>::new());
    let skipped: Vec<&str> = skipped.iter().filter_map(|line| line.split(':').next()).collect();
    // What only a server with weak tags, without dates, or one that wants conditions can show.
    let expected = [
        "writes/condition-required",
        "if-match/weak-tag",
        "if-none-match/get-strong",
        "dates/unmodified-no-date",
    ];
    assert_eq!(skipped, expected);
    assert!(report.conforms());
}

#[test]
fn each_defect_is_found_by_the_case_that_is_named_for_it() {
    for (defect, id) in Defect::ALL {
        let server = Server::start(Some(*defect));
        let section = id.split('/').next();
        let report = try_it(&server, section);
        let errors: Vec<String> =
            others(&report).into_iter().filter(|line| line.contains(": Error(")).collect();
        assert_eq!(errors, Vec::<String>::new(), "{defect:?}");
        let result = report.results.iter().find(|result| result.case.id == *id);
        let result = result.unwrap_or_else(|| panic!("{defect:?}: there is no case {id}"));
        assert!(
            matches!(result.outcome, Outcome::Fail { .. }),
            "{defect:?}: {id} should fail, and is {:?}; besides: {:#?}",
            result.outcome,
            others(&report)
        );
        // One that the RFC leaves open is told, and is no failure.
        assert_eq!(report.conforms(), *defect == Defect::HashTag, "{defect:?}");
    }
}

/// What a race for large documents comes to at a server that takes none above a limit, which it may.
fn readers_under(defect: Option<Defect>, body_max: usize) -> Outcome {
    let server = Server::with_body_max(defect, body_max);
    let report = try_it(&server, Some("races/readers"));
    let [result] = report.results.as_slice() else { panic!("one case: {:#?}", report.results) };
    result.outcome.clone()
}

#[test]
fn a_server_with_a_small_limit_is_tried_with_smaller_documents() {
    for body_max in [64 << 10, 4 << 10] {
        assert_eq!(readers_under(None, body_max), Outcome::Pass, "{body_max}");
        let torn = readers_under(Some(Defect::TornWrites), body_max);
        assert!(matches!(torn, Outcome::Fail { .. }), "{body_max}: torn writes are {torn:?}");
    }
    let tiny = readers_under(None, 1 << 10);
    let Outcome::NotApplicable(reason) = tiny else { panic!("expected no race, got {tiny:?}") };
    assert!(reason.contains("413"), "{reason}");
}

#[test]
fn a_server_that_takes_no_writes_or_no_token_is_said_to_be_that() {
    let server = Server::start(Some(Defect::ReadOnly));
    let stop = run(&settings(&server), |_| {}).expect_err("nothing can be tried").to_string();
    assert!(stop.contains("405") && stop.contains("--path"), "{stop}");

    let server = Server::start(None);
    let origin = Origin::parse(&format!("http://{}", server.address)).expect("a URL");
    let without = Settings::new(origin, Profile::Generic);
    let stop = run(&without, |_| {}).expect_err("nothing can be tried").to_string();
    assert!(stop.contains("401") && stop.contains("--token-file"), "{stop}");

    let address = server.address;
    drop(server);
    let origin = Origin::parse(&format!("http://{address}")).expect("a URL");
    let gone = Settings::new(origin, Profile::Generic);
    let stop = run(&gone, |_| {}).expect_err("nobody is there").to_string();
    assert!(stop.contains("--url"), "{stop}");
}

#[test]
fn nothing_is_left_behind() {
    let server = Server::start(None);
    try_it(&server, None);
    assert_eq!(server.left(), Vec::<String>::new());
}
