//! The clients that people paste, as they stand in the files, against a server on a volume: five of
//! them at once add to one counter, and nothing is lost.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "clients/server.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use server::{ADMIN, Server};

/// Twenty additions each, each synced, on a machine under load; and `tsc` and `go build` before.
const PATIENCE: Duration = Duration::from_secs(300);
const CLIENTS: usize = 5;
const ADDITIONS: usize = 20;

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Where what is built of the examples goes: the directory of this test's own program.
fn built(file: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(file)
}

/// Runs a program to its end.
async fn ended(mut command: Command) -> Output {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let what = format!("{:?}", command.as_std());
    match timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(e)) => panic!("{what} does not run: {e}"),
        Err(_) => panic!("{what} does not end"),
    }
}

/// Runs a program that must succeed; gives its output.
async fn succeeds(command: Command) -> String {
    let what = format!("{:?}", command.as_std());
    let output = ended(command).await;
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{out}{err}", output.status);
    out.trim().to_owned()
}

fn program(path: &str) -> Command {
    Command::new(path)
}

/// The example in Go, built once.
async fn go() -> Command {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let build = async || {
        let mut build = program("go");
        build.args(["build", "-o"]).arg(built("counter-go")).arg(here("counter.go"));
        succeeds(build).await;
        built("counter-go")
    };
    Command::new(BUILT.get_or_init(build).await)
}

/// The example in TypeScript, checked and compiled once.
async fn typescript() -> Command {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let build = async || {
        let script = here("../../scripts/typescript.sh");
        let compiler = succeeds(Command::new(script)).await;
        let types = Path::new(&compiler).join("node_modules/@types");
        let mut build = program("node");
        build
            .arg(Path::new(&compiler).join("node_modules/typescript/bin/tsc"))
            .args(["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node"])
            .arg("--typeRoots")
            .arg(types)
            .arg("--outDir")
            .arg(built("typescript"))
            .arg(here("counter.ts"));
        succeeds(build).await;
        built("typescript/counter.js")
    };
    let mut command = program("node");
    command.arg(BUILT.get_or_init(build).await);
    command
}

fn bash() -> Command {
    let mut command = program("bash");
    command.arg(here("counter.sh"));
    command
}

fn python() -> Command {
    let mut command = program("python3");
    command.arg(here("counter.py"));
    command
}

fn rust() -> Command {
    program(env!("CARGO_BIN_EXE_stowage-example-counter"))
}

/// What the counter of a contract says.
async fn count(server: &Server, contract: &str) -> serde_json::Value {
    let path = if contract == "kv" { "/storage?ns=tally" } else { "/run-stores/tally" };
    let url = format!("{}{path}", server.url());
    tokio::task::spawn_blocking(move || {
        let answer = ureq::get(&url).header("Authorization", format!("Bearer {ADMIN}")).call();
        let text = answer.unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["count"].clone()
    })
    .await
    .unwrap()
}

/// All of them at once on one counter of each contract.
async fn add_up(commands: impl Fn() -> Vec<Command>) {
    let server = Server::start().await;
    for contract in ["kv", "run-store"] {
        let mut running = Vec::new();
        for mut command in commands() {
            command
                .args([contract, "tally", &ADDITIONS.to_string()])
                .env("STOWAGE_URL", server.url())
                .env("STOWAGE_TOKEN", ADMIN);
            running.push(tokio::spawn(succeeds(command)));
        }
        assert_eq!(running.len(), CLIENTS);
        for client in running {
            assert_eq!(client.await.unwrap(), format!("added {ADDITIONS}"));
        }
        assert_eq!(count(&server, contract).await, CLIENTS * ADDITIONS, "{contract}");
    }
}

fn five(command: impl Fn() -> Command) -> Vec<Command> {
    (0..CLIENTS).map(|_| command()).collect()
}

fn again(command: &Command) -> Command {
    let mut copy = Command::new(command.as_std().get_program());
    copy.args(command.as_std().get_args());
    copy
}

#[tokio::test]
async fn curl() {
    add_up(|| five(bash)).await;
}

#[tokio::test]
async fn python_3() {
    add_up(|| five(python)).await;
}

#[tokio::test]
async fn in_rust() {
    add_up(|| five(rust)).await;
}

#[tokio::test]
async fn in_go() {
    let go = go().await;
    add_up(|| five(|| again(&go))).await;
}

#[tokio::test]
async fn in_typescript() {
    let typescript = typescript().await;
    add_up(|| five(|| again(&typescript))).await;
}

#[tokio::test]
async fn one_of_each_at_once() {
    let (go, typescript) = (go().await, typescript().await);
    add_up(|| vec![bash(), python(), rust(), again(&go), again(&typescript)]).await;
}

/// A refusal that no further try changes is shown with what the Store says, and ends with an error;
/// the token is not in it.
#[tokio::test]
async fn errors_are_shown() {
    let server = Server::start().await;
    let (go, typescript) = (go().await, typescript().await);
    for command in [bash(), python(), rust(), go, typescript] {
        for (url, token, said) in [
            (server.url(), "nobody-0123456789", "401"),
            ("http://127.0.0.1:1".to_owned(), ADMIN, ""),
        ] {
            let mut command = again(&command);
            command.args(["kv", "tally", "1"]);
            command.env("STOWAGE_URL", url).env("STOWAGE_TOKEN", token);
            let what = format!("{:?}", command.as_std());
            let output = ended(command).await;
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{what}: {text}");
            assert!(!text.trim().is_empty() && text.contains(said), "{what}: {text}");
            assert!(!text.contains(token), "{what}: {text}");
        }
    }
}

/// What the project's first page shows is what is tried here.
#[test]
fn the_readme_shows_a_part_of_an_example() {
    let readme = std::fs::read_to_string(here("../../README.md")).unwrap();
    let example = std::fs::read_to_string(here("counter.py")).unwrap();
    let block = readme.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.expect("a block of Python");
    assert!(example.contains(block), "not in counter.py:\n{block}");
}
