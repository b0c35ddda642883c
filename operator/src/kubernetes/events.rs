//! Events: what happened to an object, for whoever runs `kubectl describe` or `kubectl events`.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, Resource, ResourceExt};

use super::{FIELD_MANAGER, in_words};

/// The most bytes of a note, by the API's own validation.
const NOTE_BYTES_MAX: usize = 1024;

/// What an Event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It went as it should.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Writes Events. The caller writes one when something changed and not on every reconcile; a
/// recorder that sorts out repetitions by reason would drop the second of two different notes.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: String,
}

impl Events {
    /// Events of this process, known by the host's name, which in a pod is the pod's.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| FIELD_MANAGER.to_owned());
        Self { client, instance }
    }

    /// Says that something happened to `object`. `reason` is one CamelCase word, `action` what the
    /// operator did then (one word as well), `note` a sentence. An Event that cannot be written is
    /// logged and lost: it must not fail what it tells of. Gives whether it was written.
    pub async fn publish<K>(
        &self,
        object: &K,
        severity: Severity,
        reason: &str,
        action: &str,
        note: &str,
    ) -> bool
    where
        K: Resource<DynamicType = ()>,
    {
        let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
        let regarding = ObjectReference { resource_version: None, ..object.object_ref(&()) };
        let event = Event {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}-", object.name_any())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some(action.to_owned()),
            event_time: Some(MicroTime(Timestamp::now())),
            note: Some(shortened(note)),
            reason: Some(reason.to_owned()),
            regarding: Some(regarding),
            reporting_controller: Some("stowage.dev/operator".to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(match severity {
                Severity::Normal => "Normal".to_owned(),
                Severity::Warning => "Warning".to_owned(),
            }),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => true,
            Err(error) => {
                let (lost, object) = (in_words(&error), object.name_any());
                if namespace_ends(&error) {
                    tracing::debug!(error = lost, reason, object, "an Event is lost");
                } else {
                    tracing::warn!(error = lost, reason, object, "an Event is lost");
                }
                false
            }
        }
    }
}

/// Whether nothing new can be made because the namespace is being deleted: nobody is left to read
/// an Event in it.
fn namespace_ends(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

fn shortened(note: &str) -> String {
    if note.len() <= NOTE_BYTES_MAX {
        return note.to_owned();
    }
    let mut end = NOTE_BYTES_MAX - '…'.len_utf8();
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &note[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_event_of_a_namespace_that_ends_is_of_no_interest() {
        let refused = |cause: &str| {
            let status = serde_json::json!({
                "status": "Failure", "reason": "Forbidden", "code": 403, "message": "forbidden",
                "details": {"causes": [{"reason": cause, "message": "", "field": "x"}]},
            });
            kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
        };
        assert!(namespace_ends(&refused("NamespaceTerminating")));
        assert!(!namespace_ends(&refused("FieldValueForbidden")));
        assert!(!namespace_ends(&kube::Error::LinesCodecMaxLineLengthExceeded));
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"é".repeat(600));
        assert!(long.len() <= NOTE_BYTES_MAX && long.ends_with("é…"), "{} bytes", long.len());
    }
}
