//! A node runs pods: with an imported image, a bound volume, a Service, DNS, `kubectl exec` and
//! `logs`. Runs inside of the cluster (`make e2e`).

use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Namespace, Node, PersistentVolumeClaim, Pod, Service, ServiceAccount,
};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use stowage_e2e::Cluster;
use stowage_e2e::node::BUSYBOX;

const WITHIN: Duration = Duration::from_secs(120);

/// A namespace of one test, removed at its end.
struct Scratch {
    client: Client,
    name: String,
}

impl Scratch {
    async fn create() -> Self {
        let cluster = Cluster::connect().await.unwrap_or_else(|error| panic!("{error}"));
        let client = cluster.client().expect("a client");
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some("node-".to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let created = namespaces.create(&PostParams::default(), &namespace).await;
        let name = created.expect("a namespace").name_any();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
        let made =
            await_condition(accounts, "default", |found: Option<&ServiceAccount>| found.is_some());
        within("the namespace's service account", made).await.expect("a watch");
        Self { client, name }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Makes a pod out of our image that serves `/data` at port 8080.
    async fn serve(&self, name: &str) {
        let pod: Pod = from(json!({
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "main",
                    "image": BUSYBOX,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", "id -u > /data/user && echo wrote && exec httpd -f -p 8080 -h /data"],
                    "securityContext": {
                        "readOnlyRootFilesystem": true,
                        "allowPrivilegeEscalation": false,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "readinessProbe": {
                        "periodSeconds": 1,
                        "httpGet": {"path": "/user", "port": 8080},
                    },
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
            },
        }));
        let claim: PersistentVolumeClaim = from(json!({
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }));
        let post = PostParams::default();
        self.api().create(&post, &claim).await.expect("a claim");
        self.api().create(&post, &pod).await.expect("a pod");
        let ready = await_condition(self.api(), name, |pod: Option<&Pod>| {
            let status = pod.and_then(|pod| pod.status.as_ref());
            let conditions = status.and_then(|status| status.conditions.as_ref());
            conditions.is_some_and(|conditions| {
                conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
            })
        });
        if tokio::time::timeout(WITHIN, ready).await.is_err() {
            panic!("the pod did not get ready:\n{}", self.kubectl(&["describe", "pod", name]));
        }
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let output = Command::new("kubectl")
            .args(["--namespace", &self.name])
            .args(arguments)
            .output()
            .expect("kubectl runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {}: {said}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn remove(self) {
        let namespaces: Api<Namespace> = Api::all(self.client);
        namespaces.delete(&self.name, &DeleteParams::default()).await.expect("it is removed");
    }
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(WITHIN, future).await;
    result.unwrap_or_else(|_| panic!("{what}: not within {} s", WITHIN.as_secs()))
}

#[tokio::test]
async fn the_node_is_ready_and_volumes_have_a_class() {
    let cluster = Cluster::connect().await.unwrap_or_else(|error| panic!("{error}"));
    let client = cluster.client().expect("a client");
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await.expect("nodes");
    let ready = |node: &Node| {
        let conditions = node.status.as_ref()?.conditions.as_ref()?;
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
        Some(ready.status.clone())
    };
    let states: Vec<_> = nodes.iter().map(|node| (node.name_any(), ready(node))).collect();
    assert!(states.iter().any(|(_, state)| state.as_deref() == Some("True")), "{states:?}");

    let classes: Api<StorageClass> = Api::all(client);
    let classes = classes.list(&ListParams::default()).await.expect("classes");
    let default = "storageclass.kubernetes.io/is-default-class";
    assert!(
        classes.iter().any(|class| class.annotations().get(default).is_some_and(|is| is == "true")),
        "no class is the default: {:?}",
        classes.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_pod_without_rights_writes_to_its_volume_and_is_looked_into() {
    let scratch = Scratch::create().await;
    scratch.serve("writer").await;
    assert_eq!(scratch.kubectl(&["logs", "writer"]), "wrote\n");
    assert_eq!(scratch.kubectl(&["exec", "writer", "--", "cat", "/data/user"]), "65532\n");
    scratch.remove().await;
}

#[tokio::test]
async fn a_pod_reaches_another_one_by_the_name_of_its_service() {
    let scratch = Scratch::create().await;
    let service: Service = from(json!({
        "metadata": {"name": "files"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }));
    scratch.api().create(&PostParams::default(), &service).await.expect("a service");
    tokio::join!(scratch.serve("server"), scratch.serve("client"));

    let address = scratch.kubectl(&["get", "service", "files", "-o=jsonpath={.spec.clusterIP}"]);
    let full = format!("files.{}.svc.cluster.local", scratch.name);
    let found = scratch.kubectl(&["exec", "client", "--", "nslookup", &full]);
    assert!(found.contains(&address), "{full} is {address}; the pod found: {found}");
    // kube-proxy learns of a ready pod by a watch. Not by wget: with a time limit, the static busybox
    // of Debian crashes in it.
    let ask = "for try in $(seq 100); do \
               answer=$(printf 'GET /user HTTP/1.0\\r\\n\\r\\n' | nc -w 2 files 80 | tail -n 1); \
               [ -z \"$answer\" ] || { echo \"$answer\"; exit; }; sleep 0.1; done; exit 1";
    let got = scratch.kubectl(&["exec", "client", "--", "sh", "-c", ask]);
    assert_eq!(got, "65532\n", "by the name of a Service with the address {address}");
    scratch.remove().await;
}
