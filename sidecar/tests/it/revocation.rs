//! Auth, "reloaded when the file changes": a token that is taken out is refused, whatever else stands
//! in the directory.

use super::harness::{ADMIN, eventually};
use super::process::{Place, Process};
use super::raw::get;

const CI: &str = "ci-0123456789abcdef";

struct Tokens {
    place: Place,
    process: Process,
}

impl Tokens {
    /// A server that starts with these files.
    async fn start(files: &[(&str, &str)], arguments: &[&str]) -> Self {
        let place = Place::new();
        std::fs::remove_file(place.path("tokens/admin")).expect("a file");
        for (name, text) in files {
            std::fs::write(place.path("tokens").join(name), text).expect("a file");
        }
        let process = place.start_with(arguments).await;
        Self { place, process }
    }

    /// Changes the files at once, as a Secret's mount does: none of what is between is seen.
    fn change(&self, files: &[(&str, &str)]) {
        let (next, tokens) = (self.place.path("next"), self.place.path("tokens"));
        std::fs::create_dir(&next).expect("a directory");
        for (name, text) in files {
            std::fs::write(next.join(name), text).expect("a file");
        }
        std::fs::rename(&tokens, self.place.path("before")).expect("a directory");
        std::fs::rename(&next, &tokens).expect("a directory");
        std::fs::remove_dir_all(self.place.path("before")).expect("a directory");
    }

    async fn status(&self, token: &str) -> u16 {
        let request = get("/").header("Authorization", &format!("Bearer {token}"));
        request.send(self.process.address).await.status
    }

    async fn becomes(&self, token: &str, status: u16) {
        let what = format!("{token} is answered {status}");
        eventually(&what, async || (self.status(token).await == status).then_some(())).await;
    }

    fn lines(&self, level: &str, parts: &[&str]) -> usize {
        let log = self.process.log();
        let holds = |line: &&str| parts.iter().all(|part| line.contains(part));
        log.lines().filter(|line| line.contains(level)).filter(holds).count()
    }
}

#[tokio::test]
async fn taking_away_the_last_token_refuses_it() {
    let tokens = Tokens::start(&[("admin", ADMIN)], &[]).await;
    assert_eq!(tokens.status(ADMIN).await, 404, "it holds at first");

    tokens.change(&[]);
    tokens.becomes(ADMIN, 401).await;
    eventually("the log says so", async || {
        (tokens.lines("WARN", &["no token"]) == 1).then_some(())
    })
    .await;
    assert_eq!(get("/health").send(tokens.process.address).await.status, 200, "it goes on");

    tokens.change(&[("ci", CI)]);
    tokens.becomes(CI, 404).await;
    assert_eq!(tokens.status(ADMIN).await, 401, "what was taken away stays refused");
}

#[tokio::test]
async fn a_file_that_holds_no_token_keeps_no_other_from_being_taken_away() {
    let files = [("admin", ADMIN), ("ci", CI), ("old", "old-0123456789abcdef")];
    let tokens = Tokens::start(&files, &[]).await;
    assert_eq!(tokens.status(CI).await, 404, "it holds at first");

    tokens.change(&[("admin", ADMIN), ("ci", "hunter2")]);
    tokens.becomes("old-0123456789abcdef", 401).await;
    assert_eq!(tokens.status(CI).await, 401, "the file says it no more");
    assert_eq!(tokens.status(ADMIN).await, 404, "the others hold");
    let told = async || (tokens.lines("ERROR", &["the token ci", "shorter"]) == 1).then_some(());
    eventually("the log names the file", told).await;
    assert!(!tokens.process.log().contains("hunter2"), "{}", tokens.process.log());

    tokens.change(&[("admin", ADMIN), ("ci", CI)]);
    tokens.becomes(CI, 404).await;
}

#[tokio::test]
async fn a_value_that_stands_there_twice_is_whose_it_was() {
    let files = [("admin", ADMIN), ("old", "old-0123456789abcdef")];
    let tokens = Tokens::start(&files, &[]).await;
    tokens.change(&[
        ("a", CI),
        ("admin", ADMIN),
        ("another", r#"{"token":"admin-0123456789abcdef","contracts":["kv"]}"#),
        ("b", CI),
    ]);
    tokens.becomes("old-0123456789abcdef", 401).await;
    assert_eq!(tokens.status(ADMIN).await, 404, "admin's rights, not those of the newcomer");
    assert_eq!(tokens.status(CI).await, 401, "of two new ones it is neither's");
    let told = async || (tokens.lines("ERROR", &["the same value"]) == 3).then_some(());
    eventually("each file that is left out is named", told).await;
}

/// Said on the command line, it is for a server that has never had a token.
#[tokio::test]
async fn a_server_that_has_asked_for_tokens_is_never_opened_by_taking_them_away() {
    let tokens = Tokens::start(&[], &["--insecure-no-auth"]).await;
    assert_eq!(get("/").send(tokens.process.address).await.status, 404, "open to everyone");
    tokens.change(&[("admin", ADMIN)]);
    eventually("a token is asked for", async || {
        (get("/").send(tokens.process.address).await.status == 401).then_some(())
    })
    .await;
    tokens.change(&[]);
    tokens.becomes(ADMIN, 401).await;
    assert_eq!(get("/").send(tokens.process.address).await.status, 401, "and stays closed");
}
