//! From a Store to its children, and back when somebody touches them.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount,
};
use serde_json::{Value, json};
use stowage_crds::Store;

use crate::support::{
    Object, SIDECAR_IMAGE, TestNamespace, a_store, eventually, eventually_some, secret_value,
    serve, wait_for_reason,
};

#[tokio::test]
async fn a_store_gets_its_children_and_serves() {
    let ns = TestNamespace::new("store").await;
    ns.create_secret("demo-tokens", &[("admin", "change-me-0123456789abcdef")]).await;
    let operator = ns.operator();
    ns.create::<Store>(
        "demo",
        json!({"spec": {
            "backend": {"volume": {"size": "1Gi"}},
            "auth": {"tokensSecretRef": {"name": "demo-tokens"}},
        }}),
    )
    .await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;

    let set: StatefulSet = ns.get("demo").await;
    let spec = set.spec.unwrap();
    assert_eq!(spec.replicas, Some(1));
    let container = &spec.template.spec.unwrap().containers[0];
    assert_eq!(container.image.as_deref(), Some(SIDECAR_IMAGE));
    let service: Service = ns.get("demo").await;
    assert_eq!(service.spec.unwrap().ports.unwrap()[0].port, 8080);
    let headless: Service = ns.get("demo-headless").await;
    assert_eq!(headless.spec.unwrap().cluster_ip.as_deref(), Some("None"));
    let config: ConfigMap = ns.get("demo-config").await;
    let text = &config.data.unwrap()["sidecar.yaml"];
    let read: stowage_config::SidecarConfig = serde_saphyr::from_str(text).unwrap();
    assert_eq!(read.store, "demo");
    let account: ServiceAccount = ns.get("demo").await;
    assert_eq!(account.automount_service_account_token, Some(false));
    let claim: PersistentVolumeClaim = ns.get("demo-data").await;
    assert_eq!(claim.metadata.owner_references, None, "a retained claim outlives its Store");
    let publisher: Secret = ns.get("demo-publisher").await;
    let server: Secret = ns.get("demo-server-tokens").await;
    let token = secret_value(&publisher, "token").unwrap();
    assert!(secret_value(&server, "stowage.sync").unwrap().contains(&token));
    assert!(ns.find::<Secret>("demo-admin").await.is_none(), "the user has tokens of their own");

    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    let status = ns.get::<Store>("demo").await.status.unwrap();
    assert_eq!(status.url, Some(format!("http://demo.{}.svc:8080", ns.name)));
    assert_eq!((status.replicas, status.ready_replicas), (Some(1), Some(1)));
    let backend = status.backend.unwrap();
    assert_eq!((backend.kind.as_str(), backend.capacity.as_deref()), ("volume", Some("1Gi")));
    let text = json!(ns.get::<Store>("demo").await.status).to_string();
    assert!(!text.contains(&token), "no token stands in the status: {text}");
    operator.stop().await;
}

#[tokio::test]
async fn limits_and_a_collector_reach_the_server_and_only_what_is_fixed_reaches_the_pod() {
    let ns = TestNamespace::new("traced").await;
    let operator = ns.operator();
    let spec = json!({
        "backend": {"volume": {"size": "1Gi"}},
        "limits": {"idleTimeout": "3m", "maxWatchesPerIdentity": 100, "maxConnections": 4000},
        "tracing": {"otlp": {
            "endpoint": "https://collector.example:4317", "protocol": "grpc", "sampleRatio": 0.25,
            "headersSecretRef": {"name": "collector"}, "caSecretRef": {"name": "authority"},
        }},
    });
    ns.create::<Store>("demo", json!({"spec": spec})).await;
    // Its Secrets are not there, and nothing waits for them.
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;

    let config = async || {
        let config: ConfigMap = ns.get("demo-config").await;
        let text = config.data.unwrap().remove("sidecar.yaml").unwrap();
        serde_saphyr::from_str::<stowage_config::SidecarConfig>(&text).unwrap()
    };
    let template = async || ns.get::<StatefulSet>("demo").await.spec.unwrap().template;
    let read = config().await;
    let limits = json!(read.limits);
    assert_eq!(limits["idleTimeout"], "3m", "{limits}");
    assert_eq!(limits["maxWatchesPerIdentity"], 100, "{limits}");
    let otlp = json!(read.tracing.unwrap().otlp);
    assert_eq!(otlp["endpoint"], "https://collector.example:4317");
    assert_eq!(otlp["sampleRatio"], 0.25);
    let before = template().await;
    let pod = before.spec.clone().unwrap();
    let mounts = pod.containers[0].volume_mounts.clone().unwrap();
    let mount = mounts.iter().find(|mount| mount.name == "tracing").unwrap();
    for field in ["headersFile", "caFile"] {
        let file = otlp[field].as_str().unwrap();
        assert!(file.starts_with(&mount.mount_path), "{field}: {file} in {}", mount.mount_path);
    }
    let volumes = pod.volumes.unwrap();
    let volume = volumes.into_iter().find(|volume| volume.name == "tracing").unwrap();
    let secrets: Vec<_> =
        volume.projected.unwrap().sources.unwrap().into_iter().filter_map(|it| it.secret).collect();
    let names: Vec<_> = secrets.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["collector", "authority"]);
    assert!(secrets.iter().all(|secret| secret.optional == Some(true)), "{secrets:?}");

    let limits = json!({"stallTimeout": "10s", "refusalsPerSecond": 9, "headerTimeout": "5s"});
    ns.patch::<Store>("demo", json!({"spec": {"limits": limits}})).await;
    eventually(
        "the limits are in the server's configuration",
        async || json!(config().await.limits)["stallTimeout"].clone(),
        |now| *now == "10s",
    )
    .await;
    operator.rest().await;
    assert_eq!(json!(template().await), json!(before), "a running server takes them up");
    ns.patch::<Store>("demo", json!({"spec": {"limits": {"maxConnections": 5000}}})).await;
    eventually("the pod is made anew", template, |now| json!(now) != json!(before)).await;
}

#[tokio::test]
async fn a_store_at_rest_costs_no_write() {
    let ns = TestNamespace::new("store").await;
    let first = ns.operator();
    a_store(&ns, "demo").await;
    serve(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "Serving").await;
    first.rest().await;
    let writes = first.writes();
    first.stop().await;

    // One that starts anew reconciles everything there is.
    let second = ns.operator();
    second.rest().await;
    assert_eq!(second.writes(), Vec::<String>::new(), "nothing had changed");
    // What it was made with: nine children, and the status as it went on.
    assert!(writes.len() <= 18, "{} writes: {writes:#?}", writes.len());
}

#[tokio::test]
async fn a_changed_spec_converges() {
    let ns = TestNamespace::new("store").await;
    let _operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    let template = |set: StatefulSet| json!(set.spec.unwrap().template);
    let before = template(ns.get("demo").await);

    // What a running server takes up restarts nothing.
    ns.patch::<Store>("demo", json!({"spec": {"limits": {"maxJsonBytes": "1Mi"}}})).await;
    eventually(
        "the configuration has the new limit",
        async || ns.get::<ConfigMap>("demo-config").await.data.unwrap()["sidecar.yaml"].clone(),
        |text| text.contains("\"1Mi\""),
    )
    .await;
    assert_eq!(template(ns.get("demo").await), before, "a new limit restarts no pod");

    let pod = json!({
        "image": "stowage.test/other:2", "nodeSelector": {"disktype": "ssd"},
        "resources": {"requests": {"cpu": "0.5", "memory": "1.5Gi"}},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "priorityClassName": "important", "podLabels": {"team": "shop"},
        "podAnnotations": {"example.com/a": "b"},
    });
    ns.patch::<Store>("demo", json!({"spec": pod})).await;
    let after = eventually(
        "the pod has the new image",
        async || template(ns.get("demo").await),
        |after| after["spec"]["containers"][0]["image"] == "stowage.test/other:2",
    )
    .await;
    assert_eq!(after["spec"]["containers"][0]["resources"]["requests"]["cpu"], "500m");
    assert_eq!(after["spec"]["containers"][0]["resources"]["requests"]["memory"], "1536Mi");
    assert_eq!(after["spec"]["nodeSelector"]["disktype"], "ssd");
    assert_eq!(after["spec"]["tolerations"][0]["key"], "dedicated");
    assert_eq!(after["spec"]["priorityClassName"], "important");
    assert_eq!(after["metadata"]["labels"]["team"], "shop");
    assert_eq!(after["metadata"]["annotations"]["example.com/a"], "b");

    // What is taken out of the spec goes out of the pod.
    ns.patch::<Store>("demo", json!({"spec": {"nodeSelector": null, "podLabels": null}})).await;
    eventually(
        "the node selector is gone",
        async || template(ns.get("demo").await),
        |after| {
            after["spec"]["nodeSelector"].is_null() && after["metadata"]["labels"]["team"].is_null()
        },
    )
    .await;
}

/// Deletes a child and edits it; both are put right.
async fn heals<K: Object>(ns: &TestNamespace, name: &str, edit: Value, at: &str) {
    let pointer = |object: &K| json!(object).pointer(at).cloned().unwrap_or_default();
    let what = format!("{} {name}", K::kind(&()));
    let before = ns.get::<K>(name).await;
    let wanted = pointer(&before);
    assert!(!wanted.is_null(), "{what} has nothing at {at}");
    let edited = ns.patch::<K>(name, edit).await;
    assert_ne!(pointer(&edited), wanted, "{what}: the edit changes what is looked at");
    eventually(
        &format!("{what} is put back after an edit"),
        async || pointer(&ns.get::<K>(name).await),
        |now| *now == wanted,
    )
    .await;
    ns.delete::<K>(name).await;
    let again = eventually_some(&format!("{what} comes back"), async || {
        ns.find::<K>(name).await.filter(|now| now.meta().uid != before.meta().uid)
    })
    .await;
    assert!(!pointer(&again).is_null(), "{what} comes back whole");
}

#[tokio::test]
async fn a_child_that_is_edited_or_deleted_comes_back() {
    let ns = TestNamespace::new("store").await;
    let _operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    let replicas = json!({"spec": {"replicas": 3}});
    heals::<StatefulSet>(&ns, "demo", replicas, "/spec/replicas").await;
    let selector = json!({"spec": {"selector": {"app.kubernetes.io/instance": "x"}}});
    let at = "/spec/selector/app.kubernetes.io~1instance";
    heals::<Service>(&ns, "demo", selector.clone(), at).await;
    heals::<Service>(&ns, "demo-headless", selector, at).await;
    heals::<ConfigMap>(
        &ns,
        "demo-config",
        json!({"data": {"sidecar.yaml": "edited"}}),
        "/data/sidecar.yaml",
    )
    .await;
    heals::<ServiceAccount>(
        &ns,
        "demo",
        json!({"automountServiceAccountToken": true}),
        "/automountServiceAccountToken",
    )
    .await;
    for (name, key) in [("demo-publisher", "token"), ("demo-admin", "token")] {
        let at = format!("/data/{key}");
        heals::<Secret>(&ns, name, json!({"stringData": {key: "edited"}}), &at).await;
    }
    let before = ns.get::<PersistentVolumeClaim>("demo-data").await;
    ns.patch::<PersistentVolumeClaim>("demo-data", json!({"metadata": {"finalizers": null}})).await;
    ns.delete::<PersistentVolumeClaim>("demo-data").await;
    eventually_some("the claim comes back", async || {
        let claim = ns.find::<PersistentVolumeClaim>("demo-data").await?;
        (claim.metadata.uid != before.metadata.uid).then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_stores_stand_side_by_side() {
    let ns = TestNamespace::new("store").await;
    let _operator = ns.operator();
    for name in ["a", "b"] {
        a_store(&ns, name).await;
    }
    for name in ["a", "b"] {
        serve(&ns, name).await;
        wait_for_reason::<Store>(&ns, name, "Serving").await;
    }
    let token = async |name: &str| secret_value(&ns.get(name).await, "token").unwrap();
    assert_ne!(token("a-publisher").await, token("b-publisher").await);
}

#[tokio::test]
async fn an_operator_that_is_killed_in_the_middle_is_followed_by_one_that_goes_on() {
    let ns = TestNamespace::new("store").await;
    let first = ns.operator();
    a_store(&ns, "demo").await;
    eventually_some("the first child is there", async || {
        ns.find::<Secret>("demo-server-tokens").await
    })
    .await;
    first.kill();
    let tokens: Secret = ns.get("demo-server-tokens").await;
    let _second = ns.operator();
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    assert_eq!(ns.get::<Secret>("demo-server-tokens").await.data, tokens.data, "tokens are kept");
    ns.get::<StatefulSet>("demo").await;
}

#[tokio::test]
async fn an_object_that_does_not_parse_stops_nobody_else() {
    // The definition is loosened, so this API server is nobody else's.
    let ns = TestNamespace::alone("store").await;
    ns.loosen::<Store>("stores.stowage.dev").await;
    ns.create_loose::<Store>("odd", json!({"backend": {"volume": {"size": true}}})).await;
    let operator = ns.operator();
    a_store(&ns, "demo").await;
    wait_for_reason::<Store>(&ns, "demo", "VolumePending").await;
    let odd = eventually(
        "the odd one is told why",
        async || ns.loose_condition::<Store>("odd", "Stalled").await,
        |found| found.0 == "True",
    )
    .await;
    assert_eq!(odd.1, "InvalidSpec", "{odd:?}");
    operator.rest().await;
    let another = ns.operator();
    another.rest().await;
    assert_eq!(another.writes(), Vec::<String>::new(), "it is told once");
}
