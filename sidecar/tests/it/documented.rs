//! The commands of the README's part about HTTP and of `docs/http.md`, pasted into a shell beside a
//! server, in their order.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use super::harness::{ADMIN, Server, Setup};
use super::raw::put;

/// What a command printed, and how it ended.
struct Ran {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Ran {
    fn status(&self) -> Option<u16> {
        // An upload may be asked for first (100).
        let mut lines = self.output.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 "));
        lines.next_back()?.get(..3)?.parse().ok()
    }

    fn tag(&self) -> Option<&str> {
        self.output.lines().find_map(|line| line.strip_prefix("etag: ")).map(str::trim)
    }
}

struct Shell {
    server: Server,
    directory: TempDir,
    /// What stands for `"<etag>"`: a reader puts the last one there.
    tag: String,
}

impl Shell {
    async fn start() -> Self {
        let server = Setup::default().history(10).token("admin", ADMIN).start().await;
        let set = r#"{"revision":"4b825dc","files":[{"filepath":"jobs/orders.runtime.yaml","config":{}}]}"#;
        let request = put("/runtimes/etl/main", set);
        let request = request.header("Authorization", &format!("Bearer {ADMIN}"));
        assert_eq!(server.send(&request).await.status, 201, "a source has published this");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("docs")).expect("a directory");
        Self { server, directory, tag: String::new() }
    }

    async fn run(&self, command: &str) -> Ran {
        let command = command.replace("\"<etag>\"", &self.tag);
        // What it watches has no end.
        let command = command.replace("curl -N ", "curl -N --max-time 3 ");
        let ran = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &command])
            .current_dir(self.directory.path())
            .env("STOWAGE_URL", self.server.url(""))
            .env("STOWAGE_TOKEN", ADMIN)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("bash runs");
        Ran {
            code: ran.status.code(),
            output: String::from_utf8_lossy(&ran.stdout).into_owned(),
            errors: String::from_utf8_lossy(&ran.stderr).into_owned(),
        }
    }

    async fn verify(&mut self, command: &str) {
        let ran = self.run(command).await;
        let said = format!("{command}\n{}{}", ran.output, ran.errors);
        if command.starts_with("curl -N ") {
            assert!(ran.output.starts_with("event: snapshot\n"), "{said}");
            return;
        }
        assert_eq!(ran.code, Some(0), "{said}");
        if command.starts_with("curl -i ") {
            let status = ran.status().unwrap_or_else(|| panic!("an answer: {said}"));
            match promised(command) {
                Some(promised) => assert_eq!(status, promised, "{said}"),
                None => assert!((200..300).contains(&status), "{said}"),
            }
        }
        self.tag = ran.tag().map_or(std::mem::take(&mut self.tag), str::to_owned);
    }
}

/// The status that a comment says first.
fn promised(command: &str) -> Option<u16> {
    command.rsplit_once("# ")?.1.get(..3)?.parse().ok()
}

/// The commands of a page's blocks, from a heading on.
fn commands(page: &str, from: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let text = std::fs::read_to_string(path).expect("the page");
    let (_, text) = text.split_once(from).expect("the heading");
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut commands = Vec::new();
    for block in blocks {
        if block.starts_with("while ") {
            commands.push(block.to_owned());
            continue;
        }
        let mut command = String::new();
        for line in block.lines() {
            command.push_str(line);
            command.push('\n');
            if !line.ends_with('\\') {
                commands.push(std::mem::take(&mut command));
            }
        }
    }
    commands
}

#[tokio::test]
async fn what_the_pages_say_to_paste_works() {
    let mut shell = Shell::start().await;
    let mut all = commands("README.md", "## The HTTP contracts");
    assert!(all.len() > 10, "the README shows each contract: {all:#?}");
    all.extend(commands("docs/http.md", "## Run store"));
    for command in all {
        shell.verify(&command).await;
    }
}
