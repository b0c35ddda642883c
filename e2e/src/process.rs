//! The command lines of etcd and of the API server, which both kinds of cluster run.

use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

/// The range of Service addresses.
pub(crate) const SERVICE_RANGE: &str = "10.96.0.0/16";
/// The address of the Service `kubernetes`: the first of its range.
pub(crate) const API_SERVICE_ADDRESS: &str = "10.96.0.1";
/// The address that a node and its API server go by.
pub(crate) const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 1);

/// A program of the cluster and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// The name of the program among the tools, or in `PATH`.
    pub(crate) program: &'static str,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
}

impl Process {
    /// A program with arguments.
    pub(crate) fn new(program: &'static str, arguments: impl IntoIterator<Item = String>) -> Self {
        Self { program, arguments: arguments.into_iter().collect() }
    }
}

/// etcd, without the syncs that would make a throw-away database wait for a disk.
pub(crate) fn etcd(data: &Path, client_port: u16, peer_port: u16) -> Process {
    let client = format!("http://127.0.0.1:{client_port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    Process::new(
        "etcd",
        [
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ],
    )
}

/// What the API server of one cluster needs to know.
pub(crate) struct ApiServer<'a> {
    /// Where [`crate::pki::write_api_server_files`] wrote.
    pub(crate) pki: &'a Path,
    /// The port of etcd, at loopback.
    pub(crate) etcd_port: u16,
    /// Where it listens.
    pub(crate) bind: Ipv4Addr,
    /// The port that it listens at.
    pub(crate) port: u16,
    /// Whether a controller manager runs beside it. Without one nobody makes the service accounts
    /// that the admission of pods insists on.
    pub(crate) has_controllers: bool,
}

impl ApiServer<'_> {
    /// Its command line.
    pub(crate) fn process(&self) -> Process {
        let file = |name: &str| self.pki.join(name).display().to_string();
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--bind-address={}", self.bind),
            format!("--secure-port={}", self.port),
            format!("--advertise-address={NODE_ADDRESS}"),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
            format!("--tls-cert-file={}", file("apiserver.crt")),
            format!("--tls-private-key-file={}", file("apiserver.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            format!("--kubelet-client-certificate={}", file("kubelet-client.crt")),
            format!("--kubelet-client-key={}", file("kubelet-client.key")),
            format!("--kubelet-certificate-authority={}", file("ca.crt")),
            // By name, `kubectl exec` and `logs` would look the node up in DNS.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            format!("--service-account-key-file={}", file("sa.pub")),
            format!("--service-account-signing-key-file={}", file("sa.key")),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--profiling=false".to_owned(),
        ];
        if !self.has_controllers {
            arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
        }
        Process::new("kube-apiserver", arguments)
    }
}

/// How many lines of a log are shown where a program fails.
const LINES_SHOWN: usize = 15;

/// The last lines of a program's log, below a line that names it. Empty where there is no log.
pub(crate) fn last_lines(log: &Path) -> String {
    let content = fs::read(log).unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = content.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    let mut text = String::new();
    if !shown.is_empty() {
        let name = log.file_stem().unwrap_or_default().to_string_lossy();
        let _ = writeln!(text, "the last lines of {name}:");
        for line in shown {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}
