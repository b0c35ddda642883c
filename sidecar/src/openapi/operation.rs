//! One operation of the description, put together from what many of them share.

use serde_json::{Map, Value, json};
use stowage_config::Contract;

/// What a method does at a path.
pub(super) struct Operation {
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
    is_open: bool,
}

impl Operation {
    /// An operation of a contract. Whoever calls it needs the right to.
    pub(super) fn new(id: &'static str, contract: Contract, summary: &'static str) -> Self {
        Self::of(id, contract.as_str(), summary).problems(&[401, 403, 404, 429, 500, 503])
    }

    /// An operation of the server itself, which needs no credentials.
    pub(super) fn open(id: &'static str, summary: &'static str) -> Self {
        Self { is_open: true, ..Self::of(id, "server", summary) }
    }

    /// What any request may get, one that cannot be read among them.
    fn of(id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        let operation = Self {
            id,
            tag,
            summary,
            description: None,
            parameters: Vec::new(),
            body: None,
            answers: Map::new(),
            is_open: false,
        };
        operation.problems(&[400, 405, 414, 431])
    }

    /// It belongs to the server itself.
    pub(super) fn server(self) -> Self {
        Self { tag: "server", ..self }
    }

    /// Says more.
    pub(super) fn describe(self, description: &'static str) -> Self {
        Self { description: Some(description), ..self }
    }

    /// Takes conditions as a read does: 304 and 412.
    pub(super) fn conditional_read(self) -> Self {
        self.parameters(&["IfMatch", "IfNoneMatch"])
            .answer(304, answer_ref("NotModified"))
            .problems(&[412])
    }

    /// Takes conditions as a write does: 412. It may find no room.
    pub(super) fn conditional_write(self) -> Self {
        self.parameters(&["IfMatch", "IfNoneMatch"]).problems(&[412, 507])
    }

    /// Takes JSON.
    pub(super) fn json_body(mut self, schema: &str, required: bool) -> Self {
        let content = json!({"application/json": {"schema": schema_ref(schema)}});
        self.body = Some(json!({"required": required, "content": content}));
        self.parameters(&["ContentDigest"]).problems(&[408, 413, 415, 507])
    }

    /// Takes any bytes.
    pub(super) fn bytes_body(mut self, description: &str) -> Self {
        let content =
            json!({"application/gzip": {"schema": {}}, "application/octet-stream": {"schema": {}}});
        self.body = Some(json!({"required": true, "description": description, "content": content}));
        self.parameters(&["ContentDigest"]).problems(&[408, 413, 415, 507])
    }

    /// Takes parameters that several operations share.
    pub(super) fn parameters(mut self, names: &[&str]) -> Self {
        let parameter = |name| json!({"$ref": format!("#/components/parameters/{name}")});
        self.parameters.extend(names.iter().map(parameter));
        self
    }

    /// Takes a parameter of the query.
    pub(super) fn query(mut self, name: &str, description: &str, schema: Value) -> Self {
        let parameter =
            json!({"name": name, "in": "query", "description": description, "schema": schema});
        self.parameters.push(parameter);
        self
    }

    /// Takes a parameter of the query that must be there.
    pub(super) fn required_query(mut self, name: &str, description: &str, schema: Value) -> Self {
        self = self.query(name, description, schema);
        if let Some(parameter) = self.parameters.last_mut() {
            parameter["required"] = true.into();
        }
        self
    }

    /// Answers.
    pub(super) fn answer(mut self, status: u16, answer: Value) -> Self {
        self.answers.insert(status.to_string(), answer);
        self
    }

    /// Answers with JSON under a tag.
    pub(super) fn document(self, status: u16, description: &str, schema: &str) -> Self {
        let headers = json!({"ETag": header_ref("ETag")});
        self.answer(status, with_headers(json_answer(description, schema), headers))
    }

    /// Can be watched: by events, or by an answer that is held.
    pub(super) fn watched(mut self) -> Self {
        if let Some(content) = self.answers.get_mut("200").map(|answer| &mut answer["content"]) {
            content["text/event-stream"] = json!({"schema": schema_ref("Events")});
        }
        self.parameters(&["LastEventId", "Wait"])
    }

    /// Has a history: one version of it can be read, and the list of those that are kept.
    pub(super) fn historic(mut self) -> Self {
        if let Some(answer) = self.answers.get_mut("200") {
            let schema = &mut answer["content"]["application/json"]["schema"];
            *schema = json!({"anyOf": [schema.take(), schema_ref("History")]});
            answer["headers"]["Link"] = header_ref("Link");
            answer["headers"]["X-Stowage-Continue"] = header_ref("XStowageContinue");
        }
        self.parameters(&["At", "History", "Limit", "Continue"])
            .answer(304, answer_ref("NotModifiedPage"))
            .problems(&[410])
    }

    /// Answers with JSON.
    pub(super) fn json(self, status: u16, description: &str, schema: &str) -> Self {
        self.answer(status, json_answer(description, schema))
    }

    /// Answers without a body.
    pub(super) fn empty(self, status: u16, description: &str) -> Self {
        self.answer(status, with_headers(json!({"description": description}), json!({})))
    }

    /// Answers with problems.
    pub(super) fn problems(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            self.answers.insert(status.to_string(), answer_ref(&format!("Problem{status}")));
        }
        self
    }

    /// The operation as the description has it, at this path.
    pub(super) fn into_value(self, path: &str) -> Value {
        let mut parameters = path_parameters(path);
        parameters.extend(self.parameters);
        let mut value = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": self.answers,
        });
        if let Some(description) = self.description {
            value["description"] = description.into();
        }
        if !parameters.is_empty() {
            value["parameters"] = parameters.into();
        }
        if let Some(body) = self.body {
            value["requestBody"] = body;
        }
        if self.is_open {
            value["security"] = json!([]);
        }
        value
    }
}

/// What stands in braces.
fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let schema = |name: &str| match name {
        "filepath" => schema_ref("FilePath"),
        "event" => schema_ref("EventId"),
        "repo_id" | "branch" => schema_ref("SlashedName"),
        _ => schema_ref("Name"),
    };
    names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": schema(name)}))
        .collect()
}

/// An answer with a JSON body.
pub(super) fn json_answer(description: &str, schema: &str) -> Value {
    let content = json!({"application/json": {"schema": schema_ref(schema)}});
    with_headers(json!({"description": description, "content": content}), json!({}))
}

/// Adds header fields, and those of every answer. Where there is a tag, its text is repeated, and caches have to
/// ask before they go by it; a problem, which none may keep, has said so.
pub(super) fn with_headers(mut answer: Value, headers: Value) -> Value {
    let mut all = headers;
    if all.get("ETag").is_some() {
        all["X-Stowage-Version"] = header_ref("XStowageVersion");
        if all.get("Cache-Control").is_none() {
            all["Cache-Control"] = header_ref("CacheControl");
        }
    }
    all["X-Request-Id"] = header_ref("XRequestId");
    all["X-Storage-Backend"] = header_ref("XStorageBackend");
    answer["headers"] = all;
    answer
}

/// A schema of the components.
pub(super) fn schema_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A header field of the components.
pub(super) fn header_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// An answer of the components.
pub(super) fn answer_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/responses/{name}")})
}
