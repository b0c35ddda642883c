//! The pages that a browser opens, and where they tell what they have seen.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A server of pages, under any name of this machine.
pub(crate) struct Pages {
    address: SocketAddr,
    told: mpsc::UnboundedReceiver<Value>,
}

impl Pages {
    pub(crate) async fn start() -> Self {
        let (teller, told) = mpsc::unbounded_channel();
        let pages = Router::new()
            .route("/shared.html", get(|| async { page(SHARED) }))
            .route("/refused.html", get(|| async { page(REFUSED) }))
            .route("/frame.html", get(|| async { Html(FRAME) }))
            .route("/framed.html", get(|| async { page(FRAMED) }))
            .route("/told", post(tell))
            .with_state(teller);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(axum::serve(listener, pages).into_future());
        Self { address, told }
    }

    /// The origin of the pages under a name.
    pub(crate) fn origin(&self, name: &str) -> String {
        format!("http://{name}:{}", self.address.port())
    }

    /// What a page tells next.
    pub(crate) async fn told(&mut self) -> Value {
        self.told.recv().await.expect("the pages are served")
    }
}

async fn tell(State(teller): State<mpsc::UnboundedSender<Value>>, body: String) {
    let value = serde_json::from_str(&body).unwrap_or(Value::String(body));
    teller.send(value).expect("the test listens");
}

/// A page whose script tells what `seen` holds at its end, or what went wrong.
fn page(script: &str) -> Html<String> {
    Html(format!(
        r#"<!doctype html><meta charset="utf-8"><title>test</title><script type="module">
const url = location.hash.slice(1);
const token = {{Authorization: "Bearer admin-0123456789abcdef"}};
const seen = {{origin: self.origin}};
const tell = (text) => fetch("/told", {{method: "POST", mode: "no-cors", body: text}});
const patch = (ifMatch, operations) => fetch(url + "/api/storage?ns=page", {{
  method: "PATCH", credentials: "include", body: JSON.stringify(operations),
  headers: {{...token, "If-Match": ifMatch, "Content-Type": "application/json", "X-Thesara-App-Id": "page"}},
}});
try {{ {script} tell(JSON.stringify(seen)); }} catch (error) {{ tell(JSON.stringify(String(error))); }}
</script>"#
    ))
}

const SHARED: &str = r#"
const told = async (answer, withBody = true) => ({
  status: answer.status, etag: answer.headers.get("ETag"), ...(withBody ? {body: await answer.json()} : {}),
});
seen.created = await told(await patch("0", [{op: "set", key: "n", value: 1}]));
const read = await fetch(url + "/api/storage?ns=page", {headers: token, credentials: "include"});
seen.read = {backend: read.headers.get("X-Storage-Backend"), ...(await told(read))};
seen.conflict = await told(await patch('"0"', [{op: "clear"}]), false);
seen.written = await told(await patch(seen.read.etag, [{op: "set", key: "n", value: 2}]), false);
const unchanged = await fetch(url + "/api/storage?ns=page",
  {headers: {...token, "If-None-Match": '"2"'}, cache: "no-store"});
seen.unchanged = unchanged.status;
const put = await fetch(url + "/run-stores/page",
  {method: "PUT", body: "{}", headers: {...token, "If-None-Match": "*", "Content-Type": "application/json"}});
seen.preflight_of_a_document = put.status;
seen.events = [];
const events = new EventSource(url + "/api/storage?ns=page", {withCredentials: true});
await new Promise((resolve, reject) => {
  const take = (event) => {
    seen.events.push([event.type, event.lastEventId, JSON.parse(event.data)]);
    if (event.type === "snapshot") patch("*", [{op: "clear"}]).catch(reject); else resolve();
  };
  events.addEventListener("snapshot", take);
  events.addEventListener("change", take);
  events.onerror = () => reject(new Error("the stream of events failed"));
});
events.close();
"#;

const REFUSED: &str = r#"
const failed = (request) => request.then((answer) => answer.status, (error) => error.name);
seen.read = await failed(fetch(url + "/api/storage?ns=page"));
seen.patch = await failed(patch("0", [{op: "clear"}]));
seen.events = await new Promise((resolve) => {
  const events = new EventSource(url + "/api/storage?ns=page");
  events.onmessage = () => resolve("told");
  events.addEventListener("snapshot", () => resolve("told"));
  events.onerror = () => { events.close(); resolve("closed"); };
});
"#;

const FRAMED: &str = r#"
const created = await patch("0", [{op: "set", key: "n", value: 1}]);
seen.created = created.status;
seen.etag = created.headers.get("ETag");
"#;

/// A frame that may run scripts and has no origin of its own.
const FRAME: &str = r#"<!doctype html><title>test</title><script>
const frame = document.createElement("iframe");
frame.sandbox = "allow-scripts";
frame.src = "/framed.html" + location.hash;
document.documentElement.append(frame);
</script>"#;
