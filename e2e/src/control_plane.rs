//! An API server and etcd alone: what tests of controllers need, in seconds and without root.
//!
//! There is no controller manager and no node. So namespaces that are deleted stay `Terminating`,
//! owner references collect nothing, and StatefulSets and Jobs get no pods.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config, ResourceExt};

use crate::guard::Guard;
use crate::kubeconfig::kubeconfig;
use crate::pki::{Authority, PkiError, write_api_server_files, write_private};
use crate::ports::free_ports;
use crate::process::{API_SERVICE_ADDRESS, ApiServer, Process, etcd, last_lines};
use crate::tools::{ToolSet, ToolsError};

/// How long an API server may take to be ready, on a machine that is busy with other tests.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How long the API server may take to serve a new definition.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);
/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The order in which they are ended.
const PROGRAMS: [&str; 2] = ["kube-apiserver", "etcd"];
/// How often a start is tried: another process may take a port between its choice and its use.
const ATTEMPTS: u32 = 3;

/// What kept an API server from being there, or from doing what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// The programs are not there.
    #[error(transparent)]
    Tools(#[from] ToolsError),
    /// Keys or certificates could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file, a port or a process could not be made.
    #[error("cannot start an API server: {0}")]
    Start(#[from] io::Error),
    /// It did not get ready.
    #[error("the API server did not get ready: {reason}\n{logs}")]
    NotReady {
        /// What happened instead.
        reason: String,
        /// The last lines of the programs' logs.
        logs: String,
    },
    /// The kubeconfig does not hold together.
    #[error("cannot read the cluster's kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// A request could not be put together.
    #[error("cannot ask the API server: {0}")]
    Request(#[from] http::Error),
    /// The API server refused.
    #[error("the API server refused: {0}")]
    Api(#[from] kube::Error),
    /// A definition is not served.
    #[error("the definition of {name} was not established within {} s", ESTABLISHED_WITHIN.as_secs())]
    NotEstablished {
        /// The name of the definition.
        name: String,
    },
}

/// A running API server with its etcd. It ends when this value is dropped, or with this process.
#[derive(Debug)]
pub struct ControlPlane {
    /// Dropped in this order: first the programs, then the directory that they write to.
    guards: [Guard; 2],
    kubeconfig: PathBuf,
    config: Config,
    directory: Directory,
}

/// The directory of one control plane. Its guards remove it too, where this process is killed.
#[derive(Debug)]
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // The guards' readers may be removing it at the same time.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl ControlPlane {
    /// The one control plane of this test process, started by whoever asks first.
    ///
    /// # Panics
    /// Where it cannot be started, with the reason: no test that asks for one can go on.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start() {
            Ok(started) => started,
            Err(error) => panic!("{error}"),
        })
    }

    /// Starts a control plane of its own and waits until it is ready. Blocks; may be called on an
    /// async runtime's thread in a test.
    ///
    /// # Errors
    /// Where the programs cannot be built or started, or do not get ready.
    pub fn start() -> Result<Self, ControlPlaneError> {
        let tools = ToolSet::ControlPlane.directory()?;
        // A thread of its own, because a runtime cannot wait inside of another one.
        let starting = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut attempt = 1;
                loop {
                    match Self::start_once(&tools).await {
                        Err(ControlPlaneError::NotReady { .. }) if attempt < ATTEMPTS => {
                            attempt += 1;
                        }
                        result => return result,
                    }
                }
            })
        });
        starting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    async fn start_once(tools: &Path) -> Result<Self, ControlPlaneError> {
        let directory =
            Directory(tempfile::Builder::new().prefix("stowage-control-plane-").tempdir()?.keep());
        let [client, peer, api] = free_ports()?;
        let authority = Authority::new()?;
        write_api_server_files(
            &authority,
            &directory.0,
            &["127.0.0.1", "localhost", "kubernetes.default.svc", API_SERVICE_ADDRESS],
        )?;
        let admin = authority.client("admin", &["system:masters"])?;
        let server = format!("https://127.0.0.1:{api}");
        let content = kubeconfig(&server, &authority.identity().certificate, &admin);
        let path = directory.0.join("kubeconfig");
        write_private(&path, &content)?;
        let config = Config::from_custom_kubeconfig(
            Kubeconfig::from_yaml(&content)?,
            &KubeConfigOptions::default(),
        )
        .await?;

        let etcd = etcd(&directory.0.join("etcd"), client, peer);
        let api_server = ApiServer {
            pki: &directory.0,
            etcd_port: client,
            bind: Ipv4Addr::LOCALHOST,
            port: api,
            has_controllers: false,
        };
        let spawn = |process: Process| {
            let log = directory.0.join(format!("{}.log", process.program));
            Guard::spawn(&process, tools, &directory.0, &log)
        };
        let guards = [spawn(api_server.process())?, spawn(etcd)?];
        let mut started = Self { guards, kubeconfig: path, config, directory };
        started.wait_until_ready().await?;
        Ok(started)
    }

    async fn wait_until_ready(&mut self) -> Result<(), ControlPlaneError> {
        let deadline = Instant::now() + READY_WITHIN;
        let client = Client::try_from(self.config())?;
        loop {
            for (guard, program) in self.guards.iter_mut().zip(PROGRAMS) {
                if guard.has_ended() {
                    return Err(self.not_ready(format!("{program} ended")));
                }
            }
            let asked = tokio::time::timeout(ANSWER_WITHIN, client.request_text(readyz()?)).await;
            let reason = match asked {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not answer".to_owned(),
            };
            if Instant::now() > deadline {
                return Err(self.not_ready(format!("{reason}, {} s on", READY_WITHIN.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn not_ready(&self, reason: String) -> ControlPlaneError {
        let logs = PROGRAMS
            .map(|program| last_lines(&self.directory.0.join(format!("{program}.log"))))
            .concat();
        ControlPlaneError::NotReady { reason, logs }
    }

    /// The administrator's kubeconfig, for `kubectl` and Helm.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The administrator's client configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// A client configuration that acts as another user, such as
    /// `system:serviceaccount:NAMESPACE:NAME`, with that user's rights and groups.
    #[must_use]
    pub fn config_as(&self, user: &str) -> Config {
        let mut config = self.config();
        config.auth_info.impersonate = Some(user.to_owned());
        config
    }

    /// Applies the definitions of Stowage's resources and waits until they are served. Applying
    /// them again, or from several tests at once, is harmless.
    ///
    /// # Errors
    /// The API server's, and a definition that is not served in time.
    pub async fn apply_crds(&self) -> Result<(), ControlPlaneError> {
        let definitions: Api<CustomResourceDefinition> = Api::all(Client::try_from(self.config())?);
        let manager = PatchParams::apply("stowage-e2e").force();
        for definition in stowage_crds::definitions() {
            definitions.patch(&definition.name_any(), &manager, &Patch::Apply(&definition)).await?;
        }
        for definition in stowage_crds::definitions() {
            let name = definition.name_any();
            let established =
                await_condition(definitions.clone(), &name, conditions::is_crd_established());
            if !matches!(tokio::time::timeout(ESTABLISHED_WITHIN, established).await, Ok(Ok(_))) {
                return Err(ControlPlaneError::NotEstablished { name });
            }
        }
        Ok(())
    }

    /// Makes a namespace that no other test has, and gives its name: `PREFIX-` and what the API
    /// server adds. It is not removed; it goes with the control plane.
    ///
    /// # Errors
    /// The API server's.
    pub async fn namespace(&self, prefix: &str) -> Result<String, ControlPlaneError> {
        let namespaces: Api<Namespace> = Api::all(Client::try_from(self.config())?);
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{prefix}-")),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let created = namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(created.name_any())
    }
}

fn readyz() -> Result<http::Request<Vec<u8>>, http::Error> {
    http::Request::get("/readyz").body(Vec::new())
}
