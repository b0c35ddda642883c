//! Every state that a Store can be in, by its reason and its sentence, and that a stuck one costs
//! nothing.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use serde_json::{Value, json};
use stowage_crds::Store;

use crate::support::{
    Object, Operator, TestNamespace, a_store, bind, condition, conditions, eventually,
    eventually_some, roll_out, secret_value, serve, start_pod, wait_for_reason,
};

/// That a Store is stuck for a reason, says these words, and costs no write from then on.
async fn is_stalled(
    ns: &TestNamespace,
    operator: &Operator,
    name: &str,
    reason: &str,
    words: &[&str],
) {
    let (status, message) = wait_for_reason::<Store>(ns, name, reason).await;
    assert_eq!(status, "False");
    for word in words {
        assert!(message.contains(word), "{reason}: {message:?} should say {word:?}");
    }
    let all = conditions::<Store>(ns, name).await;
    assert_eq!(condition(&all, "Stalled").0, "True", "{all:?}");
    assert!(condition(&all, "Reconciling").0.is_empty(), "{all:?}");
    operator.rest().await;
    let (writes, requests) = (operator.writes().len(), operator.request_count());
    // One that starts anew looks at everything once more.
    let another = ns.operator();
    another.rest().await;
    assert_eq!(another.writes(), Vec::<String>::new(), "{reason}: it is as it should be");
    another.stop().await;
    let since = &operator.writes()[writes..];
    assert_eq!(since, Vec::<String>::new(), "{reason}: a stuck Store is not written to");
    let more = operator.request_count() - requests;
    assert!(more < 60, "{reason}: {more} requests in a moment is a hot loop");
    let events = ns.events_about("Store", name).await;
    let told = events.iter().filter(|event| event.starts_with(&format!("{reason}: "))).count();
    assert_eq!(told, 1, "{reason} is told once: {events:#?}");
}

/// Writes an Event about an object, as controllers of the cluster do.
async fn tell<K: Object>(ns: &TestNamespace, name: &str, severity: &str, reason: &str, text: &str) {
    let about = ns.get::<K>(name).await;
    ns.create::<Event>(
        &format!("{name}.{}", reason.to_lowercase()),
        json!({
            "involvedObject": {
                "kind": K::kind(&()), "name": name, "namespace": ns.name,
                "uid": about.meta().uid,
            },
            "type": severity, "reason": reason, "message": text,
        }),
    )
    .await;
}

#[tokio::test]
async fn a_missing_secret_is_named_and_taken_up_when_it_is_made() {
    let ns = TestNamespace::new("secret").await;
    let operator = ns.operator();
    ns.create::<Store>(
        "demo",
        json!({"spec": {
            "backend": {"volume": {"size": "1Gi"}},
            "auth": {"tokensSecretRef": {"name": "demo-tokens"}},
        }}),
    )
    .await;
    let words = ["Secret demo-tokens", "kubectl create secret generic demo-tokens"];
    is_stalled(&ns, &operator, "demo", "SecretMissing", &words).await;
    assert!(ns.find::<StatefulSet>("demo").await.is_none(), "no pod that cannot start is made");
    ns.create_secret("demo-tokens", &[("admin", "change-me-0123456789abcdef")]).await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    ns.get::<StatefulSet>("demo").await;
}

/// A server does not start where one token is none: it would end, over and over.
#[tokio::test]
async fn a_secret_that_the_server_would_refuse_is_told_before_a_pod_finds_out() {
    let ns = TestNamespace::new("tokens").await;
    let operator = ns.operator();
    let good = ("admin", "change-me-0123456789abcdef");
    ns.create_secret("demo-tokens", &[good, ("ci", "hunter2")]).await;
    ns.create::<Store>(
        "demo",
        json!({"spec": {
            "backend": {"volume": {"size": "1Gi"}},
            "auth": {"tokensSecretRef": {"name": "demo-tokens"}},
        }}),
    )
    .await;
    let words = ["Secret demo-tokens", "token ci", "shorter than 16"];
    is_stalled(&ns, &operator, "demo", "TokensInvalid", &words).await;
    assert!(ns.find::<StatefulSet>("demo").await.is_none(), "no pod that cannot start is made");
    ns.patch::<Secret>("demo-tokens", json!({"data": {"ci": null}})).await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;

    // As long as no other server could start, nobody is told that all is well.
    ns.patch::<Secret>("demo-tokens", json!({"stringData": {"ci": good.1}})).await;
    let words = ["admin and ci", "the same value", "refuses that token"];
    let (_, message) = wait_for_reason::<Store>(&ns, "demo", "TokensInvalid").await;
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    assert!(!message.contains("change-me") && !message.contains("hunter2"), "{message}");
    let kept = ns.get::<StatefulSet>("demo").await.spec.unwrap().replicas;
    assert_eq!(kept, Some(1), "what serves goes on");
    ns.patch::<Secret>("demo-tokens", json!({"data": {"ci": null}})).await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
}

#[tokio::test]
async fn keys_of_jwts_that_are_missing_or_no_keys_are_told_and_taken_up_when_they_are_right() {
    let ns = TestNamespace::new("jwt").await;
    let operator = ns.operator();
    let jwt = json!({
        "issuer": "https://issuer.example", "audiences": ["stowage"],
        "jwksSecretRef": {"name": "issuer-keys"},
    });
    ns.create::<Store>(
        "demo",
        json!({"spec": {"backend": {"volume": {"size": "1Gi"}}, "auth": {"jwt": jwt}}}),
    )
    .await;
    let words = ["Secret issuer-keys", "jwksSecretRef", "--from-file=jwks.json=FILE"];
    is_stalled(&ns, &operator, "demo", "SecretMissing", &words).await;
    assert!(ns.find::<StatefulSet>("demo").await.is_none(), "no pod that cannot start is made");
    ns.create_secret("issuer-keys", &[("jwks.json", "hunter2")]).await;
    let words = ["key jwks.json", "Secret issuer-keys", "not a JWK Set"];
    is_stalled(&ns, &operator, "demo", "JwtKeysInvalid", &words).await;
    let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    ns.patch::<Secret>("issuer-keys", json!({"stringData": {"jwks.json": set}})).await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    let pod = ns.get::<StatefulSet>("demo").await.spec.unwrap().template.spec.unwrap();
    let mounted = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "jwt");
    let mounted = mounted.and_then(|volume| volume.secret?.secret_name);
    assert_eq!(mounted.as_deref(), Some("issuer-keys"));

    // The pod hears of other keys at once, as of other tokens.
    let digest = async || {
        let pod: Pod = ns.get("demo-0").await;
        pod.metadata.annotations.unwrap_or_default().get("stowage.dev/files-digest").cloned()
    };
    operator.rest().await;
    let before = digest().await;
    ns.patch::<Secret>("issuer-keys", json!({"metadata": {"annotations": {"rotated": "1"}}})).await;
    eventually("the pod is touched", digest, |now| *now != before).await;
    ns.patch::<Secret>("issuer-keys", json!({"data": {"jwks.json": null}})).await;
    let (_, message) = wait_for_reason::<Store>(&ns, "demo", "JwtKeysInvalid").await;
    assert!(message.contains("no such key") && message.contains("goes on"), "{message}");
}

#[tokio::test]
async fn while_a_secret_is_missing_what_does_not_need_it_is_put_back_and_the_pod_is_left_alone() {
    let ns = TestNamespace::new("secret").await;
    let operator = ns.operator();
    let tokens = [("admin", "change-me-0123456789abcdef")];
    ns.create_secret("demo-tokens", &tokens).await;
    let auth = json!({"tokensSecretRef": {"name": "demo-tokens"}});
    let volume = json!({"volume": {"size": "1Gi"}});
    ns.create::<Store>("demo", json!({"spec": {"backend": volume, "auth": auth}})).await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    ns.delete::<Secret>("demo-tokens").await;
    wait_for_reason::<Store>(&ns, "demo", "SecretMissing").await;

    let before: ConfigMap = ns.get("demo-config").await;
    ns.patch::<ConfigMap>("demo-config", json!({"data": {"sidecar.yaml": "edited"}})).await;
    eventually(
        "the configuration is put back",
        async || ns.get::<ConfigMap>("demo-config").await.data,
        |data| *data == before.data,
    )
    .await;
    ns.delete::<Service>("demo").await;
    eventually_some("the Service comes back", async || ns.find::<Service>("demo").await).await;

    // A new pod could not start, so what would replace the one that serves waits.
    let image = async || {
        let set: StatefulSet = ns.get("demo").await;
        set.spec.unwrap().template.spec.unwrap().containers[0].image.clone().unwrap()
    };
    let serving = image().await;
    ns.patch::<Store>("demo", json!({"spec": {"image": "stowage.test/other:2"}})).await;
    operator.rest().await;
    assert_eq!(image().await, serving, "no pod that cannot start takes the place of one that runs");
    ns.create_secret("demo-tokens", &tokens).await;
    eventually("the image is taken up", image, |image| image == "stowage.test/other:2").await;
}

#[tokio::test]
async fn a_token_that_is_in_use_stays_until_there_is_another() {
    let ns = TestNamespace::new("secret").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    let admin = async || {
        let server: Secret = ns.get("demo-server-tokens").await;
        (ns.find::<Secret>("demo-admin").await.is_some(), secret_value(&server, "stowage.admin"))
    };
    let before = admin().await;
    assert!(before.0 && before.1.is_some(), "who names no tokens has one");
    let auth = json!({"tokensSecretRef": {"name": "demo-tokens"}});
    ns.patch::<Store>("demo", json!({"spec": {"auth": auth}})).await;
    wait_for_reason::<Store>(&ns, "demo", "SecretMissing").await;
    operator.rest().await;
    assert_eq!(admin().await, before, "the pod that runs goes on with it");
    ns.create_secret("demo-tokens", &[("admin", "change-me-0123456789abcdef")]).await;
    eventually("it is gone with its Secret", admin, |now| *now == (false, None)).await;
}

#[tokio::test]
async fn a_missing_storage_class_and_a_missing_claim_are_named() {
    let ns = TestNamespace::new("class").await;
    let operator = ns.operator();
    let volume = json!({"size": "1Gi", "storageClassName": "no-such-class"});
    ns.create::<Store>("a", json!({"spec": {"backend": {"volume": volume}}})).await;
    is_stalled(&ns, &operator, "a", "StorageClassMissing", &["StorageClass no-such-class"]).await;
    assert!(ns.find::<PersistentVolumeClaim>("a-data").await.is_none());

    let volume = json!({"existingClaim": "old-data"});
    ns.create::<Store>("b", json!({"spec": {"backend": {"volume": volume}}})).await;
    is_stalled(&ns, &operator, "b", "ClaimMissing", &["PersistentVolumeClaim old-data"]).await;
    let claim = json!({"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    }});
    ns.create::<PersistentVolumeClaim>("old-data", claim).await;
    wait_for_reason::<Store>(&ns, "b", "VolumePending").await;
    let set = json!(ns.get::<StatefulSet>("b").await);
    let volume = &set["spec"]["template"]["spec"]["volumes"][0];
    assert_eq!(volume["persistentVolumeClaim"]["claimName"], "old-data");
    assert!(ns.find::<PersistentVolumeClaim>("b-data").await.is_none(), "none of its own");
}

#[tokio::test]
async fn a_volume_that_does_not_come_is_told_in_the_words_of_whoever_makes_it() {
    let ns = TestNamespace::new("pending").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    let all = conditions::<Store>(&ns, "demo").await;
    assert_eq!(condition(&all, "Reconciling").0, "True", "it may still come: {all:?}");
    let text = "no volume plugin matched";
    tell::<PersistentVolumeClaim>(&ns, "demo-data", "Warning", "ProvisioningFailed", text).await;
    eventually(
        "the Event's words are told",
        async || condition(&conditions::<Store>(&ns, "demo").await, "Stalled"),
        |found| found.1 == "VolumePending" && found.2.contains(text),
    )
    .await;
    drop(operator);
}

#[tokio::test]
async fn a_pod_that_does_not_start_is_told_by_its_reason() {
    let ns = TestNamespace::new("pod").await;
    let operator = ns.operator();
    let container = |state: Value| {
        json!({"phase": "Pending", "containerStatuses": [{
            "name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": state,
        }]})
    };
    let waiting = |reason: &str| {
        container(json!({"waiting": {"reason": reason, "message": "manifest unknown"}}))
    };
    let unschedulable = json!({"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
    }]});
    let crashed = container(json!({"terminated": {
        "exitCode": 64, "reason": "Error", "message": "config: sidecar.yaml is wrong\n",
    }}));
    let image = crate::support::SIDECAR_IMAGE;
    let table = [
        ("pull", waiting("ErrImagePull"), "ImageMissing", vec![image, "manifest unknown"]),
        ("back", waiting("ImagePullBackOff"), "ImageMissing", vec![image]),
        ("name", waiting("InvalidImageName"), "ImageMissing", vec![image]),
        ("place", unschedulable, "PodUnschedulable", vec!["Insufficient cpu"]),
        ("crash", crashed, "CrashLooping", vec!["exit code 64", "sidecar.yaml is wrong"]),
        ("user", waiting("CreateContainerConfigError"), "ContainerRefused", vec!["manifest"]),
    ];
    for (name, status, reason, words) in table {
        a_store(&ns, name).await;
        wait_for_reason::<Store>(&ns, name, "VolumePending").await;
        bind(&ns, &format!("{name}-data")).await;
        start_pod(&ns, name, status).await;
        is_stalled(&ns, &operator, name, reason, &words).await;
    }
    // What was corrected is taken up.
    ns.delete::<Pod>("pull-0").await;
    serve_again(&ns, "pull").await;
}

async fn serve_again(ns: &TestNamespace, name: &str) {
    eventually(
        "the pod is gone",
        async || ns.find::<Pod>(&format!("{name}-0")).await.is_none(),
        |gone| *gone,
    )
    .await;
    start_pod(ns, name, json!({"conditions": [{"type": "Ready", "status": "True"}]})).await;
    roll_out(ns, name).await;
    wait_for_reason::<Store>(ns, name, "Serving").await;
    let all = conditions::<Store>(ns, name).await;
    assert!(condition(&all, "Stalled").0.is_empty(), "{all:?}");
}

#[tokio::test]
async fn a_pod_that_admission_refuses_is_told() {
    let ns = TestNamespace::new("quota").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    bind(&ns, "demo-data").await;
    wait_for_reason::<Store>(&ns, "demo", "Starting").await;
    let text = "create Pod demo-0 failed: exceeded quota";
    tell::<StatefulSet>(&ns, "demo", "Warning", "FailedCreate", text).await;
    is_stalled(&ns, &operator, "demo", "PodRefused", &["exceeded quota"]).await;
}

#[tokio::test]
async fn what_the_api_server_refuses_is_told_in_its_words() {
    let ns = TestNamespace::new("refused").await;
    let operator = ns.operator();
    ns.create::<Store>(
        "demo",
        json!({"spec": {
            "backend": {"volume": {"size": "1Gi"}},
            "nodeSelector": {"not a label": "x"},
        }}),
    )
    .await;
    let (_, message) = wait_for_reason::<Store>(&ns, "demo", "Refused").await;
    assert!(message.contains("StatefulSet demo") && message.contains("not a label"), "{message}");
    ns.patch::<Store>("demo", json!({"spec": {"nodeSelector": null}})).await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    drop(operator);
}

/// A child's name that somebody else has: it says so, and leaves what is there as it is.
async fn leaves_alone<K: Object>(
    ns: &TestNamespace,
    operator: &Operator,
    child: &str,
    body: Value,
) {
    let store = child.split('-').next().unwrap();
    let before: K = ns.create(child, body).await;
    a_store(ns, store).await;
    let kind = K::kind(&()).into_owned();
    let words = [kind.as_str(), child, "somebody else"];
    is_stalled(ns, operator, store, "NameTaken", &words).await;
    let after: K = ns.get(child).await;
    assert_eq!(after.meta().resource_version, before.meta().resource_version, "{kind} {child}");
    assert!(ns.find::<StatefulSet>(store).await.is_none() || kind == "StatefulSet");
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_not_touched() {
    let ns = TestNamespace::new("taken").await;
    let operator = ns.operator();
    let port = json!({"spec": {"ports": [{"port": 80}]}});
    leaves_alone::<Service>(&ns, &operator, "a", port.clone()).await;
    leaves_alone::<Service>(&ns, &operator, "b-headless", port).await;
    leaves_alone::<ConfigMap>(&ns, &operator, "c-config", json!({"data": {"k": "v"}})).await;
    for child in ["d-server-tokens", "e-publisher", "f-admin", "j-signing-key"] {
        let secret = json!({"stringData": {"token": "theirs-0123456789abcdef"}});
        leaves_alone::<Secret>(&ns, &operator, child, secret).await;
    }
    leaves_alone::<ServiceAccount>(&ns, &operator, "g", json!({})).await;
    let claim = json!({"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    }});
    leaves_alone::<PersistentVolumeClaim>(&ns, &operator, "h-data", claim).await;
    let set = json!({"spec": {
        "serviceName": "x", "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "theirs"}]},
        },
    }});
    leaves_alone::<StatefulSet>(&ns, &operator, "i", set).await;
}

#[tokio::test]
async fn a_suspended_store_has_no_pod_and_rests() {
    let ns = TestNamespace::new("suspend").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    ns.patch::<Store>("demo", json!({"spec": {"suspend": true}})).await;
    let (status, _) = wait_for_reason::<Store>(&ns, "demo", "Suspended").await;
    assert_eq!(status, "False");
    let all = conditions::<Store>(&ns, "demo").await;
    assert_eq!(all.len(), 1, "neither stalled nor on its way: {all:?}");
    assert_eq!(ns.get::<StatefulSet>("demo").await.spec.unwrap().replicas, Some(0));
    operator.rest().await;
    let another = ns.operator();
    another.rest().await;
    assert_eq!(another.writes(), Vec::<String>::new(), "nothing had changed");

    ns.patch::<Store>("demo", json!({"spec": {"suspend": false}})).await;
    eventually(
        "there is to be a pod again",
        async || ns.get::<StatefulSet>("demo").await.spec.unwrap().replicas,
        |replicas| *replicas == Some(1),
    )
    .await;
    roll_out(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
}

#[tokio::test]
async fn a_store_that_is_made_anew_waits_for_what_the_old_one_left() {
    let ns = TestNamespace::new("anew").await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    let claim = ns.get::<PersistentVolumeClaim>("demo-data").await;
    ns.delete::<Store>("demo").await;
    // Nobody collects garbage here, as if the collector took its time.
    a_store(&ns, "demo").await;
    let (_, message) = wait_for_reason::<Store>(&ns, "demo", "Replacing").await;
    assert!(message.contains("demo-signing-key is being deleted"), "{message}");
    ns.collect_garbage("demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    eventually_some("the StatefulSet is made anew", async || ns.find::<StatefulSet>("demo").await)
        .await;
    let again = ns.get::<PersistentVolumeClaim>("demo-data").await;
    assert_eq!(again.metadata.uid, claim.metadata.uid, "the retained volume is taken up again");
    operator.stop().await;
}
