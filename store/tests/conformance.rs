//! One suite for every backend: what `Store` promises, whatever stands below it.

#[path = "support/archives.rs"]
mod archives;
#[path = "support/deadline.rs"]
mod deadline;
#[path = "support/keys.rs"]
mod keys;
mod suite;

use std::sync::Arc;

use stowage_store::{MemoryStore, Store, VolumeOptions, VolumeStore, WallClock};
use tempfile::TempDir;

/// A store of its own for one test.
struct Backend {
    store: Arc<dyn Store>,
    _directory: Option<TempDir>,
}

fn memory() -> Backend {
    Backend { store: Arc::new(MemoryStore::new()), _directory: None }
}

fn volume() -> Backend {
    on_a_volume(&VolumeOptions::default())
}

/// Every read goes to the disk.
fn volume_without_cache() -> Backend {
    on_a_volume(&VolumeOptions { cache_bytes: 0, ..VolumeOptions::default() })
}

/// The tree is brought up to date after every write, and little of it is remembered.
fn volume_in_a_hurry() -> Backend {
    let checkpoint_after = std::time::Duration::ZERO;
    on_a_volume(&VolumeOptions {
        cache_bytes: 8 << 10,
        dirty_bytes: 4 << 10,
        checkpoint_after,
        lone_sync_max: std::time::Duration::MAX,
        ..VolumeOptions::default()
    })
}

/// How many versions those keep that have a history.
const VERSIONS: usize = 4;

fn memory_with_history() -> Backend {
    let store = MemoryStore::with_history(WallClock::System, VERSIONS);
    Backend { store: Arc::new(store), _directory: None }
}

fn volume_with_history() -> Backend {
    on_a_volume(&VolumeOptions { history: VERSIONS, ..VolumeOptions::default() })
}

/// Versions are in files after every write.
fn volume_with_history_in_a_hurry() -> Backend {
    on_a_volume(&VolumeOptions {
        history: VERSIONS,
        cache_bytes: 0,
        dirty_bytes: 4 << 10,
        checkpoint_after: std::time::Duration::ZERO,
        ..VolumeOptions::default()
    })
}

fn on_a_volume(options: &VolumeOptions) -> Backend {
    let directory = TempDir::new().expect("a temporary directory");
    let store = VolumeStore::open(directory.path(), options).expect("a store in a new directory");
    Backend { store: Arc::new(store), _directory: Some(directory) }
}

macro_rules! suite {
    ($backend:ident; $($module:ident: $($test:ident)+;)+) => {
        mod $backend {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let backend = crate::$backend();
                    crate::suite::$module::$test(std::sync::Arc::clone(&backend.store)).await;
                })+
            })+
        }
    };
}

/// The table of contents; a test that is not in it is dead code, and does not compile.
macro_rules! conformance_of_history {
    ($($backend:ident)+) => {
        $(suite! {
            $backend;
            history:
                the_last_versions_of_a_namespace_are_kept
                the_last_versions_of_a_document_are_kept
                what_ends_a_history_leaves_nothing_of_it
                a_history_tells_what_led_from_one_version_to_the_next
                an_update_is_told_with_its_author
                what_is_no_document_of_a_client_has_no_history
                readers_of_a_history_see_versions_as_they_were
                a_history_agrees_with_a_model;
        })+
    };
}

macro_rules! conformance {
    ($($backend:ident)+) => {
        $(suite! {
            $backend;
            documents:
                a_new_store_is_empty
                a_document_keeps_its_bytes
                preconditions_decide_a_put
                preconditions_decide_a_delete
                deleting_nothing_is_no_error
                every_write_has_a_tag_of_its_own
                an_update_keeps_puts_and_deletes
                preconditions_decide_an_update
                documents_are_apart;
            namespaces:
                a_patch_applies_in_order_and_counts_once
                preconditions_decide_a_patch
                versions_never_go_back
                without_a_history_there_is_none
                a_quota_of_bytes_lets_a_namespace_shrink
                a_quota_of_keys_lets_a_namespace_shrink
                keys_and_values_keep_their_bytes
                namespaces_are_apart;
            listing:
                a_list_is_cut_into_pages_in_byte_order
                a_list_follows_puts_and_deletes
                a_list_agrees_with_a_model;
            jobs:
                a_job_s_documents_are_listed_by_what_they_are
                directories_are_cut_into_pages_in_byte_order
                directories_and_documents_agree_with_a_model
                every_job_of_many_writers_is_listed
                a_job_goes_as_a_whole_and_nothing_else_does
                preconditions_decide_the_delete_of_a_job
                of_a_job_that_is_deleted_all_or_nothing_is_seen
                what_is_put_after_the_delete_of_a_job_stays;
            races:
                of_64_creators_one_wins
                of_64_deleters_one_wins
                of_64_writers_each_tells_what_it_replaced
                what_64_writers_were_told_is_in_the_document
                no_update_of_64_writers_is_lost
                what_64_writers_were_told_is_in_the_namespace
                readers_see_one_whole_state_after_the_other;
            watch:
                a_watch_begins_with_what_stands_there_and_gets_every_change
                a_watched_namespace_tells_its_operations
                watchers_see_every_version_once_and_in_order
                what_a_watcher_is_told_is_what_readers_get
                what_is_told_before_anybody_is_woken_is_what_readers_get
                a_watch_goes_on_after_what_was_seen
                a_watcher_that_is_too_slow_is_told_so
                the_end_of_the_store_is_the_end_of_its_watches;
            archives:
                an_archive_keeps_its_bytes
                any_part_of_an_archive_is_read
                preconditions_decide_an_upload
                preconditions_decide_the_delete_of_an_archive
                every_upload_has_a_tag_of_its_own
                an_open_archive_stays_what_it_is
                an_upload_is_not_seen_before_it_is_published
                archives_are_listed_in_pages_in_byte_order
                of_16_uploads_that_demand_the_same_one_wins
                readers_see_one_whole_archive_after_the_other;
            lifecycle:
                a_sound_store_says_so
                a_closed_store_refuses_everything;
        })+
    };
}

conformance! { memory volume volume_without_cache volume_in_a_hurry }

conformance_of_history! {
    memory_with_history volume_with_history volume_with_history_in_a_hurry
}
