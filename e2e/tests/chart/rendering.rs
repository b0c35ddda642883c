//! What each value does to the objects.

use std::collections::BTreeSet;
use std::fs;

use clap::Parser;
use serde_json::{Value, json};
use stowage_operator::process::{Arguments, Command as OperatorCommand};

use crate::helm::{NAMESPACE, Objects, chart, program, release, repository, run, template};

#[test]
fn helm_has_nothing_to_say() {
    let (stdout, _) = run(program("helm").args(["lint", "--strict", "--quiet"]).arg(chart()), true);
    assert_eq!(stdout.trim(), "");
}

#[test]
fn the_defaults_are_one_operator_for_all_namespaces() {
    let objects = template(&[]);
    let deployment = objects.one("Deployment");
    assert_eq!(deployment["metadata"]["name"], "stowage");
    assert_eq!(deployment["metadata"]["namespace"], NAMESPACE);
    assert_eq!(deployment["spec"]["replicas"], 1);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        objects.arguments(),
        [
            "run",
            &format!("--sidecar-image=stowage.dev/stowage-sidecar:{version}"),
            &format!("--sync-image=stowage.dev/stowage-sync:{version}"),
            "--image-pull-policy=IfNotPresent",
            "--listen=0.0.0.0:8080",
            "--lease-namespace=stowage-system",
            "--lease-name=stowage",
            "--leader-elect=true",
            "--concurrency=8",
            "--log-format=json",
        ]
    );
    let image = format!("stowage.dev/stowage-operator:{version}");
    assert_eq!(objects.pod()["containers"][0]["image"], image);
    assert_eq!(objects.pod()["serviceAccountName"], "stowage");
    for absent in ["PodDisruptionBudget", "ServiceMonitor"] {
        assert_eq!(objects.names(absent), [""; 0]);
    }
}

/// With every value set, so that every flag is given.
#[test]
fn the_operator_takes_the_arguments() {
    fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> OperatorCommand {
        let arguments = ["stowage-operator"].into_iter().chain(arguments);
        Arguments::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).command
    }
    let objects = template(&[
        "--set=watchNamespaces={a,b},imagePullSecrets={x,y},images.pullPolicy=Never",
        "--set=allowInsecureGitUrls=true,logFormat=text,concurrency=256",
    ]);
    let OperatorCommand::Run(run) = parse(objects.arguments()) else { panic!("it is not run") };
    assert_eq!(run.watch_namespaces, ["a", "b"]);
    assert_eq!(run.image_pull_secrets, ["x", "y"]);
    assert_eq!(run.image_pull_policy, "Never");
    assert_eq!(run.concurrency, 256);
    assert!(run.allow_insecure_git_urls && run.leader_elect);
    let pod = &objects.one("Pod")["spec"]["containers"][0]["args"];
    let arguments = pod.as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
    let OperatorCommand::Verify(verify) = parse(arguments) else { panic!("it does not verify") };
    assert_eq!(verify.url, "http://stowage.stowage-system.svc:8080");
}

#[test]
fn the_service_selects_the_operators_pods_alone() {
    let objects = template(&[]);
    let selector = objects.one("Service")["spec"]["selector"].as_object().unwrap();
    let matches = |labels: &Value| selector.iter().all(|(key, value)| &labels[key] == value);
    let deployment = objects.one("Deployment");
    assert!(matches(&deployment["spec"]["template"]["metadata"]["labels"]));
    assert!(matches(&deployment["spec"]["selector"]["matchLabels"]));
    assert!(!matches(&objects.one("Pod")["metadata"]["labels"]), "the pod of helm test");
}

/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>, and a read-only root.
#[test]
fn every_pod_is_restricted() {
    let objects = template(&[]);
    for pod in [objects.pod(), &objects.one("Pod")["spec"]] {
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["runAsUser"], 65532);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for absent in ["volumes", "hostNetwork", "hostPID", "hostIPC"] {
            assert_eq!(pod[absent], Value::Null, "{absent}");
        }
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
        let container = &pod["containers"][0];
        let expected = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], expected);
        assert_eq!(container["env"], Value::Null, "nothing comes by the environment");
        assert!(container["resources"]["limits"]["memory"].is_string());
    }
}

/// Some arguments, what of the objects is looked at, and what it is to be.
type Case = (&'static [&'static str], fn(&Objects) -> Value, Value);

#[test]
fn each_value_has_its_effect() {
    fn pod(objects: &Objects, field: &str) -> Value {
        objects.pod()[field].clone()
    }
    fn container(objects: &Objects, field: &str) -> Value {
        objects.pod()["containers"][0][field].clone()
    }
    fn template_metadata(objects: &Objects, pointer: &str) -> Value {
        objects.one("Deployment")["spec"]["template"]["metadata"]
            .pointer(pointer)
            .cloned()
            .unwrap_or_default()
    }
    /// The value of one flag of the operator; null where it is not given.
    fn flag(objects: &Objects, name: &str) -> Value {
        let found = objects.arguments().into_iter().find_map(|argument| {
            let (flag, value) = argument.split_once('=').unwrap_or((argument, "true"));
            (flag == name).then(|| value.to_owned())
        });
        found.into()
    }
    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let cases: Vec<Case> = vec![
        (&["--set=replicas=2"], |o| o.one("Deployment")["spec"]["replicas"].clone(), json!(2)),
        (
            &["--set=replicas=2"],
            |o| o.one("PodDisruptionBudget")["spec"]["minAvailable"].clone(),
            json!(1),
        ),
        (
            &["--set=replicas=2"],
            |o| o.one("PodDisruptionBudget")["spec"]["selector"].clone(),
            template(&[]).one("Deployment")["spec"]["selector"].clone(),
        ),
        (&["--set=concurrency=3"], |o| flag(o, "--concurrency"), json!("3")),
        (&[], |o| flag(o, "--allow-insecure-git-urls"), Value::Null),
        (
            &["--set=allowInsecureGitUrls=true"],
            |o| flag(o, "--allow-insecure-git-urls"),
            json!("true"),
        ),
        (&["--set=logFormat=text"], |o| flag(o, "--log-format"), json!("text")),
        (&[], |o| flag(o, "--watch-namespaces"), Value::Null),
        (&["--set=watchNamespaces={a,b}"], |o| flag(o, "--watch-namespaces"), json!("a,b")),
        (
            &["--set=images.repository=registry.example:5000/x,images.tag=v7"],
            |o| {
                json!([
                    container(o, "image"),
                    flag(o, "--sidecar-image"),
                    flag(o, "--sync-image"),
                    o.one("Pod")["spec"]["containers"][0]["image"]
                ])
            },
            json!([
                "registry.example:5000/x/stowage-operator:v7",
                "registry.example:5000/x/stowage-sidecar:v7",
                "registry.example:5000/x/stowage-sync:v7",
                "registry.example:5000/x/stowage-operator:v7"
            ]),
        ),
        (
            &[
                "--set=images.tag=v7,images.sidecar.repository=mirror.example/s,images.sidecar.tag=v8",
            ],
            |o| flag(o, "--sidecar-image"),
            json!("mirror.example/s:v8"),
        ),
        (
            &["--set=images.tag=v7,images.sync.repository=mirror.example/s"],
            |o| flag(o, "--sync-image"),
            json!("mirror.example/s:v7"),
        ),
        (
            &[
                "--set=images.operator.tag=v8",
                "--set=images.operator.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            |o| container(o, "image"),
            json!(format!("stowage.dev/stowage-operator@{DIGEST}")),
        ),
        (
            &["--set=images.pullPolicy=Never"],
            |o| json!([container(o, "imagePullPolicy"), flag(o, "--image-pull-policy")]),
            json!(["Never", "Never"]),
        ),
        (
            &["--set=imagePullSecrets={x,y}"],
            |o| json!([pod(o, "imagePullSecrets"), flag(o, "--image-pull-secrets")]),
            json!([[{"name": "x"}, {"name": "y"}], "x,y"]),
        ),
        (
            &["--set=imagePullSecrets={x}"],
            |o| o.one("Pod")["spec"]["imagePullSecrets"].clone(),
            json!([{"name": "x"}]),
        ),
        (&["--set=crds.install=false"], |o| json!(o.names("CustomResourceDefinition")), json!([])),
        (
            &["--set=rbac.aggregate=false,rbac.storageClasses=false,watchNamespaces={a}"],
            |o| json!([o.names("ClusterRole"), o.names("ClusterRoleBinding")]),
            json!([[], []]),
        ),
        (
            &[
                "--set=serviceMonitor.enabled=true,serviceMonitor.interval=5s,serviceMonitor.labels.team=x",
            ],
            |o| {
                let monitor = o.one("ServiceMonitor");
                json!([monitor["spec"]["endpoints"], monitor["metadata"]["labels"]["team"]])
            },
            json!([[{"port": "http", "path": "/metrics", "interval": "5s"}], "x"]),
        ),
        (
            &["--api-versions=monitoring.coreos.com/v1/ServiceMonitor"],
            |o| json!(o.names("ServiceMonitor")),
            json!(["stowage"]),
        ),
        (
            &[
                "--api-versions=monitoring.coreos.com/v1/ServiceMonitor",
                "--set=serviceMonitor.enabled=false",
            ],
            |o| json!(o.names("ServiceMonitor")),
            json!([]),
        ),
        (
            &["--set=serviceAccount.annotations.a=b"],
            |o| o.of("ServiceAccount")[0]["metadata"]["annotations"].clone(),
            json!({"a": "b"}),
        ),
        (
            &["--set=resources.requests.cpu=2,resources.limits.memory=1Gi"],
            |o| container(o, "resources"),
            json!({"requests": {"cpu": 2, "memory": "32Mi"}, "limits": {"memory": "1Gi"}}),
        ),
        (
            &["--set=podAnnotations.a=b"],
            |o| template_metadata(o, "/annotations"),
            json!({"a": "b"}),
        ),
        (&["--set=podLabels.a=b"], |o| template_metadata(o, "/labels/a"), json!("b")),
        (
            &["--set=nodeSelector.disk=fast"],
            |o| json!([pod(o, "nodeSelector"), o.one("Pod")["spec"]["nodeSelector"]]),
            json!([{"disk": "fast"}, {"disk": "fast"}]),
        ),
        (
            &["--set=tolerations[0].operator=Exists"],
            |o| json!([pod(o, "tolerations"), o.one("Pod")["spec"]["tolerations"]]),
            json!([[{"operator": "Exists"}], [{"operator": "Exists"}]]),
        ),
        (
            &["--set-json=affinity.podAntiAffinity={\"x\":[1]}"],
            |o| pod(o, "affinity"),
            json!({"podAntiAffinity": {"x": [1]}}),
        ),
        (
            &["--set=topologySpreadConstraints[0].maxSkew=1"],
            |o| pod(o, "topologySpreadConstraints"),
            json!([{"maxSkew": 1}]),
        ),
        (&["--set=priorityClassName=high"], |o| pod(o, "priorityClassName"), json!("high")),
        (
            &["--set=fullnameOverride=depot"],
            |o| {
                json!([
                    o.names("Deployment"),
                    o.names("Service"),
                    pod(o, "serviceAccountName"),
                    flag(o, "--lease-name"),
                    o.one("Pod")["spec"]["containers"][0]["args"]
                ])
            },
            json!([
                ["depot"],
                ["depot"],
                "depot",
                "depot",
                ["verify", "--url=http://depot.stowage-system.svc:8080"]
            ]),
        ),
    ];
    for (arguments, look, expected) in cases {
        assert_eq!(look(&template(arguments)), expected, "{arguments:?}");
    }
}

/// A Service's name has at most 63 characters, and so has a label with a pod's.
#[test]
fn objects_are_named_after_the_release() {
    let longest = "a23456789-123456789-123456789-123456789-123456789-123";
    let cases = [
        ("stowage", "stowage"),
        ("x", "x-stowage"),
        ("my-stowage", "my-stowage"),
        (longest, "a23456789-123456789-123456789-123456789-12-stowage"),
    ];
    for (name, expected) in cases {
        let objects = release(name, &[]);
        for kind in ["Deployment", "Service"] {
            assert_eq!(objects.names(kind), [expected], "{name}");
        }
        for kind in ["ServiceAccount", "Pod"] {
            for object in objects.names(kind) {
                assert!(object.len() <= 63, "{kind} {object} has {} characters", object.len());
            }
        }
    }
}

/// The chart's definitions are those of `crds/yaml`, word for word, and are kept.
#[test]
fn the_definitions_are_those_of_the_types() {
    let objects = template(&[]);
    for definition in stowage_crds::definitions() {
        let name = definition.metadata.name.clone().unwrap();
        let rendered = objects
            .of("CustomResourceDefinition")
            .into_iter()
            .find(|object| object["metadata"]["name"] == name.as_str())
            .unwrap_or_else(|| panic!("{name} is not in the chart"));
        let keep = &rendered["metadata"]["annotations"]["helm.sh/resource-policy"];
        assert_eq!(keep, "keep", "{name} would be deleted by helm uninstall");
        let expected: Value =
            serde_saphyr::from_str(&stowage_crds::yaml(&definition).unwrap()).unwrap();
        assert_eq!(rendered["spec"], expected["spec"], "{name}");
    }
    assert_eq!(objects.of("CustomResourceDefinition").len(), 3);
}

#[test]
fn chart_and_workspace_have_one_version() {
    let text = fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// Each value stands in the table of the reference, and the table names no other.
#[test]
fn the_reference_names_each_value() {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let mut expected = BTreeSet::new();
    for (key, value) in values.as_object().unwrap() {
        match (key.as_str(), value) {
            // A shape of Kubernetes' own is one value.
            ("resources", _) => drop(expected.insert(key.clone())),
            (_, Value::Object(members)) if !members.is_empty() => {
                expected.extend(members.keys().map(|member| format!("{key}.{member}")));
            }
            _ => drop(expected.insert(key.clone())),
        }
    }
    let page = fs::read_to_string(repository("docs/install.md")).unwrap();
    let section = page.split("### Values").nth(1).unwrap().split("\n##").next().unwrap();
    let documented: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|line| line.split(" |").next().unwrap_or_default().split(", "))
        .map(|name| name.trim_matches('`').to_owned())
        .collect();
    assert_eq!(documented, expected, "the table of docs/install.md");
}
