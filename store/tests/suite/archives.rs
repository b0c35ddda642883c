//! Archives.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use stowage_store::{Archive, ArchiveKey, EntityTag, Preconditions, Store, StoreError};

use super::{ANY, lost, tags};
use crate::archives::{archive, content, site, upload};
use crate::deadline::in_time;

/// More than is written or read in one piece, and no multiple of anything.
const LONG: usize = 3 * (1 << 20) + 4_321;

async fn publish(store: &dyn Store, key: &ArchiveKey, content: &Bytes) -> EntityTag {
    let put = upload(store, key, [content.clone()], Preconditions::none()).await;
    put.expect("an upload").tag
}

/// Reads all of it, in pieces of at most so many bytes.
async fn read(archive: &Archive, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let piece = archive.content.read(bytes.len() as u64, most).await.expect("a piece");
        assert!(piece.len() <= most, "{} bytes of at most {most}", piece.len());
        if piece.is_empty() {
            assert_eq!(bytes.len() as u64, archive.info.length, "it ends where its length says");
            return bytes;
        }
        bytes.extend_from_slice(&piece);
    }
}

async fn open(store: &dyn Store, key: &ArchiveKey) -> Option<Archive> {
    store.archive(key).await.expect("an archive or none")
}

/// The whole content and the tag.
async fn get(store: &dyn Store, key: &ArchiveKey) -> Option<(Vec<u8>, EntityTag)> {
    let archive = open(store, key).await?;
    Some((read(&archive, 1 << 20).await, archive.info.tag))
}

pub(crate) async fn an_archive_keeps_its_bytes(store: Arc<dyn Store>) {
    let key = archive("s", "1");
    assert!(open(&*store, &key).await.is_none(), "nothing is there at first");
    for length in [0, 1, 4_095, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, LONG] {
        let content = content(length, length as u8);
        for piece in [1_000, 65_536, LONG] {
            let pieces: Vec<Bytes> =
                content.chunks(piece).map(|it| content.slice_ref(it)).collect();
            let put = upload(&*store, &key, pieces, Preconditions::none()).await;
            let put = put.expect("an upload");
            let archive = open(&*store, &key).await.expect("it is there");
            assert_eq!(archive.info.length, length as u64);
            assert_eq!(archive.info.tag, put.tag);
            for most in [4_097, 1 << 20, usize::MAX] {
                let read = read(&archive, most).await;
                assert!(read == content, "{length} bytes in {piece}s, read in {most}s");
            }
        }
    }
}

pub(crate) async fn any_part_of_an_archive_is_read(store: Arc<dyn Store>) {
    let (key, content) = (archive("s", "1"), content(LONG, 1));
    publish(&*store, &key, &content).await;
    let archive = open(&*store, &key).await.expect("it is there");
    let length = LONG as u64;
    for (offset, most) in [(0, 1), (LONG / 2, 10), (LONG - 1, 10), (1 << 20, 4_096), (17, 0)] {
        let part = archive.content.read(offset as u64, most).await.expect("a part");
        assert_eq!(part, content.slice(offset..LONG.min(offset + most)), "{most} from {offset}");
    }
    for offset in [length, length + 1, u64::MAX] {
        let part = archive.content.read(offset, 10).await.expect("nothing");
        assert!(part.is_empty(), "{} bytes from {offset} of {length}", part.len());
    }
}

pub(crate) async fn preconditions_decide_an_upload(store: Arc<dyn Store>) {
    let (key, one, two) = (archive("s", "1"), content(10, 1), content(20, 2));
    let any = Preconditions { if_match: ANY, if_none_match: None };
    let pieces = || [one.clone()];
    let current = lost("nothing is there", upload(&*store, &key, pieces(), any.clone()).await);
    assert_eq!(current, None);
    let put = upload(&*store, &key, pieces(), Preconditions::absent()).await.expect("a create");
    assert!(put.created && put.replaced.is_none(), "{put:?}");
    let again = upload(&*store, &key, [two.clone()], Preconditions::absent()).await;
    assert_eq!(lost("something is there", again), Some(put.tag.clone()));
    assert_eq!(get(&*store, &key).await, Some((one.to_vec(), put.tag.clone())));

    let new = upload(&*store, &key, [two.clone()], Preconditions::matches(&put.tag)).await;
    let new = new.expect("a replacement");
    assert!(!new.created);
    assert_eq!(new.replaced, Some(put.tag.clone()), "it tells what it replaced");
    let stale = upload(&*store, &key, pieces(), Preconditions::matches(&put.tag)).await;
    assert_eq!(lost("a stale tag", stale), Some(new.tag.clone()));
    let same = Preconditions { if_match: None, if_none_match: tags(&[&put.tag, &new.tag]) };
    let same = upload(&*store, &key, pieces(), same).await;
    assert_eq!(lost("a listed tag", same), Some(new.tag.clone()));
    assert_eq!(get(&*store, &key).await, Some((two.to_vec(), new.tag.clone())));
    let last = upload(&*store, &key, pieces(), any).await.expect("something is there");
    let after = upload(&*store, &key, pieces(), Preconditions::none()).await.expect("an upload");
    assert_eq!([last.replaced, after.replaced], [Some(new.tag), Some(last.tag)]);
}

pub(crate) async fn preconditions_decide_the_delete_of_an_archive(store: Arc<dyn Store>) {
    let key = archive("s", "1");
    let absent = store.delete_archive(&key, Preconditions { if_match: ANY, if_none_match: None });
    assert_eq!(absent.await.expect("there is nothing to delete"), None);
    let old = publish(&*store, &key, &content(10, 1)).await;
    let new = publish(&*store, &key, &content(10, 1)).await;
    let stale = store.delete_archive(&key, Preconditions::matches(&old)).await;
    assert_eq!(lost("a stale tag", stale), Some(new.clone()));
    assert!(open(&*store, &key).await.is_some(), "it is still there");
    let deleted = store.delete_archive(&key, Preconditions::matches(&new)).await;
    assert_eq!(deleted.expect("a delete"), Some(new), "it tells what it removed");
    assert!(open(&*store, &key).await.is_none(), "it is gone");
    let again = store.delete_archive(&key, Preconditions::none()).await;
    assert_eq!(again.expect("nothing is there"), None);
}

pub(crate) async fn every_upload_has_a_tag_of_its_own(store: Arc<dyn Store>) {
    let (key, content) = (archive("s", "1"), content(10, 1));
    let mut seen = Vec::new();
    for round in 0..20 {
        let tag = publish(&*store, &key, &content).await;
        assert!(!seen.contains(&tag), "{tag} is given out again");
        seen.push(tag);
        if round % 3 == 0 {
            let deleted = store.delete_archive(&key, Preconditions::none()).await;
            assert_eq!(deleted.expect("a delete"), seen.last().cloned(), "in round {round}");
        }
    }
}

pub(crate) async fn an_open_archive_stays_what_it_is(store: Arc<dyn Store>) {
    let (key, old, new) = (archive("s", "1"), content(LONG, 1), content(LONG, 2));
    publish(&*store, &key, &old).await;
    let opened = open(&*store, &key).await.expect("it is there");
    let head = opened.content.read(0, 1_000).await.expect("the first piece");
    assert_eq!(head, old.slice(..1_000));
    publish(&*store, &key, &new).await;
    assert!(read(&opened, 1 << 20).await == old, "after it was replaced");
    assert!(store.delete_archive(&key, Preconditions::none()).await.expect("a delete").is_some());
    assert!(read(&opened, 1 << 20).await == old, "after it was removed");
    assert!(open(&*store, &key).await.is_none());
}

pub(crate) async fn an_upload_is_not_seen_before_it_is_published(store: Arc<dyn Store>) {
    let (key, old) = (archive("s", "1"), content(10, 1));
    let tag = publish(&*store, &key, &old).await;
    let mut abandoned = store.upload(&key).await.expect("an upload");
    let mut other = store.upload(&archive("s", "2")).await.expect("an upload");
    for upload in [&mut abandoned, &mut other] {
        upload.write(content(LONG, 2)).await.expect("a write");
    }
    let site = site("s");
    let list = || store.archives(&site, None, 10);
    let seen: Vec<_> = list().await.expect("a list").into_iter().map(|(key, _)| key).collect();
    assert_eq!(seen, std::slice::from_ref(&key));
    drop((abandoned, other));
    assert_eq!(get(&*store, &key).await, Some((old.to_vec(), tag)));
    assert_eq!(list().await.expect("a list").len(), 1);
}

pub(crate) async fn archives_are_listed_in_pages_in_byte_order(store: Arc<dyn Store>) {
    // `-` sorts before the dot of the ending, letters and digits after.
    let builds = ["a", "a-b", "a.b", "ab", "B", "1", "10", "2024-05-01T10:00:00", "z~"];
    let mut expected = Vec::new();
    for (i, build) in builds.iter().enumerate() {
        let (key, content) = (archive("s", build), content(i * 1_000, 1));
        let tag = publish(&*store, &key, &content).await;
        expected.push((key, content.len() as u64, tag));
        publish(&*store, &archive("s-2", build), &content).await;
    }
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    for limit in [1, 2, 4, builds.len(), 1_000] {
        let mut found: Vec<(ArchiveKey, u64, EntityTag)> = Vec::new();
        loop {
            let after = found.last().map(|(key, ..)| key);
            let page = store.archives(&site("s"), after, limit).await.expect("a page");
            let rest = expected.len() - found.len();
            assert_eq!(page.len(), limit.min(rest), "a page is full or the last, at {limit}");
            found.extend(page.into_iter().map(|(key, info)| (key, info.length, info.tag)));
            if rest <= limit {
                break;
            }
        }
        assert_eq!(found, expected, "in pages of {limit}");
    }
    let between = archive("s", "a1");
    let after = store.archives(&site("s"), Some(&between), 1_000).await.expect("a list");
    let after: Vec<_> = after.into_iter().map(|(key, _)| key).collect();
    let later = expected.iter().map(|(key, ..)| key).filter(|key| **key > between);
    assert_eq!(after, later.cloned().collect::<Vec<_>>(), "after a key that is not there");
    assert!(store.archives(&site("s"), None, 0).await.expect("a list").is_empty());
    assert!(store.archives(&site("other"), None, 10).await.expect("a list").is_empty());

    store.delete_archive(&expected[0].0, Preconditions::none()).await.expect("a delete");
    let left = store.archives(&site("s"), None, 1_000).await.expect("a list");
    assert_eq!(left.len(), expected.len() - 1, "what was removed is not listed");
}

const RACERS: u8 = 16;

pub(crate) async fn of_16_uploads_that_demand_the_same_one_wins(store: Arc<dyn Store>) {
    let key = archive("s", "1");
    let mut demanded = Preconditions::absent();
    for round in 0..4 {
        let racer = |racer: u8| {
            let (store, key, demanded) = (Arc::clone(&store), key.clone(), demanded.clone());
            tokio::spawn(async move {
                let content = content(5_000, racer);
                (content.clone(), upload(&*store, &key, [content], demanded).await)
            })
        };
        let results = in_time("every upload ends", join_all((0..RACERS).map(racer))).await;
        let (content, tag) = get(&*store, &key).await.expect("one of them is there");
        let mut winners = Vec::new();
        for result in results {
            match result.expect("an upload that does not panic") {
                (content, Ok(put)) => winners.push((content.to_vec(), put.tag)),
                (_, Err(StoreError::PreconditionFailed { current })) => {
                    assert_eq!(current, Some(tag.clone()), "it lost to the winner");
                }
                (_, Err(error)) => panic!("expected a lost race, got {error}"),
            }
        }
        assert_eq!(
            winners,
            [(content, tag.clone())],
            "in round {round}, the one that won is there"
        );
        demanded = Preconditions::matches(&tag);
    }
    let deletes = (0..RACERS).map(|_| store.delete_archive(&key, demanded.clone()));
    let deleted = in_time("every delete ends", join_all(deletes)).await;
    let deleted = deleted.into_iter().filter_map(|deleted| deleted.expect("a delete"));
    assert_eq!(deleted.count(), 1, "one delete found it");
}

pub(crate) async fn readers_see_one_whole_archive_after_the_other(store: Arc<dyn Store>) {
    const REPLACEMENTS: u8 = 60;
    let key = archive("s", "1");
    publish(&*store, &key, &content(70_000, 0)).await;
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move {
                let mut last = 0;
                while last < REPLACEMENTS {
                    let (bytes, _) = get(&*store, &key).await.expect("it is there");
                    let number = bytes[0];
                    assert!(bytes == content(70_000, number), "a mixture with {number}");
                    assert!(number >= last, "{number} was read after {last}");
                    let listed = store.archives(&site("s"), None, 2).await.expect("a list");
                    assert_eq!(listed.len(), 1, "it is listed all the time");
                    last = number;
                }
            })
        })
        .collect();
    for number in 1..=REPLACEMENTS {
        publish(&*store, &key, &content(70_000, number)).await;
        let (bytes, _) = get(&*store, &key).await.expect("it is there");
        assert_eq!(bytes[0], number, "what was published is read");
    }
    for reader in in_time("every reader sees the last one", join_all(readers)).await {
        reader.expect("a reader that saw nothing wrong");
    }
}
