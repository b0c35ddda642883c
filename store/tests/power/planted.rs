//! The checks can fail: engines on disks with planted bugs are caught.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use stowage_store::disk::{Access, Disk, DiskFile, Kind, Metadata};
use stowage_store::{OpenError, VolumeOptions, VolumeStore};

use crate::cuts::chain;
use crate::disk::{Lies, SimDisk};
use crate::session::Open;

/// The most chains until a bug is found.
const CHAINS: u64 = 40;

/// Runs chains until a power cut brings it to light; some bugs show while clients are served, too.
fn is_caught(open: Open) {
    let first = u64::from(fastrand::u32(..));
    let fails = |seed| chain(seed, open, 3).is_err_and(|failure| failure.is_of_a_power_cut());
    assert!((first..first + CHAINS).any(fails), "not in {CHAINS} chains from {first} on");
}

/// Every seventh sync is dropped, and nobody is told.
fn on_a_disk_that_lies(disk: SimDisk, options: &VolumeOptions) -> Result<VolumeStore, OpenError> {
    disk.change_faults(|faults| faults.lies = Lies::Every { nth: 7, below: "" });
    VolumeStore::open_on(Arc::new(disk), options)
}

#[test]
fn a_sync_that_is_dropped_in_silence_is_caught() {
    is_caught(on_a_disk_that_lies);
}

/// What an engine would do that renames first and syncs the content afterwards, as a wrapper: a
/// file's sync is put off until the next sync of a directory is done.
#[derive(Debug)]
struct RenamesFirst {
    disk: SimDisk,
    put_off: Arc<Mutex<Vec<Box<dyn DiskFile>>>>,
    everything: AtomicBool,
}

fn renaming_first(disk: SimDisk, options: &VolumeOptions) -> Result<VolumeStore, OpenError> {
    let put_off = Arc::default();
    let disk = RenamesFirst { disk, put_off, everything: AtomicBool::new(false) };
    VolumeStore::open_on(Arc::new(disk), options)
}

#[test]
fn a_rename_before_the_sync_is_caught() {
    is_caught(renaming_first);
}

impl RenamesFirst {
    fn file(&self, path: &str, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let (path, disk, put_off) = (path.into(), self.disk.clone(), Arc::clone(&self.put_off));
        Box::new(SyncsLater { file, path, disk, put_off })
    }
}

impl Disk for RenamesFirst {
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path, access)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        self.disk.make_directory(path)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.disk.remove_directory(path)
    }

    fn entries(&self, path: &str) -> io::Result<Vec<(String, Kind)>> {
        self.disk.entries(path)
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.disk.sync_directory(path)?;
        if self.everything.swap(false, Ordering::Relaxed) {
            self.disk.sync_everything()?;
        }
        let put_off =
            std::mem::take(&mut *self.put_off.lock().unwrap_or_else(PoisonError::into_inner));
        put_off.iter().try_for_each(|file| file.sync())
    }

    fn sync_everything(&self) -> io::Result<()> {
        self.everything.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.size()
    }

    fn available(&self) -> io::Result<u64> {
        self.disk.available()
    }
}

#[derive(Debug)]
struct SyncsLater {
    file: Box<dyn DiskFile>,
    path: Box<str>,
    disk: SimDisk,
    put_off: Arc<Mutex<Vec<Box<dyn DiskFile>>>>,
}

impl DiskFile for SyncsLater {
    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }

    fn set_modified(&self, nanoseconds: i128) -> io::Result<()> {
        self.file.set_modified(nanoseconds)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync(&self) -> io::Result<()> {
        let file = self.disk.open(&self.path, Access::ReadWrite)?;
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner).push(file);
        Ok(())
    }
}
