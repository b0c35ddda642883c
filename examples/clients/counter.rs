//! Adds one to a counter that others add to as well: read, change, write under the `ETag`, and all
//! of that again where somebody else was faster (412). Needs the crates `ureq` and `serde_json`.
//!
//! `STOWAGE_URL=http://127.0.0.1:8080 STOWAGE_TOKEN=... counter kv|run-store NAME TIMES`

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::BuildHasher;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

type Failure = Box<dyn Error>;

const TRIES: u32 = 30;

/// What became of an attempt.
enum Attempt {
    Done,
    /// Nothing was written; how long to wait at least.
    Conflict(Duration),
}

struct Store {
    agent: Agent,
    url: String,
    token: String,
}

impl Store {
    fn from_environment() -> Result<Self, Failure> {
        let variable =
            |name: &str| std::env::var(name).map_err(|_| format!("set {name}: it is missing"));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        let url = variable("STOWAGE_URL")?.trim_end_matches('/').to_owned();
        Ok(Self { agent: config.into(), url, token: variable("STOWAGE_TOKEN")? })
    }

    fn call(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/json");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        if method == "GET" {
            return Ok(self.agent.run(request.body(())?)?);
        }
        Ok(self.agent.run(request.body(body.to_owned())?)?)
    }

    /// Changes a run document; `change` takes what stands there, `{}` where nothing does.
    fn update_document(
        &self,
        name: &str,
        change: impl Fn(Value) -> Value,
    ) -> Result<Attempt, Failure> {
        let path = format!("/run-stores/{name}");
        let mut answer = self.call("GET", &path, &[], "")?;
        let (condition, document) = match answer.status().as_u16() {
            200 => (("If-Match", etag(&answer)?), json_of(&mut answer)?),
            404 => (("If-None-Match", "*".to_owned()), json!({})),
            _ => return settle(answer),
        };
        let (field, value) = (condition.0, condition.1.as_str());
        settle(self.call("PUT", &path, &[(field, value)], &change(document).to_string())?)
    }

    /// Changes keys of a namespace; `change` takes all of them and gives the operations.
    fn update_namespace(
        &self,
        name: &str,
        change: impl Fn(Value) -> Value,
    ) -> Result<Attempt, Failure> {
        let path = format!("/api/storage?ns={name}");
        let mut answer = self.call("GET", &path, &[], "")?;
        if answer.status() != 200 {
            return settle(answer);
        }
        let tag = etag(&answer)?;
        let operations = change(json_of(&mut answer)?).to_string();
        let fields = [
            ("If-Match", tag.as_str()),
            ("X-Thesara-App-Id", "counter"),
            ("Prefer", "return=minimal"),
        ];
        settle(self.call("PATCH", &path, &fields, &operations)?)
    }
}

/// A refusal is an error with its text, unless it is worth another try.
fn settle(mut answer: Response<Body>) -> Result<Attempt, Failure> {
    let text = answer.body_mut().read_to_string()?;
    match answer.status().as_u16() {
        200..300 => Ok(Attempt::Done),
        // Nothing was applied.
        412 | 429 | 503 => {
            let after = answer.headers().get("Retry-After").and_then(|v| v.to_str().ok());
            let seconds = after.and_then(|text| text.parse().ok()).unwrap_or(0);
            Ok(Attempt::Conflict(Duration::from_secs(seconds)))
        }
        status => Err(format!("the Store answered {status}: {text}").into()),
    }
}

fn etag(answer: &Response<Body>) -> Result<String, Failure> {
    let tag =
        answer.headers().get("ETag").ok_or("the answer has no ETag: does a proxy drop it?")?;
    Ok(tag.to_str()?.to_owned())
}

fn json_of(answer: &mut Response<Body>) -> Result<Value, Failure> {
    Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
}

/// Attempts until one wins; waits longer each time, for a time that differs between clients.
fn again(attempt: impl Fn() -> Result<Attempt, Failure>) -> Result<(), Failure> {
    for number in 0..TRIES {
        let Attempt::Conflict(after) = attempt()? else { return Ok(()) };
        let most = 1000.min(10_u64 << number.min(10));
        let wait = Duration::from_millis(RandomState::new().hash_one(number) % most);
        std::thread::sleep(wait.max(after));
    }
    Err(format!("given up after {TRIES} tries: somebody else was faster each time").into())
}

fn next(members: &Value) -> u64 {
    members["count"].as_u64().unwrap_or(0) + 1
}

fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [contract, name, times] = arguments.as_slice() else {
        return Err("usage: counter kv|run-store NAME TIMES".into());
    };
    let store = Store::from_environment()?;
    for _ in 0..times.parse()? {
        match contract.as_str() {
            "kv" => again(|| {
                let add = |keys| json!([{"op": "set", "key": "count", "value": next(&keys)}]);
                store.update_namespace(name, add)
            })?,
            "run-store" => again(|| {
                let add = |mut document: Value| {
                    document["count"] = next(&document).into();
                    document
                };
                store.update_document(name, add)
            })?,
            _ => return Err("usage: counter kv|run-store NAME TIMES".into()),
        }
    }
    println!("added {times}");
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
