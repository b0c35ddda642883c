//! A reader of server-sent events, as the standard has it (WHATWG HTML §9.2.6), on a connection of
//! its own.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response};
use tokio::time::timeout;

use super::raw::PATIENCE;

/// An event, or a comment with nothing in it but that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Event {
    fn parse(text: &str) -> Self {
        let mut event = Self { name: "message".into(), id: None, data: String::new() };
        let mut data = Vec::new();
        for line in text.lines() {
            match line.split_once(": ").or_else(|| line.split_once(':')) {
                Some(("event", name)) => event.name = name.into(),
                Some(("id", id)) => event.id = Some(id.into()),
                Some(("data", line)) => data.push(line),
                Some(("", _)) => event.name = "comment".into(),
                _ => panic!("expected a field, got {line:?}"),
            }
        }
        event.data = data.join("\n");
        event
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{self:?}: {e}"))
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Events {
    response: Response,
    buffer: Vec<u8>,
}

/// The headers of a request, by name and value.
pub(crate) fn headers(headers: &[(&str, &str)]) -> HeaderMap {
    let header = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    headers.iter().map(header).collect()
}

impl Events {
    pub(crate) async fn open(url: &str) -> Self {
        Self::open_with(url, &[]).await
    }

    pub(crate) async fn open_with(url: &str, more: &[(&str, &str)]) -> Self {
        let request = Client::new()
            .get(url)
            .header("Accept", "text/event-stream")
            .headers(headers(more))
            .send();
        let response = timeout(PATIENCE, request).await.expect("in time").expect("an answer");
        assert_eq!(response.status(), 200, "{url}");
        assert_eq!(response.headers()["content-type"], "text/event-stream", "{url}");
        Self { response, buffer: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).map(|value| value.to_str().expect("text"))
    }

    /// The next event, comments left out; `None` where the stream ends as it should.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.next_or_comment().await?;
            if event.name != "comment" {
                return Some(event);
            }
        }
    }

    /// The next event, or comment.
    pub(crate) async fn next_or_comment(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|it| it == b"\n\n") {
                let text: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(Event::parse(std::str::from_utf8(&text).expect("UTF-8").trim_end()));
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("something in time");
            match chunk.expect("no broken stream") {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => {
                    assert!(self.buffer.is_empty(), "half an event at the end");
                    return None;
                }
            }
        }
    }

    pub(crate) async fn expect(&mut self) -> Event {
        self.next().await.expect("an event before the end")
    }
}
