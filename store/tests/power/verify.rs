//! A start after a power cut, and what is demanded of it.

use fastrand::Rng;
use stowage_store::{
    EntityTag, Folder, Key, Name, NameKind, Patch, Preconditions, Prefix, Segment, Store,
    StoreError, VolumeStore,
};

use crate::clients::{Recorded, in_time};
use crate::content::{
    ARCHIVES, DOCUMENTS, JOB, NAMESPACES, archive_key, body, body_name, changes, document_key, job,
    members, namespace_key, site,
};
use crate::contracts::{Held, apply};
use crate::disk::{SimDisk, Survival};
use crate::known::{Content, Known};
use crate::places;
use crate::session::{Open, options};

/// Numbers of writes that no session comes to.
const WRITES_AFTERWARDS: u64 = 1 << 40;

fn read_failed(error: StoreError) -> String {
    format!("a read fails: {error}")
}

/// Everything that stands in a store, lists included.
pub(crate) async fn read_content(store: &VolumeStore) -> Result<Content, String> {
    let mut content = Content::empty();
    for (i, document) in content.documents.iter_mut().enumerate() {
        let found = in_time("a get", places::get(store, i)).await.map_err(read_failed)?;
        *document = found.map(|(body, tag)| Held { body, tag: Some(tag) });
    }
    for (i, namespace) in content.namespaces.iter_mut().enumerate() {
        let key = namespace_key(i);
        let found = in_time("a get", store.namespace(&key)).await.map_err(read_failed)?;
        *namespace = (found.version(), members(&found));
    }
    let mut listed = Vec::new();
    let run = Segment::from(&Name::parse(NameKind::Run, "r").expect("a name"));
    let of_job = [Prefix::checkpoints(&job()), Prefix::run(&job(), &run)];
    for prefix in [Prefix::run_stores(), Prefix::runtime_sets()].into_iter().chain(of_job) {
        let list = store.list(&prefix, None, 100);
        listed.extend(in_time("a list", list).await.map_err(read_failed)?);
    }
    let there = content.documents.iter().enumerate().skip(1).filter(|(_, held)| held.is_some());
    let there: Vec<usize> = there.map(|(i, _)| i).collect();
    let folder = Folder::jobs();
    let jobs =
        in_time("a list", store.directories(&folder, None, 100)).await.map_err(read_failed)?;
    let is_there = there.iter().any(|i| JOB.contains(i));
    // One that was emptied may be named.
    if is_there && jobs != [job()] || jobs.iter().any(|it| *it != job()) {
        return Err(format!(
            "the jobs {jobs:?} are listed, and it is {is_there} that there is one"
        ));
    }
    // The job itself is in no list of documents.
    let (archives, documents): (Vec<_>, Vec<_>) =
        there.into_iter().filter(|i| *i != JOB.start).partition(|i| ARCHIVES.contains(i));
    let expected: Vec<Key> = documents.into_iter().map(document_key).collect();
    if listed != expected {
        return Err(format!("{expected:?} are there, and {listed:?} are listed"));
    }
    let listed =
        in_time("a list", store.archives(&site(), None, 100)).await.map_err(read_failed)?;
    let listed: Vec<_> = listed.into_iter().map(|(key, _)| key).collect();
    let expected: Vec<_> = archives.into_iter().map(archive_key).collect();
    if listed != expected {
        return Err(format!("{expected:?} are there, and {listed:?} are listed"));
    }
    Ok(content)
}

/// Starts on a disk and checks what is served; sometimes the power goes again on the way, or
/// the disk fails, and sometimes the store is used further.
pub(crate) async fn verify(
    known: &Known,
    history: &[Recorded],
    cut: u64,
    disk: SimDisk,
    open: Open,
    random: &mut Rng,
) -> Result<Content, String> {
    let mut disk = disk;
    while random.usize(..3) == 0 {
        let at = Some(random.u64(1..60));
        let trouble = random.usize(..6);
        disk.change_faults(|faults| match trouble {
            0 => faults.failed_sync = at,
            1 => faults.failed_write = at,
            _ => faults.cut_at = at,
        });
        // Whether it comes up in spite of it is not asked.
        drop(open(disk.clone(), &options(random)));
        let survival = Survival::ALL[random.usize(..Survival::ALL.len())];
        disk = disk.power_cut(survival, random.u64(..));
    }
    let store = open(disk.clone(), &options(random)).map_err(|e| format!("it is refused: {e}"))?;
    let content = read_content(&store).await?;
    known.check(history, cut, &content)?;
    if random.usize(..3) == 0 {
        use_further(known, &content, store, disk, open, random).await?;
    }
    Ok(content)
}

/// Writes, loses power, and looks whether everything is as it was and the new writes are there.
async fn use_further(
    known: &Known,
    content: &Content,
    store: VolumeStore,
    disk: SimDisk,
    open: Open,
    random: &mut Rng,
) -> Result<(), String> {
    let mut expected = content.clone();
    for i in 0..1 + random.u64(..4) {
        let write = WRITES_AFTERWARDS + i;
        let document = random.usize(..DOCUMENTS);
        let put = places::put(&store, document, body(write), Preconditions::none());
        let put = in_time("a put", put).await.map_err(|e| format!("a put fails: {e}"))?;
        let tag = put.tag.opaque().to_owned();
        if put.created != expected.documents[document].is_none() {
            return Err(format!("document {document}: created is {}", put.created));
        }
        // Whatever body it was on.
        known.tags[document]
            .agree(&tag, "a new one")
            .map_err(|error| format!("document {document}: a tag is given out again: {error}"))?;
        let held = Held { body: body_name(write), tag: Some(tag) };
        expected.documents[document] = Some(held);

        if random.usize(..4) == 0 {
            let job = job();
            let delete = store.delete_job(&job, Preconditions::none());
            let deleted = in_time("a delete", delete).await;
            let deleted = deleted.map_err(|e| format!("the delete of a job fails: {e}"))?.is_some();
            let of_job = &mut expected.documents[JOB];
            if deleted != of_job.iter().any(Option::is_some) {
                return Err(format!("it is {deleted} that a job was deleted of {of_job:?}"));
            }
            of_job.fill(None);
        }
        let namespace = random.usize(..NAMESPACES);
        let (version, members) = &mut expected.namespaces[namespace];
        let (operations, changes) = changes(write, random);
        let preconditions = Preconditions::matches(&EntityTag::from_version(*version));
        let patch = Patch { preconditions, operations, ..Patch::default() };
        let key = namespace_key(namespace);
        let patched = in_time("a patch", store.patch(&key, patch)).await;
        let patched = patched.map_err(|e| format!("a patch of version {version} fails: {e}"))?;
        *version += 1;
        apply(&changes, members);
        if patched.namespace.version() != *version {
            return Err(format!(
                "version {} follows {}",
                patched.namespace.version(),
                *version - 1
            ));
        }
    }
    let disk = if random.bool() {
        let disk = disk.power_cut(Survival::Lost, random.u64(..));
        drop(store);
        disk
    } else {
        in_time("a shutdown", store.shutdown()).await;
        drop(store);
        disk.power_cut(Survival::Lost, random.u64(..))
    };
    let store =
        open(disk, &options(random)).map_err(|e| format!("the next one is refused: {e}"))?;
    let found = read_content(&store).await?;
    if found == expected {
        return Ok(());
    }
    Err(format!("after writing on, expected\n  {expected:?}, found\n  {found:?}"))
}
