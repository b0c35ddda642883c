//! Children: written by server-side apply, owned, and written only where something differs.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::compare::holds;
use super::{FIELD_MANAGER, INSTANCE, MANAGED_BY};

/// Holds a digest of what was last applied. A field that is no longer wanted is not missing from
/// what is wanted, so a comparison alone would not see it; a changed digest does.
const DIGEST: &str = "stowage.dev/applied-digest";

/// Whose child an object is.
#[derive(Debug, Clone, PartialEq)]
pub enum Owner {
    /// It goes when its owner goes.
    Controls(OwnerReference),
    /// It outlives the resource and is known by its labels alone: a volume that is retained.
    /// A resource of the same name takes it up again.
    Keeps(OwnerReference),
}

impl Owner {
    fn reference(&self) -> &OwnerReference {
        match self {
            Self::Controls(reference) | Self::Keeps(reference) => reference,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Applied<K> {
    /// The object as it is now.
    pub object: K,
    /// Whether it had to be written.
    pub written: bool,
}

/// Why a child is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An object of that name is there and belongs to somebody else.
    #[error(
        "the {kind} {name} belongs to {owner}: remove or rename it, or choose another name for \
         this resource"
    )]
    NameTaken {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Who has it, in words.
        owner: String,
    },
    /// The one that is there is on its way out: a new one is made when it is gone.
    #[error("the {kind} {name} is being deleted; a new one is made as soon as it is gone")]
    Leaving {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The API server refused it.
    #[error("the API server refuses the {kind} {name}: {message}")]
    Refused {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server says.
        message: String,
    },
    /// The API server could not be asked, or something changed in between: try again.
    #[error("the {kind} {name} could not be brought up to date: {source}")]
    Api {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What happened.
        source: Box<kube::Error>,
    },
}

/// Makes the object of `desired`'s name be what `desired` says, and `owner`'s.
///
/// Reads first; writes nothing where the live object holds all of it. What is there and belongs to
/// somebody else is left alone.
///
/// # Errors
/// [`ApplyError`]; only [`ApplyError::Api`] is worth another try with nothing changed.
pub async fn ensure<K>(
    api: &Api<K>,
    mut desired: K,
    owner: &Owner,
) -> Result<Applied<K>, ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let name = desired.name_any();
    own(&mut desired, owner);
    let digest = digest(&desired).map_err(|source| api_error::<K>(&name, source))?;
    desired.annotations_mut().insert(DIGEST.to_owned(), digest);
    let live = api.get_opt(&name).await.map_err(|source| api_error::<K>(&name, source))?;
    let mut parameters = PatchParams::apply(FIELD_MANAGER);
    if let Some(live) = live {
        match Relation::of(&live, owner) {
            Relation::Foreign(other) => {
                return Err(ApplyError::NameTaken { kind: kind::<K>(), name, owner: other });
            }
            Relation::Left => return Err(ApplyError::Leaving { kind: kind::<K>(), name }),
            // To write to it would change nothing, again and again.
            Relation::Ours if live.meta().deletion_timestamp.is_some() => {
                return Err(ApplyError::Leaving { kind: kind::<K>(), name });
            }
            Relation::Ours if is_up_to_date(&desired, &live) => {
                return Ok(Applied { object: live, written: false });
            }
            Relation::Ours => {}
        }
        // Forced, as every field that is wanted is ours; only onto this very object.
        desired.meta_mut().uid = live.uid();
        parameters = parameters.force();
    }
    // Where nothing was there, without force: if somebody makes one at this moment, that is a
    // conflict and not theirs made ours.
    let object = api
        .patch(&name, &parameters, &Patch::Apply(&desired))
        .await
        .map_err(|source| api_error::<K>(&name, source))?;
    Ok(Applied { object, written: true })
}

/// Removes the object of that name where it is `owner`'s; gives whether there was one to remove.
///
/// # Errors
/// [`ApplyError::Api`].
pub async fn remove<K>(api: &Api<K>, name: &str, owner: &Owner) -> Result<bool, ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let live = api.get_opt(name).await.map_err(|source| api_error::<K>(name, source))?;
    let ours = |live: &K| matches!(Relation::of(live, owner), Relation::Ours);
    let leaving = |live: &K| live.meta().deletion_timestamp.is_some();
    let Some(live) = live.filter(|live| ours(live) && !leaving(live)) else { return Ok(false) };
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: live.uid(), resource_version: None }),
        ..DeleteParams::background()
    };
    match api.delete(name, &parameters).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(source) => Err(api_error::<K>(name, source)),
    }
}

fn own<K: Resource>(object: &mut K, owner: &Owner) {
    object.meta_mut().owner_references = match owner {
        Owner::Controls(reference) => Some(vec![reference.clone()]),
        Owner::Keeps(_) => None,
    };
}

/// What a live object is to an owner.
enum Relation {
    /// Its child, or kept for it.
    Ours,
    /// The child of a resource of the same kind and name that is gone. The garbage collector takes
    /// it.
    Left,
    /// Somebody else's: who, in words.
    Foreign(String),
}

impl Relation {
    fn of<K: Resource>(live: &K, owner: &Owner) -> Self {
        let us = owner.reference();
        let mut owners = live.meta().owner_references.iter().flatten();
        match owners.find(|other| other.controller == Some(true)) {
            Some(them) if them.uid == us.uid => Self::Ours,
            Some(them) if them.kind == us.kind && them.name == us.name => Self::Left,
            Some(them) => Self::Foreign(format!("the {} {}", them.kind, them.name)),
            // Kept by a resource of this name that is gone, or on its way from kept to controlled.
            None if is_managed(live, &us.name) => Self::Ours,
            None => Self::Foreign("somebody else".to_owned()),
        }
    }
}

fn is_managed<K: Resource>(live: &K, instance: &str) -> bool {
    let label = |name: &str| live.labels().get(name).map(String::as_str);
    label(MANAGED_BY) == Some(FIELD_MANAGER) && label(INSTANCE) == Some(instance)
}

fn is_up_to_date<K: Serialize>(desired: &K, live: &K) -> bool {
    match (serde_json::to_value(desired), serde_json::to_value(live)) {
        (Ok(desired), Ok(live)) => holds(&desired, Some(&live)),
        _ => false,
    }
}

fn digest<K: Serialize>(desired: &K) -> Result<String, kube::Error> {
    let value: Value = serde_json::to_value(desired).map_err(kube::Error::SerdeError)?;
    Ok(short_digest(&value.to_string()))
}

/// Sixteen hexadecimal digits of a text's SHA-256: enough to see that it is another one.
#[must_use]
pub fn short_digest(text: &str) -> String {
    let hash = Sha256::digest(text);
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn kind<K: Resource<DynamicType = ()>>() -> String {
    K::kind(&()).into_owned()
}

fn api_error<K: Resource<DynamicType = ()>>(name: &str, source: kube::Error) -> ApplyError {
    let (kind, name) = (kind::<K>(), name.to_owned());
    match source {
        // Invalid, or forbidden by admission or by rights: the same request would end the same.
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => {
            ApplyError::Refused { kind, name, message: status.message.clone() }
        }
        source => ApplyError::Api { kind, name, source: Box::new(source) },
    }
}
