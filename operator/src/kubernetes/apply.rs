//! Children: written by server-side apply, owned, and written only where something differs.

use data_encoding::HEXLOWER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::compare::holds;
use super::{Child, FIELD_MANAGER, INSTANCE, MANAGED_BY, in_words};

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
    #[error("the {kind} {name} could not be brought up to date: {}", in_words(source))]
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
/// somebody else is left alone. Where `desired` has a uid, it was decided by looking at that very
/// object: one that is gone by now is not made anew, and the next look decides again.
///
/// # Errors
/// [`ApplyError`]; only [`ApplyError::Api`] is worth another try with nothing changed.
pub async fn ensure<K: Child>(
    api: &Api<K>,
    mut desired: K,
    owner: &Owner,
) -> Result<Applied<K>, ApplyError> {
    let name = desired.name_any();
    own(&mut desired, owner);
    let decided_on = desired.meta_mut().uid.take();
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
            Relation::Ours if decided_on.is_some() && decided_on != live.uid() => {
                return Err(ApplyError::Leaving { kind: kind::<K>(), name });
            }
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
    } else {
        // To make one of a given uid is a conflict.
        desired.meta_mut().uid = decided_on;
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
pub async fn remove<K: Child>(api: &Api<K>, name: &str, owner: &Owner) -> Result<bool, ApplyError> {
    let live = api.get_opt(name).await.map_err(|source| api_error::<K>(name, source))?;
    let ours = |live: &K| matches!(Relation::of(live, owner), Relation::Ours);
    let leaving = |live: &K| live.meta().deletion_timestamp.is_some();
    let Some(live) = live.filter(|live| ours(live) && !leaving(live)) else { return Ok(false) };
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: live.uid(), resource_version: None }),
        ..DeleteParams::background()
    };
    delete_with(api, name, &parameters).await
}

/// Makes an object that stays as it is once it is made (a Job); gives whether it was made. One of
/// that name that is there and `owner`'s is the same one.
///
/// # Errors
/// [`ApplyError`].
pub(super) async fn create<K: Child>(
    api: &Api<K>,
    mut child: K,
    owner: &Owner,
) -> Result<bool, ApplyError> {
    let name = child.name_any();
    own(&mut child, owner);
    let parameters =
        PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&parameters, &child).await {
        Ok(_) => return Ok(true),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(source) => return Err(api_error::<K>(&name, source)),
    }
    let live = api.get_opt(&name).await.map_err(|source| api_error::<K>(&name, source))?;
    match live.map(|live| Relation::of(&live, owner)) {
        Some(Relation::Ours) => Ok(false),
        Some(Relation::Foreign(other)) => {
            Err(ApplyError::NameTaken { kind: kind::<K>(), name, owner: other })
        }
        // It has gone since, or goes.
        Some(Relation::Left) | None => Err(ApplyError::Leaving { kind: kind::<K>(), name }),
    }
}

/// Removes the object of that name, whoever owns it, and what it owns; gives whether there was one.
///
/// # Errors
/// [`ApplyError`].
pub(super) async fn delete<K: Child>(api: &Api<K>, name: &str) -> Result<bool, ApplyError> {
    delete_with(api, name, &DeleteParams::background()).await
}

async fn delete_with<K: Child>(
    api: &Api<K>,
    name: &str,
    parameters: &DeleteParams,
) -> Result<bool, ApplyError> {
    match api.delete(name, parameters).await {
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

/// Whether an object goes when `owner` goes, and no other one that has or had its name.
#[must_use]
pub fn is_controlled_by<K: Resource, O: Resource>(object: &K, owner: &O) -> bool {
    owner.meta().uid.as_ref().is_some_and(|uid| has_controller(object, uid))
}

/// Why an object that is there is not the child that goes with `owner`; `None` where it is that.
#[must_use]
pub fn refusal<K: Child>(live: &K, owner: &Owner) -> Option<ApplyError> {
    let (kind, name) = (kind::<K>(), live.name_any());
    match Relation::of(live, owner) {
        Relation::Ours if has_controller(live, &owner.reference().uid) => None,
        Relation::Ours => {
            Some(ApplyError::NameTaken { kind, name, owner: "nobody any more".to_owned() })
        }
        Relation::Left => Some(ApplyError::Leaving { kind, name }),
        Relation::Foreign(owner) => Some(ApplyError::NameTaken { kind, name, owner }),
    }
}

fn has_controller<K: Resource>(object: &K, uid: &str) -> bool {
    let mut owners = object.meta().owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == uid)
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
    let mut hex = HEXLOWER.encode(&Sha256::digest(text));
    hex.truncate(16);
    hex
}

fn kind<K: Resource<DynamicType = ()>>() -> String {
    K::kind(&()).into_owned()
}

pub(super) fn api_error<K: Resource<DynamicType = ()>>(
    name: &str,
    source: kube::Error,
) -> ApplyError {
    let (kind, name) = (kind::<K>(), name.to_owned());
    match source {
        // Invalid, or forbidden by admission or by rights: the same request would end the same.
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => {
            ApplyError::Refused { kind, name, message: status.message.clone() }
        }
        source => ApplyError::Api { kind, name, source: Box::new(source) },
    }
}
