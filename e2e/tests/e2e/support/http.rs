//! An HTTP client of a Store. It is inside of the node's network, so it goes by the Service's
//! address and kube-proxy's rules; names are for pods.

use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::Value;

use super::namespace::Namespace;

/// Asks one Store with one token.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client,
    base: String,
    token: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) revision: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Caller {
    /// The Store `name` by the address of its Service.
    pub(crate) fn new(namespace: &Namespace, name: &str, token: &str) -> Self {
        Self::connecting_within(Duration::from_secs(2), namespace, name, token)
    }

    /// The same, but for how long a connection may take to be there.
    pub(crate) fn connecting_within(
        within: Duration,
        namespace: &Namespace,
        name: &str,
        token: &str,
    ) -> Self {
        let service = namespace.get(&format!("service/{name}"));
        let address = service["spec"]["clusterIP"].as_str().unwrap();
        let client = Client::builder()
            .timeout(Duration::from_secs(10))
            .connect_timeout(within)
            .build()
            .unwrap();
        Self { client, base: format!("http://{address}:8080"), token: token.to_owned() }
    }

    /// The same Store with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// A request for what [`Self::send`] does not do: bodies and answers that are no text.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Answer, String> {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().map_err(|error| format!("{error:?}"))?;
        let header = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Ok(Answer {
            status: answer.status().as_u16(),
            etag: header("etag"),
            revision: header("x-stowage-revision"),
            body: answer.text().map_err(|error| error.to_string())?,
        })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, &[], None)
    }

    /// Writes a document under a condition such as `("if-match", "\"…\"")`.
    pub(crate) fn put(
        &self,
        path: &str,
        condition: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer, String> {
        self.send(Method::PUT, path, condition, Some(body.to_string()))
    }

    /// Sets one key of a namespace, whatever its version is.
    pub(crate) fn set(&self, namespace: &str, key: &str, value: &Value) -> Result<Answer, String> {
        let operations = serde_json::json!([{"op": "set", "key": key, "value": value}]);
        self.send(
            Method::PATCH,
            &format!("/api/storage?ns={namespace}"),
            &[("if-match", "*"), ("x-thesara-app-id", "e2e"), ("prefer", "return=minimal")],
            Some(operations.to_string()),
        )
    }

    /// All keys of a namespace.
    pub(crate) fn keys(&self, namespace: &str) -> Result<Value, String> {
        let answer = self.get(&format!("/api/storage?ns={namespace}"))?;
        if answer.status == 200 { Ok(answer.json()) } else { Err(format!("{answer:?}")) }
    }
}
