//! The children of one resource: what is written of them is counted.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::apply::{create, delete};
use super::{ApplyError, Owner, ensure, remove};
use crate::context::Context;

/// An object of a kind that is in a namespace: what a child can be.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> Child for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

/// Puts the children of one resource in place.
pub struct Children<'a> {
    context: &'a Context,
    namespace: String,
    owner: Owner,
}

impl<'a> Children<'a> {
    /// Those of `owner`, in its namespace.
    #[must_use]
    pub fn new(context: &'a Context, namespace: &str, owner: Owner) -> Self {
        Self { context, namespace: namespace.to_owned(), owner }
    }

    /// Those in the same namespace that another owner has, or that the same one has otherwise.
    #[must_use]
    pub fn of(&self, owner: Owner) -> Self {
        Self::new(self.context, &self.namespace, owner)
    }

    /// Makes a child be what `desired` says (see [`ensure`]); gives it as it is then.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub async fn ensure<K: Child>(&self, desired: K) -> Result<K, ApplyError> {
        let applied = ensure(&self.api(), desired, &self.owner).await?;
        if applied.written {
            self.context.wrote::<K>();
        }
        Ok(applied.object)
    }

    /// Removes the child of that name, where there is one (see [`remove`]).
    ///
    /// # Errors
    /// [`ApplyError::Api`].
    pub async fn remove<K: Child>(&self, name: &str) -> Result<(), ApplyError> {
        if remove(&self.api::<K>(), name, &self.owner).await? {
            self.context.wrote::<K>();
        }
        Ok(())
    }

    /// Makes a child where there is none of its name (see [`create`]).
    ///
    /// # Errors
    /// [`ApplyError`].
    pub async fn create<K: Child>(&self, child: K) -> Result<(), ApplyError> {
        if create(&self.api(), child, &self.owner).await? {
            self.context.wrote::<K>();
        }
        Ok(())
    }

    /// Deletes an object of that name and what it owns, whoever owns it (see [`delete`]).
    ///
    /// # Errors
    /// [`ApplyError`].
    pub async fn delete<K: Child>(&self, name: &str) -> Result<(), ApplyError> {
        if delete(&self.api::<K>(), name).await? {
            self.context.wrote::<K>();
        }
        Ok(())
    }

    /// The objects of a kind in the owner's namespace.
    #[must_use]
    pub fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), &self.namespace)
    }
}
