//! A private Git repository: an sshd at the node's own address, which pods reach.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::kubectl::{kubectl, run};
use super::repository;

const SSHD: &str = "/usr/sbin/sshd";

/// The repository of the quickstart behind an sshd that knows one key.
pub(crate) struct PrivateRepository {
    directory: TempDir,
    address: String,
    port: u16,
}

impl PrivateRepository {
    /// Serves until the test program ends.
    pub(crate) fn serve() -> Self {
        let address = kubectl(&[
            "get",
            "nodes",
            "--output=jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}",
        ]);
        let listener = TcpListener::bind((address.as_str(), 0)).unwrap_or_else(|error| {
            panic!("cannot listen at {address}: {error}; this test runs on the node")
        });
        let port = listener.local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let served = Self { directory, address, port };
        served.prepare();
        let settings = served.path("sshd_config");
        // Each connection gets an sshd of its own, as inetd would give it.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                answer(connection.unwrap(), &settings);
            }
        });
        served
    }

    fn prepare(&self) {
        // The distribution's sshd wants this where it runs as root.
        fs::create_dir_all("/run/sshd").unwrap();
        for name in ["host", "client", "stranger"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
                .arg(self.path(name))
                .stdin(Stdio::null())
                .status()
                .unwrap();
            assert!(made.success(), "ssh-keygen");
        }
        let settings = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
            self.path("host"),
            self.path("client.pub"),
        );
        fs::write(self.path("sshd_config"), settings).unwrap();
        let script = repository("scripts/quickstart-repository.sh");
        let made = run(Command::new("sh").arg(script).arg(self.path("etl.git")), "");
        assert!(made.success, "{}", made.stderr);
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// `ssh://…`.
    pub(crate) fn url(&self) -> String {
        format!("ssh://root@{}:{}{}", self.address, self.port, self.path("etl.git"))
    }

    /// A private key: that of `client`, whom the server knows, or of a `stranger`.
    pub(crate) fn private_key(&self, whose: &str) -> String {
        fs::read_to_string(self.path(whose)).unwrap()
    }

    /// The server's line for `known_hosts`.
    pub(crate) fn known_hosts(&self) -> String {
        let key = fs::read_to_string(self.path("host.pub")).unwrap();
        format!("[{}]:{} {key}", self.address, self.port)
    }

    /// The commit of `main`.
    pub(crate) fn head(&self) -> String {
        let path = self.path("etl.git");
        let said = run(Command::new("git").args(["-C", &path, "rev-parse", "main"]), "");
        said.result().unwrap().trim().to_owned()
    }
}

fn answer(connection: TcpStream, settings: &str) {
    assert!(Path::new(SSHD).exists(), "{SSHD} is missing: apt-get install -y openssh-server");
    let socket = OwnedFd::from(connection);
    let mut server = Command::new(SSHD)
        .args(["-i", "-e", "-f", settings])
        .stdin(Stdio::from(socket.try_clone().unwrap()))
        .stdout(Stdio::from(socket))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::spawn(move || server.wait());
}
