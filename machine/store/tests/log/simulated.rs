//! A disk in memory that fails when it is told to, and forgets what was not synced when the power is cut.

use machine_store::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the power of a disk may take: pages of so many bytes, each by itself.
pub const PAGE: usize = 512;

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Simulated(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a process sees.
    names: BTreeMap<String, usize>,
    /// What survives a power cut.
    synced_names: BTreeMap<String, usize>,
    files: Vec<Content>,
    /// Bytes that can still be written; `None`: any number.
    room: Option<usize>,
    /// Syncs that still succeed; `None`: all.
    syncs: Option<usize>,
    /// Whether files cannot be cut.
    no_truncate: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug)]
struct File {
    disk: Simulated,
    number: usize,
}

impl Simulated {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on so many bytes can be written.
    pub fn leave_room(&self, bytes: Option<usize>) {
        self.lock().room = bytes;
    }

    /// From now on so many syncs succeed.
    pub fn let_sync(&self, times: Option<usize>) {
        self.lock().syncs = times;
    }

    /// From now on files cannot be cut.
    pub fn refuse_to_truncate(&self) {
        self.lock().no_truncate = true;
    }

    /// All content of a file.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let state = self.lock();
        state.files[state.names[name]].now.clone()
    }

    /// Changes a file behind the log's back.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let number = state.names[name];
        let file = &mut state.files[number];
        change(&mut file.now);
        file.synced = file.now.clone();
    }

    /// Another disk with the same content.
    pub fn copy(&self) -> Self {
        let state = self.lock();
        let copied = State { names: state.names.clone(), files: state.files.clone(), ..State::default() };
        Self(Arc::new(Mutex::new(copied)))
    }

    /// What is there after a power cut. Of what was not synced, `survives` says for each page and each name whether it is
    /// there nevertheless.
    pub fn cut_power(&self, mut survives: impl FnMut() -> bool) -> Self {
        let state = self.lock();
        let mut after = State::default();
        for content in &state.files {
            let mut kept = content.synced.clone();
            // A file grows before, or without, its pages being written: they are zeros then.
            if survives() {
                kept.resize(content.now.len().max(content.synced.len()), 0);
            }
            for (page, bytes) in content.now.chunks(PAGE).enumerate() {
                let at = page * PAGE;
                let end = kept.len().min(at + bytes.len());
                if at < end && survives() {
                    kept[at..end].copy_from_slice(&bytes[..end - at]);
                }
            }
            if content.now.len() < content.synced.len() && survives() {
                kept.truncate(content.now.len());
            }
            after.files.push(Content { now: kept.clone(), synced: kept });
        }
        for (name, number) in &state.names {
            if state.synced_names.get(name) == Some(number) || survives() {
                after.names.insert(name.clone(), *number);
            }
        }
        for (name, number) in &state.synced_names {
            if !state.names.contains_key(name) && survives() {
                after.names.insert(name.clone(), *number);
            }
            // Replaced by a rename that did not reach the disk: the old file is there.
            after.names.entry(name.clone()).or_insert(*number);
        }
        // A removal that reached the disk.
        for name in state.synced_names.keys() {
            if !state.names.contains_key(name) && survives() {
                after.names.remove(name);
            }
        }
        after.synced_names = after.names.clone();
        Self(Arc::new(Mutex::new(after)))
    }
}

fn sync_one(state: &mut State) -> io::Result<()> {
    match &mut state.syncs {
        Some(0) => Err(io::Error::other("the disk does not answer")),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

impl Disk for Simulated {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.push(Content::default());
        let number = state.files.len() - 1;
        state.names.insert(name.to_owned(), number);
        Ok(Arc::new(File { disk: self.clone(), number }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let number = *self.lock().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(File { disk: self.clone(), number }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        let number = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        sync_one(&mut state)?;
        state.synced_names = state.names.clone();
        Ok(())
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.lock().files[self.number].now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        let content = &state.files[self.number].now;
        let rest = content.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let count = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if let Some(room) = &mut state.room {
            *room -= count;
        }
        let (at, file) = (usize::try_from(at).unwrap(), &mut state.files[self.number].now);
        file.resize(file.len().max(at + count), 0);
        file[at..at + count].copy_from_slice(&bytes[..count]);
        if count < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        if state.no_truncate {
            return Err(io::Error::other("the disk does not answer"));
        }
        state.files[self.number].now.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        sync_one(&mut state)?;
        let file = &mut state.files[self.number];
        file.synced = file.now.clone();
        Ok(())
    }
}
