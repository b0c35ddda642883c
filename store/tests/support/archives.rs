//! Archives, shortly.

use bytes::Bytes;
use stowage_store::{ArchiveKey, Name, NameKind, Preconditions, Put, Result, Store};

pub(crate) fn site(name: &str) -> Name {
    Name::parse(NameKind::Site, name).expect("a name")
}

pub(crate) fn archive(site: &str, build: &str) -> ArchiveKey {
    let build = Name::parse(NameKind::Build, build).expect("a name");
    ArchiveKey::new(&self::site(site), &build)
}

/// Bytes that tell where they stand, and which they are.
pub(crate) fn content(length: usize, seed: u8) -> Bytes {
    (0..length).map(|i| (i % 251) as u8 ^ (i >> 13) as u8 ^ seed).collect::<Vec<u8>>().into()
}

/// Writes an archive piece by piece and publishes it.
pub(crate) async fn upload(
    store: &dyn Store,
    key: &ArchiveKey,
    pieces: impl IntoIterator<Item = Bytes>,
    preconditions: Preconditions,
) -> Result<Put> {
    let mut upload = store.upload(key).await?;
    for piece in pieces {
        upload.write(piece).await?;
    }
    upload.publish(preconditions).await
}
