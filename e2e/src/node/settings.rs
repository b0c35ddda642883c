//! The files that the node's programs read at their start.

use std::fs;
use std::io;

use serde_json::{Value, json};

use super::archive::PAUSE;
use super::layout::{
    API_PORT, AUDIT_POLICY, CNI, CONTAINERD_SOCKET, DNS_ADDRESS, DNS_PORT, KUBECONFIG, NODE_NAME,
    PKI, STATE, VOLUMES,
};
use crate::kubeconfig::kubeconfig;
use crate::pki::{Authority, PkiError, write_api_server_files, write_private};
use crate::process::{API_SERVICE_ADDRESS, NODE_ADDRESS};

/// Makes the cluster's keys and writes a kubeconfig for each of its users.
pub(super) fn write_identities() -> Result<(), PkiError> {
    let pki = std::path::Path::new(PKI);
    let authority = Authority::new()?;
    let node_address = NODE_ADDRESS.to_string();
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
    let addresses = ["127.0.0.1", API_SERVICE_ADDRESS, &node_address];
    write_api_server_files(&authority, pki, &[&names[..], &addresses[..]].concat())?;
    authority.server(NODE_NAME, &[NODE_NAME, &node_address])?.write(pki, "kubelet")?;

    let server = format!("https://127.0.0.1:{API_PORT}");
    let certificate = authority.identity().certificate;
    let node = format!("system:node:{NODE_NAME}");
    let users: [(String, &str, &[&str]); 5] = [
        (KUBECONFIG.to_owned(), "admin", &["system:masters"]),
        (user_file("controller-manager"), "system:kube-controller-manager", &[]),
        (user_file("scheduler"), "system:kube-scheduler", &[]),
        (user_file("proxy"), "system:kube-proxy", &[]),
        (user_file("kubelet"), &node, &["system:nodes"]),
    ];
    for (file, user, groups) in users {
        let content = kubeconfig(&server, &certificate, &authority.client(user, groups)?);
        write_private(file.as_ref(), &content)?;
    }
    Ok(())
}

/// The kubeconfig of one component.
pub(super) fn user_file(component: &str) -> String {
    format!("{STATE}/{component}.kubeconfig")
}

/// A settings file of one program.
pub(super) fn file(name: &str) -> String {
    format!("{STATE}/{name}")
}

/// Writes the settings of every program.
pub(super) fn write() -> io::Result<()> {
    let files = [
        (file(AUDIT_POLICY), audit_policy().to_string()),
        (file("containerd.toml"), containerd()),
        (file("kubelet.json"), kubelet().to_string()),
        (file("proxy.json"), proxy().to_string()),
        (file("Corefile"), corefile()),
        (file("local-path.json"), local_path().to_string()),
        (format!("{CNI}/10-stowage.conflist"), network().to_string()),
        // What pods with `dnsPolicy: Default` get. There is nobody to ask outside.
        (file("resolv.conf"), format!("nameserver {NODE_ADDRESS}\n")),
    ];
    for (path, content) in files {
        fs::write(path, content)?;
    }
    Ok(())
}

/// Version 2 of the format is what containerd 1.x reads.
fn containerd() -> String {
    format!(
        r#"version = 2
root = "{STATE}/containerd/root"
state = "{STATE}/containerd/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{CNI}"
"#
    )
}

/// Every write by a service account is recorded, but for those of Kubernetes' own controllers.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
            {
                "level": "Metadata",
                "userGroups": ["system:serviceaccounts"],
                "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            },
            {"level": "None"},
        ],
    })
}

fn kubelet() -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": format!("{PKI}/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": format!("{PKI}/kubelet.crt"),
        "tlsPrivateKeyFile": format!("{PKI}/kubelet.key"),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": file("resolv.conf"),
        "volumePluginDir": file("volume-plugins"),
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": false,
        // Tests kill containers many times; the default would wait minutes before the next start.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%"},
        // There is no registry to pull an image from again.
        "imageGCHighThresholdPercent": 100,
    })
}

fn proxy() -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": NODE_NAME,
        "clientConnection": {"kubeconfig": user_file("proxy")},
        "clusterCIDR": super::layout::POD_RANGE,
        // Limits of the host's connection tracking, which a namespace may not set.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        // A new Service is to answer at once.
        "iptables": {"minSyncPeriod": "100ms"},
    })
}

fn corefile() -> String {
    format!(
        ".:{DNS_PORT} {{
    bind {NODE_ADDRESS}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {KUBECONFIG}
        ttl 1
    }}
}}
"
    )
}

fn local_path() -> Value {
    json!({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [VOLUMES]}]})
}

/// A point-to-point link for each pod. Behind a common bridge, the answer of a pod to another one
/// would pass by the translation of Service addresses, unless a kernel module sends it there.
fn network() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "stowage",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": file("addresses"),
                    "ranges": [[{"subnet": "10.244.0.0/24"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}
