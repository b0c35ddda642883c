//! What went wrong between the operator and the API server, in words.
//!
//! The client's own texts end in a dump of the answer's fields, or in the names of its layers.

use std::error::Error;

use kube::core::Status;
use kube::runtime::watcher;

/// What the API server said, or what kept it from being asked.
#[must_use]
pub fn in_words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => of_status(status),
        error => innermost(error),
    }
}

/// The cause behind all causes: the ones before it only say who was told of it.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// As [`in_words`], of a watch.
#[must_use]
pub(super) fn of_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => in_words(error),
        watcher::Error::WatchError(status) => of_status(status),
        error @ watcher::Error::NoResourceVersion => error.to_string(),
    }
}

fn of_status(status: &Status) -> String {
    if status.message.is_empty() {
        format!("the API server answers {} {}", status.code, status.reason).trim_end().to_owned()
    } else {
        status.message.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_by_its_message_and_anything_else_by_its_cause() {
        let status = |message: &str, reason: &str| {
            let status = Status { code: 403, ..Status::failure(message, reason) };
            kube::Error::Api(status.boxed())
        };
        let broken = std::io::Error::other("connection refused");
        let service = kube::Error::Service(Box::new(std::io::Error::other(broken)));
        let table = [
            (status("pods is forbidden", "Forbidden"), "pods is forbidden"),
            (status("", "Forbidden"), "the API server answers 403 Forbidden"),
            (status("", ""), "the API server answers 403"),
            (service, "connection refused"),
        ];
        for (error, expected) in table {
            assert_eq!(in_words(&error), expected, "{error:?}");
        }
    }
}
