//! What whoever runs the operator decides.

/// The settings that reconciles look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which namespaces' resources are reconciled.
    pub scope: Scope,
    /// The image of the storage pods.
    pub sidecar_image: String,
    /// The image of the Git sync Jobs: the same program, with git and ssh.
    pub sync_image: String,
    /// `Always`, `IfNotPresent` or `Never`, for both images.
    pub image_pull_policy: String,
    /// The Secrets that pods pull images with; each must be in the pod's own namespace.
    pub image_pull_secrets: Vec<String>,
    /// Whether Git sources may use `http://` and `file://` URLs.
    pub allow_insecure_git_urls: bool,
    /// The most objects of one kind that are reconciled at a time.
    pub concurrency: u16,
}

/// Which namespaces' resources are reconciled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// These, in which the operator has its rights.
    Namespaces(Vec<String>),
}
