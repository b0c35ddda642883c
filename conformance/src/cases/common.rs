//! What Stowage's contracts say of every answer: problems, names, CORS, fields of its own.

use crate::build::{contract, delete, head, read, send, unchanged, write};
use crate::case::{Call, Case, Expect, Need, ORIGIN};
use crate::content::B;
use crate::profile::Profile;

const ALL: &[Profile] = Profile::STOWAGE;

pub(super) fn cases() -> Vec<Case> {
    [problems(), fields(), cross_origin()].concat()
}

fn problems() -> Vec<Case> {
    vec![
        contract(ALL, "problems/412", "A 412 is a problem document with the current ETag")
            .cites("RFC 9457 §3")
            .on_a([write(B)
                .if_match("\"no-such-tag\"")
                .problem(&[412], "precondition_failed")
                .expect(Expect::Same("ETag", "a"))
                .into()]),
        contract(ALL, "problems/412-absent", "A 412 on nothing carries no ETag")
            .cites("RFC 9457 §3")
            .needs(&[Need::Absence])
            .steps([write(B)
                .if_match("\"no-such-tag\"")
                .problem(&[412], "precondition_failed")
                .expect(Expect::Lacks("ETag"))
                .into()]),
        contract(ALL, "problems/404", "A path that leads nowhere is a problem document")
            .cites("RFC 9457 §3")
            .steps([send("GET", "‹base›/nowhere/‹name›").problem(&[404], "not_found").into()]),
        contract(ALL, "problems/405", "A 405 is a problem document with Allow")
            .cites("RFC 9457 §3")
            .steps([send("PUT", "‹base›/health")
                .problem(&[405], "method_not_allowed")
                .has("Allow")
                .into()]),
        contract(ALL, "problems/401", "A 401 is a problem document and asks for a bearer token")
            .cites("RFC 9457 §3")
            .needs(&[Need::Authorization])
            .steps([read()
                .anonymous()
                .problem(&[401], "unauthorized")
                .expect(Expect::Begins("WWW-Authenticate", "Bearer"))
                .into()]),
        contract(ALL, "problems/401-unknown", "A token that nobody has is 401")
            .needs(&[Need::Authorization])
            .steps([read()
                .anonymous()
                .with("Authorization", "Bearer no-such-token")
                .problem(&[401], "unauthorized")
                .into()]),
        contract(ALL, "problems/400-header", "A condition that is no list of tags is 400")
            .on_a([write(B).if_match("no-such-tag").problem(&[400], "invalid_header").into()]),
        contract(ALL, "problems/head", "A problem answered to a HEAD has no body")
            .cites("RFC 9457 §3")
            .steps([
                head().if_match("no-such-tag").expect(Expect::NoBody).status(&[400, 404]).into(),
                delete().if_match("\"x\"").same_connection().status(&[404, 412]).into(),
            ]),
    ]
}

fn fields() -> Vec<Case> {
    vec![
        contract(ALL, "answers/backend", "X-Storage-Backend is on every answer").on_a([
            read().has("X-Storage-Backend").into(),
            read().if_none_match("*").has("X-Storage-Backend").into(),
            write(B).if_match("\"x\"").has("X-Storage-Backend").into(),
            send("GET", "‹base›/nowhere").has("X-Storage-Backend").into(),
        ]),
        contract(ALL, "answers/request-id", "X-Request-Id is taken, and made where there is none")
            .on_a([
                read().with("X-Request-Id", "abc-1").field("X-Request-Id", "abc-1").into(),
                read().has("X-Request-Id").into(),
            ]),
        contract(ALL, "answers/version", "X-Stowage-Version says the version beside the ETag")
            .on_a([
                read().field("X-Stowage-Version", "‹a.inner›").into(),
                read().if_none_match("*").field("X-Stowage-Version", "‹a.inner›").into(),
                write(B).if_match("\"x\"").field("X-Stowage-Version", "‹a.inner›").into(),
            ]),
        contract(
            Profile::DOCUMENTS,
            "answers/caching",
            "Documents are asked for again, and no proxy changes them",
        )
        .cites("RFC 9111 §5.2.2")
        .on_a([
            read()
                .lists("Cache-Control", "no-cache")
                .lists("Cache-Control", "no-transform")
                .field("Content-Type", "application/json")
                .into(),
            unchanged(),
        ]),
        contract(ALL, "answers/health", "/health needs no credentials").steps([send(
            "GET",
            "‹base›/health",
        )
        .anonymous()
        .status(&[200])
        .member("/status", "healthy")
        .expect(Expect::JsonHas("/time"))
        .into()]),
    ]
}

fn preflight() -> Call {
    send("OPTIONS", "‹here›")
        .anonymous()
        .with("Origin", ORIGIN)
        .with("Access-Control-Request-Method", "PUT")
        .with("Access-Control-Request-Headers", "if-match, authorization, x-of-mine")
}

fn cross_origin() -> Vec<Case> {
    vec![
        contract(ALL, "cors/preflight", "A preflight is 204 without credentials")
            .steps([preflight().status(&[204]).lists("Vary", "Origin").into()]),
        contract(ALL, "cors/allowed", "It allows the methods, the conditions, and what it names")
            .needs(&[Need::Origin])
            .steps([preflight()
                .status(&[204])
                .field("Access-Control-Allow-Origin", ORIGIN)
                .field("Access-Control-Allow-Credentials", "true")
                .has("Access-Control-Max-Age")
                .lists("Access-Control-Allow-Methods", "DELETE")
                .lists("Access-Control-Allow-Headers", "If-Match")
                .lists("Access-Control-Allow-Headers", "If-None-Match")
                .lists("Access-Control-Allow-Headers", "Authorization")
                .lists("Access-Control-Allow-Headers", "X-Of-Mine")
                .into()]),
        contract(ALL, "cors/exposed", "A page may read ETag, Location and Retry-After")
            .needs(&[Need::Origin])
            .on_a([
                read()
                    .with("Origin", ORIGIN)
                    .field("Access-Control-Allow-Origin", ORIGIN)
                    .lists("Access-Control-Expose-Headers", "ETag")
                    .lists("Access-Control-Expose-Headers", "Location")
                    .lists("Access-Control-Expose-Headers", "Retry-After")
                    .lists("Vary", "Origin")
                    .into(),
                write(B)
                    .if_match("\"x\"")
                    .with("Origin", ORIGIN)
                    .status(&[412])
                    .lists("Access-Control-Expose-Headers", "ETag")
                    .into(),
            ]),
    ]
}
