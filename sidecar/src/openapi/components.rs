//! What the operations share: schemas, parameters, header fields, problems.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};
use stowage_store::NAME_BYTES_MAX;

use super::operation::{header_ref, schema_ref, with_headers};
use super::shared::SharedAnswers;
use super::{artifacts, fixed, jobs, kv, preflight, runtimes};

pub(super) fn components(answers: SharedAnswers) -> Value {
    json!({
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of the Store, or a JWT that it trusts",
            },
        },
        "schemas": schemas(),
        "parameters": parameters(),
        "headers": headers(),
        "responses": answers.into_value(),
    })
}

/// A character of a name, as a regular expression.
pub(super) const SEGMENT: &str = "[A-Za-z0-9._:@+~-]";

/// The schema of a type that is written or read.
pub(super) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value();
    if let Some(members) = schema.as_object_mut() {
        members.remove("title");
    }
    schema
}

fn schemas() -> Value {
    let contracts = [
        shared(),
        kv::schemas(),
        jobs::schemas(),
        runtimes::schemas(),
        artifacts::schemas(),
        fixed::schemas(),
    ];
    let members = contracts.into_iter().filter_map(|schemas| match schemas {
        Value::Object(members) => Some(members),
        _ => None,
    });
    Value::Object(members.flatten().collect())
}

fn shared() -> Value {
    json!({
        "Document": {"description": "Any JSON value, as it was spelled"},
        "Name": {
            "type": "string",
            "minLength": 1,
            "maxLength": NAME_BYTES_MAX,
            "pattern": format!("^{SEGMENT}+$"),
            "not": {"enum": [".", ".."]},
            "examples": ["nightly"],
        },
        "Events": {
            "type": "string",
            "description": "Server-sent events, for who sends Accept: text/event-stream: a snapshot, \
                            then each change; the id is the version, the entity tag or the revision",
        },
        "History": {
            "type": "array",
            "description": "The versions that are kept, for who asks history=true",
            "items": of::<crate::http::VersionEntry>(),
        },
        "Problem": {
            "type": "object",
            "description": "RFC 9457. Further members say more, such as limit, etag or pointer.",
            "required": ["type", "title", "status", "detail", "error"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "A sentence for people"},
                "error": {"type": "string", "description": "A short word for programs"},
            },
        },
    })
}

fn parameters() -> Value {
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"}});
    let query = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "query", "description": description, "schema": schema});
    let mut app_id = header("X-Thesara-App-Id", "The name of the application that writes");
    app_id["required"] = true.into();
    let mut scope =
        header("X-Thesara-Scope", "user keeps the namespace apart per subject of a JWT");
    scope["schema"] = json!({"enum": ["shared", "user"]});
    json!({
        "IfMatch": header("If-Match", "RFC 9110 §13.1.1: * or a list of strong entity tags"),
        "IfNoneMatch": header("If-None-Match", "RFC 9110 §13.1.2: * or a list of entity tags"),
        "IfModifiedSince": header("If-Modified-Since", "RFC 9110 §13.1.3"),
        "IfUnmodifiedSince": header("If-Unmodified-Since", "RFC 9110 §13.1.4"),
        "IfRange": header("If-Range", "RFC 9110 §13.1.5: an entity tag or a date"),
        "Range": header("Range", "RFC 9110 §14.2: one range of bytes"),
        "ContentDigest": header("Content-Digest", "RFC 9530: compared before anything is applied"),
        "ContentMd5": header("Content-MD5", "RFC 1864: compared before anything is visible"),
        "LastEventId": header("Last-Event-ID", "Of events: goes on after this one, as far as it is kept"),
        "Wait": header("Prefer", "RFC 7240: wait=<seconds> holds a 304 until there is something new"),
        "Origin": header("Origin", "The Fetch standard: the page that asks"),
        "RequestedMethod": header("Access-Control-Request-Method", "The Fetch standard: what the page is to do"),
        "RequestedHeaders": header("Access-Control-Request-Headers", "The Fetch standard: the header fields that it is to send"),
        "Prefer": header("Prefer", "RFC 7240: return=minimal leaves the body out"),
        "At": query("at", "One version: its tag, with its quotes or without", json!({"type": "string"})),
        "History": query("history", "true lists the versions that are kept, the last first", json!({"type": "boolean"})),
        "Limit": query("limit", "Of a list, the most entries", json!({"type": "integer", "minimum": 1})),
        "Continue": query("continue", "Of a list, the token of the next page", json!({"type": "string"})),
        "AppId": app_id,
        "Scope": scope,
    })
}

fn headers() -> Value {
    let header =
        |description: &str| json!({"description": description, "schema": {"type": "string"}});
    let always = |description: &str| json!({"description": description, "required": true, "schema": {"type": "string"}});
    json!({
        "ETag": header("The strong entity tag of what stands there"),
        "XStowageVersion": header("The entity tag's text, for proxies that weaken or drop the tag"),
        "XStowageRevision": header("The Git commit"),
        "XStowageContinue": header("The token of the next page, where there is one"),
        "XRequestId": always("The request's id: taken or made, and logged"),
        "XStorageBackend": always("Where the data stands: local, s3, r2, gcs or azure"),
        "CacheControl": always("no-cache, no-transform"),
        "NoStore": always("no-store"),
        "Location": always("Where the event can be read"),
        "Link": header("RFC 8288: rel=\"next\" is the next page"),
        "LastModified": header("When the archive was published, to the second"),
        "AcceptRanges": always("bytes"),
        "ContentRange": always("Which part of the archive it is, or how long that is"),
        "ContentDisposition": always("attachment, with a file name"),
        "Allow": always("RFC 9110 §10.2.1: the methods that this path takes"),
        "AllowedHeaders": header("The Fetch standard: the header fields that a page may send"),
        "AllowedMethods": header("The Fetch standard: the methods that a page may use"),
        "MaxAge": header("The Fetch standard: for how many seconds this holds"),
        "AcceptPatch": always("RFC 5789 §3.1: application/json"),
        "RetryAfter": always("Seconds"),
        "WwwAuthenticate": always("RFC 6750: Bearer"),
    })
}

pub(super) fn responses() -> Value {
    let problem = |description: &str, mut headers: Value| {
        headers["Cache-Control"] = header_ref("NoStore");
        let content = json!({"application/problem+json": {"schema": schema_ref("Problem")}});
        with_headers(json!({"description": description, "content": content}), headers)
    };
    let none = || json!({});
    let wrong_type =
        "Not JSON where JSON is wanted, a form where an archive is, or a content coding";
    let allowed = || json!({"Allow": header_ref("Allow")});
    let mut of_preflight = allowed();
    if let Some(headers) = of_preflight.as_object_mut() {
        headers.extend(preflight::fields());
    }
    let preflight = json!({
        "description": "What the path takes; to a page of an origin that the Store allows, with the fields of CORS. \
                        Access-Control-Allow-Origin is on its other answers, too",
    });
    let tagged = || json!({"ETag": header_ref("ETag")});
    let page = || json!({"Link": header_ref("Link"), "X-Stowage-Continue": header_ref("XStowageContinue")});
    let of_set = |mut headers: Value| {
        headers["X-Stowage-Revision"] = header_ref("XStowageRevision");
        headers
    };
    let not_modified = |mut headers: Value| {
        headers["ETag"] = header_ref("ETag");
        with_headers(json!({"description": "If-None-Match names what stands there"}), headers)
    };
    let later = || json!({"Retry-After": header_ref("RetryAfter")});
    json!({
        "NotModified": not_modified(json!({})),
        "NotModifiedPage": not_modified(page()),
        "NotModifiedArchive": not_modified(json!({"Last-Modified": header_ref("LastModified")})),
        "NotModifiedSet": not_modified(of_set(page())),
        "Preflight": with_headers(preflight, of_preflight),
        "Problem400": problem("Malformed, or not to be read as a request; says what", none()),
        "Problem401": problem(
            "No credentials, or invalid ones",
            json!({"WWW-Authenticate": header_ref("WwwAuthenticate")}),
        ),
        "Problem403": problem("Credentials that lack this right", none()),
        "Problem404": problem("Nothing there, or a contract that the Store does not enable", none()),
        "Problem404Key": problem(
            "A key that is not in the namespace, or a contract that the Store does not enable",
            tagged(),
        ),
        "Problem404Set": problem(
            "Nothing there, or a contract that the Store does not enable; an emptied set has a revision",
            of_set(json!({})),
        ),
        "Problem405": problem("Another method than those of this path", allowed()),
        "Problem408": problem("The body stalled", none()),
        "Problem410": problem("A version that is not kept", none()),
        "Problem412": problem("A precondition does not hold; nothing was applied", tagged()),
        "Problem413": problem("The body is over the limit, which it says", none()),
        "Problem414": problem("The path and its query are over the limit, which it says", none()),
        "Problem415": problem(wrong_type, none()),
        "Problem415Patch": problem(wrong_type, json!({"Accept-Patch": header_ref("AcceptPatch")})),
        "Problem416": problem(
            "No byte of the archive is in the range",
            json!({"ETag": header_ref("ETag"), "Content-Range": header_ref("ContentRange")}),
        ),
        "Problem428": problem("A write that needs a condition came without", none()),
        "Problem429": problem("Over the rate limit; nothing was applied", later()),
        "Problem431": problem("The head is over the limit, which it says", none()),
        "Problem500": problem("Unknown whether the write was applied; or damaged; or a defect", none()),
        "Problem503": problem("Not ready, or ending; nothing was applied", later()),
        "Problem507": problem("The volume or a quota is full; reads and deletes still work", none()),
    })
}
