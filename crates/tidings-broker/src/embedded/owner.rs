//! Whose process lives: an owner of lanes holds a lock on a file of its own, which the operating system lets go when the
//! process ends, however it ends. So the lanes of a killed one need not wait for their leases.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::Connection;
use uuid::Uuid;

use super::{Core, lease};
use crate::BrokerError;

/// The folder of the owners' locks, beside the broker's file.
#[derive(Debug, Clone)]
pub(super) struct Owners {
    folder: PathBuf,
}

/// This process among the owners, until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Owner {
    name: Arc<str>,
    lock: Option<Lock>,
}

#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// Holds it while it is open.
    _file: File,
}

impl Owners {
    pub(super) fn of(file: &Path) -> Self {
        let mut folder = file.as_os_str().to_owned();
        folder.push("-owners");
        Self {
            folder: folder.into(),
        }
    }

    /// Joins the owners. Without a lock too: then the others see by the leases alone when this one ends.
    pub(super) fn join(&self) -> Owner {
        let name = Uuid::now_v7().to_string();
        let lock = self.lock(&name);
        if let Err(error) = &lock {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "no lock can be had in this folder: should this process be killed, its lanes wait for their leases");
        }
        Owner {
            name: name.into(),
            lock: lock.ok(),
        }
    }

    fn lock(&self, name: &str) -> io::Result<Lock> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.folder)?;
        loop {
            let path = self.folder.join(name);
            let file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            match file.lock().and_then(|()| file.metadata()) {
                Ok(file_is) if file_is.nlink() > 0 => return Ok(Lock { path, _file: file }),
                // Between the two, somebody who swept took it for a dead one's.
                Ok(_) => {}
                // One that nobody holds would say that its owner is dead.
                Err(error) => {
                    let _ = fs::remove_file(&path);
                    return Err(error);
                }
            }
        }
    }

    /// Whether an owner's process has ended, for certain: its lock is there and nobody holds it.
    pub(super) fn has_ended(&self, owner: &str) -> bool {
        self.lock_of_dead(owner).is_some()
    }

    /// Removes what dead owners left, except those that `owns` a lane still: whoever takes it has to see that they ended.
    pub(super) fn sweep(&self, owns: impl Fn(&str) -> bool) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if let Ok(owner) = entry.file_name().into_string()
                // The other way round it could take a lane and die between the two.
                && let Some(_lock) = self.lock_of_dead(&owner)
                && !owns(&owner)
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn lock_of_dead(&self, owner: &str) -> Option<File> {
        // The name was read from a file: it leads nowhere else.
        owner.parse::<Uuid>().ok()?;
        let file = File::options()
            .write(true)
            .open(self.folder.join(owner))
            .ok()?;
        match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
        }
    }
}

impl Owner {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Leaves nothing behind: it owns no lane any more.
    pub(super) fn leave(&self) {
        if let Some(lock) = &self.lock {
            let _ = fs::remove_file(&lock.path);
        }
    }
}

impl Core {
    /// This process's name among the owners.
    pub(super) async fn owner(&self) -> Result<Arc<str>, BrokerError> {
        let owners = self.owners.clone();
        let join = self.reader.read(move |db| {
            owners.sweep(|owner| may_own(db, owner));
            Ok(owners.join())
        });
        let owner = self.owner.get_or_try_init(|| join).await?;
        Ok(Arc::clone(owner.name()))
    }

    /// The owners forget this process, once it has let all its lanes go.
    pub(super) async fn leave(&self) {
        if let Some(owner) = self.owner.get() {
            let name = Arc::clone(owner.name());
            let owns = self.reader.read(move |db| Ok(may_own(db, &name)));
            if let Ok(false) = owns.await {
                owner.leave();
            }
        }
    }
}

/// Whether an owner has a lane. Where that cannot be looked up it may.
fn may_own(db: &Connection, owner: &str) -> bool {
    lease::owns(db, owner).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners() -> (tempfile::TempDir, Owners) {
        let folder = tempfile::tempdir().unwrap();
        let owners = Owners::of(&folder.path().join("broker.db"));
        (folder, owners)
    }

    fn names(owners: &Owners) -> Vec<String> {
        fs::read_dir(&owners.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn an_owner_lives_until_its_lock_is_let_go() {
        let (_folder, owners) = owners();
        let owner = owners.join();
        let name = Arc::clone(owner.name());
        assert!(!owners.has_ended(&name));
        assert!(!owners.has_ended(&name), "looking changes nothing");
        drop(owner);
        assert!(owners.has_ended(&name));
    }

    #[test]
    fn of_an_owner_without_a_lock_nothing_is_known() {
        let (folder, owners) = owners();
        let owner = owners.join();
        owner.leave();
        assert_eq!(names(&owners), [""; 0]);
        assert!(!owners.has_ended(owner.name()));
        fs::write(folder.path().join("other"), "").unwrap();
        assert!(!owners.has_ended("../other"));
        assert!(!owners.has_ended("worker-1"));
    }

    #[test]
    fn what_the_dead_left_is_swept_once_they_own_nothing() {
        let (_folder, owners) = owners();
        let living = owners.join();
        let [with, _without] = [owners.join(), owners.join()].map(|dead| Arc::clone(dead.name()));
        owners.sweep(|owner| *owner == *with);
        let mut left = names(&owners);
        left.sort();
        assert_eq!(left, [&**living.name(), &*with]);
    }

    #[test]
    fn where_no_lock_can_be_had_nobody_is_taken_for_dead() {
        let (_folder, owners) = owners();
        fs::write(&owners.folder, "in the way").unwrap();
        let owner = owners.join();
        assert!(!owners.has_ended(owner.name()));
        owner.leave();
    }
}
