//! The cluster that end-to-end tests work on.

use kube::{Client, Config};

/// Why there is no cluster to work on.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `KUBECONFIG` is not set, and this is not inside of a local cluster.
    #[error(
        "there is no cluster: run the tests with `make e2e`, which brings one up, or set \
         KUBECONFIG to a cluster of yours"
    )]
    NoCluster,
    /// The kubeconfig does not hold together.
    #[error("cannot read the kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The client could not be made.
    #[error("cannot talk to the cluster: {0}")]
    Client(#[from] kube::Error),
}

/// A cluster that runs pods: the local one, where tests run inside of it, or any that
/// `KUBECONFIG` names.
#[derive(Clone)]
pub struct Cluster {
    config: Config,
}

impl Cluster {
    /// The cluster that `KUBECONFIG` names; `stowage-cluster run` sets it to the local one.
    ///
    /// # Errors
    /// Where there is none or its kubeconfig cannot be read.
    pub async fn connect() -> Result<Self, ConnectError> {
        if std::env::var_os("KUBECONFIG").is_none_or(|path| path.is_empty()) {
            return Err(ConnectError::NoCluster);
        }
        Ok(Self { config: Config::from_kubeconfig(&Default::default()).await? })
    }

    /// A client with the rights of the kubeconfig's user.
    ///
    /// # Errors
    /// Where the configuration makes none.
    pub fn client(&self) -> Result<Client, ConnectError> {
        Ok(Client::try_from(self.config.clone())?)
    }

    /// The client configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }
}
