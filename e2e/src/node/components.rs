//! The programs that make a node, in the order in which they are started.

use std::net::Ipv4Addr;
use std::path::Path;

use super::archive::BUSYBOX;
use super::layout::{
    API_PORT, AUDIT_LOG, AUDIT_POLICY, KUBECONFIG, NODE_NAME, PKI, POD_RANGE, STATE,
};
use super::settings::{file, user_file};
use crate::process::{ApiServer, NODE_ADDRESS, Process, SERVICE_RANGE, etcd};

/// The namespace of the volume provisioner.
pub(super) const PROVISIONER_NAMESPACE: &str = "local-path-storage";
/// The name of the provisioner's ConfigMap and ServiceAccount.
pub(super) const PROVISIONER: &str = "local-path";
const ETCD_PORTS: (u16, u16) = (2379, 2380);

/// What needs nothing else: the API server with its database, and the container runtime.
pub(super) fn foundation() -> Vec<Process> {
    let api_server = ApiServer {
        pki: Path::new(PKI),
        etcd_port: ETCD_PORTS.0,
        bind: Ipv4Addr::UNSPECIFIED,
        port: API_PORT,
        has_controllers: true,
    };
    let mut api_server = api_server.process();
    api_server.arguments.extend([
        format!("--audit-policy-file={}", file(AUDIT_POLICY)),
        format!("--audit-log-path={AUDIT_LOG}"),
        // A line is there when the request is answered.
        "--audit-log-mode=blocking".to_owned(),
    ]);
    vec![
        etcd(&Path::new(STATE).join("etcd"), ETCD_PORTS.0, ETCD_PORTS.1),
        api_server,
        Process::new("containerd", [format!("--config={}", file("containerd.toml"))]),
    ]
}

/// What needs the API server, and some of it what `base.rs` puts there.
pub(super) fn rest() -> Vec<Process> {
    vec![
        controller_manager(),
        Process::new(
            "kube-scheduler",
            [
                format!("--kubeconfig={}", user_file("scheduler")),
                "--leader-elect=false".to_owned(),
                "--bind-address=127.0.0.1".to_owned(),
            ],
        ),
        Process::new(
            "kubelet",
            [
                format!("--config={}", file("kubelet.json")),
                format!("--kubeconfig={}", user_file("kubelet")),
                format!("--root-dir={STATE}/kubelet"),
                format!("--hostname-override={NODE_NAME}"),
                format!("--node-ip={NODE_ADDRESS}"),
            ],
        ),
        Process::new("kube-proxy", [format!("--config={}", file("proxy.json"))]),
        Process::new("coredns", [format!("-conf={}", file("Corefile"))]),
        Process::new(
            "local-path-provisioner",
            [
                "start".to_owned(),
                format!("--config={}", file("local-path.json")),
                format!("--kubeconfig={KUBECONFIG}"),
                format!("--namespace={PROVISIONER_NAMESPACE}"),
                format!("--configmap-name={PROVISIONER}"),
                format!("--service-account-name={PROVISIONER}"),
                format!("--helper-image={BUSYBOX}"),
            ],
        ),
    ]
}

fn controller_manager() -> Process {
    let pki = |name: &str| format!("{PKI}/{name}");
    Process::new(
        "kube-controller-manager",
        [
            format!("--kubeconfig={}", user_file("controller-manager")),
            "--use-service-account-credentials".to_owned(),
            format!("--service-account-private-key-file={}", pki("sa.key")),
            format!("--root-ca-file={}", pki("ca.crt")),
            format!("--cluster-signing-cert-file={}", pki("ca.crt")),
            format!("--cluster-signing-key-file={}", pki("ca.key")),
            "--allocate-node-cidrs".to_owned(),
            format!("--cluster-cidr={POD_RANGE}"),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
            format!("--flex-volume-plugin-dir={}", file("volume-plugins")),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
        ],
    )
}
