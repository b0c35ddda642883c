//! Where things are inside of the node's mount namespace. All of it is on a tmpfs that goes with
//! the namespace.

/// What hides the host's `/run`: sockets, network namespaces and the state below.
pub(crate) const RUN: &str = "/run";
/// The node's own directory.
pub(crate) const STATE: &str = "/run/stowage";
/// The administrator's kubeconfig.
pub(crate) const KUBECONFIG: &str = "/run/stowage/kubeconfig";
/// Where `kubectl` and Helm keep what they would keep in the caller's home, a directory for each
/// variable that says so.
pub(crate) const CACHES: [(&str, &str); 4] = [
    ("KUBECACHEDIR", "/run/stowage/cache/kubectl"),
    ("HELM_CACHE_HOME", "/run/stowage/cache/helm"),
    ("HELM_CONFIG_HOME", "/run/stowage/cache/helm-config"),
    ("HELM_DATA_HOME", "/run/stowage/cache/helm-data"),
];
/// Exists once the node is ready for pods.
pub(crate) const READY: &str = "/run/stowage/ready";
/// The log of each program, `NAME.log`.
pub(crate) const LOGS: &str = "/run/stowage/log";
/// What the API server records, a file of [`STATE`].
pub(crate) const AUDIT_POLICY: &str = "audit-policy.json";
/// Where the API server records the writes of service accounts, one JSON object a line
/// (`audit.k8s.io/v1`, `Event`).
pub const AUDIT_LOG: &str = "/run/stowage/log/audit.log";
/// Keys and certificates.
pub(crate) const PKI: &str = "/run/stowage/pki";
/// Where containerd answers.
pub const CONTAINERD_SOCKET: &str = "/run/stowage/containerd.sock";
/// Where volumes are made.
pub(crate) const VOLUMES: &str = "/run/stowage/volumes";
/// The CNI configuration.
pub(crate) const CNI: &str = "/run/stowage/cni";
/// The name of the node.
pub(crate) const NODE_NAME: &str = "node";
/// The port of the API server.
pub(crate) const API_PORT: u16 = 6443;
/// The address of the Service `kube-dns`.
pub(crate) const DNS_ADDRESS: &str = "10.96.0.10";
/// The port of CoreDNS at the node's address; Services lead to it.
pub(crate) const DNS_PORT: u16 = 10_053;
/// The range of pod addresses.
pub(crate) const POD_RANGE: &str = "10.244.0.0/16";
