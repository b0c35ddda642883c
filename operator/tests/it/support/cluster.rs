//! One API server for all tests, and a namespace for each.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleRef, Subject};
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};
use stowage_e2e::ControlPlane;
use tokio::sync::OnceCell;

use super::Operator;

/// The operator's user in tests.
pub(crate) const OPERATOR_USER: &str = "system:serviceaccount:stowage-system:stowage-operator";
const RIGHTS: &str = include_str!("rbac.yaml");

/// A namespace that no other test has.
pub(crate) struct TestNamespace {
    pub(crate) name: String,
    /// The administrator's client.
    pub(crate) admin: Client,
    plane: &'static ControlPlane,
}

impl TestNamespace {
    /// A fresh one on the API server that all tests of this process share, whose definitions and
    /// rights are in place.
    pub(crate) async fn new(prefix: &str) -> Self {
        static PREPARED: OnceCell<()> = OnceCell::const_new();
        let plane = ControlPlane::shared();
        PREPARED.get_or_init(async || prepare(plane).await).await;
        Self::on(plane, prefix).await
    }

    /// A fresh one on an API server of the caller's own, for a test that changes what all would
    /// see.
    pub(crate) async fn alone(prefix: &str) -> Self {
        // It lives as long as the process, like the shared one.
        let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start().unwrap()));
        prepare(plane).await;
        Self::on(plane, prefix).await
    }

    async fn on(plane: &'static ControlPlane, prefix: &str) -> Self {
        let name = plane.namespace(prefix).await.unwrap();
        Self { name, admin: Client::try_from(plane.config()).unwrap(), plane }
    }

    /// The objects of a kind in it, as the administrator.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.admin.clone(), &self.name)
    }

    /// Runs the operator in it, as its service account.
    pub(crate) fn operator(&self) -> Operator {
        Operator::start(self.plane.config_as(OPERATOR_USER), &self.name)
    }

    /// As [`Self::operator`], with the controller of sources alone.
    pub(crate) fn operator_of_sources(&self) -> Operator {
        Operator::start_sources(self.plane.config_as(OPERATOR_USER), &self.name)
    }
}

async fn prepare(plane: &ControlPlane) {
    plane.apply_crds().await.unwrap();
    let client = Client::try_from(plane.config()).unwrap();
    let manager = PatchParams::apply("stowage-test").force();
    let (namespace, account) = ("stowage-system", "stowage-operator");
    let named = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };

    let object = Namespace { metadata: named(namespace), ..Namespace::default() };
    let api: Api<Namespace> = Api::all(client.clone());
    api.patch(namespace, &manager, &Patch::Apply(&object)).await.unwrap();
    let object = ServiceAccount { metadata: named(account), ..ServiceAccount::default() };
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    api.patch(account, &manager, &Patch::Apply(&object)).await.unwrap();

    let role: ClusterRole = serde_saphyr::from_str(RIGHTS).unwrap();
    let api: Api<ClusterRole> = Api::all(client.clone());
    api.patch(account, &manager, &Patch::Apply(&role)).await.unwrap();
    let binding = ClusterRoleBinding {
        metadata: named(account),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: account.into(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: account.into(),
            namespace: Some(namespace.into()),
            ..Subject::default()
        }]),
    };
    let api: Api<ClusterRoleBinding> = Api::all(client);
    api.patch(account, &manager, &Patch::Apply(&binding)).await.unwrap();
}
