//! Documents and archives behind one face.

use bytes::Bytes;
use stowage_store::{Preconditions, Put, Result, Store};

use crate::content::{ARCHIVES, archive_key, document_key, read_body};
use crate::contracts::Tag;

/// What is read in one piece.
const PIECE: usize = 1_500;

/// Which write's body stands there, and its tag.
pub(crate) async fn get<S: Store + ?Sized>(
    store: &S,
    document: usize,
) -> Result<Option<(String, Tag)>> {
    if !ARCHIVES.contains(&document) {
        let found = store.get(&document_key(document)).await?;
        return Ok(found.map(|it| (read_body(&it.body), it.tag.opaque().to_owned())));
    }
    let Some(archive) = store.archive(&archive_key(document)).await? else { return Ok(None) };
    let mut body = Vec::new();
    loop {
        let piece = archive.content.read(body.len() as u64, PIECE).await?;
        if piece.is_empty() {
            break;
        }
        body.extend_from_slice(&piece);
    }
    assert_eq!(body.len() as u64, archive.info.length, "an archive is as long as it says");
    Ok(Some((read_body(&body), archive.info.tag.opaque().to_owned())))
}

pub(crate) async fn put<S: Store + ?Sized>(
    store: &S,
    document: usize,
    body: Bytes,
    preconditions: Preconditions,
) -> Result<Put> {
    if !ARCHIVES.contains(&document) {
        return store.put(&document_key(document), body, preconditions).await;
    }
    let mut upload = store.upload(&archive_key(document)).await?;
    let (head, tail) = (body.slice(..body.len() / 3), body.slice(body.len() / 3..));
    upload.write(head).await?;
    upload.write(tail).await?;
    upload.publish(preconditions).await
}

pub(crate) async fn delete<S: Store + ?Sized>(
    store: &S,
    document: usize,
    preconditions: Preconditions,
) -> Result<bool> {
    if ARCHIVES.contains(&document) {
        let deleted = store.delete_archive(&archive_key(document), preconditions).await?;
        return Ok(deleted.is_some());
    }
    Ok(store.delete(&document_key(document), preconditions).await?.is_some())
}
