//! Objects as files of a folder.
//!
//! ```text
//! create:  folders made ─▶ each file in `.new/`, flushed ─▶ takes its name if free ─▶ every touched folder flushed once
//! replace: the same, and takes its name in any case
//! ```
//!
//! A batch flushes its files from a few threads, so that the disk sees them together, and each folder once. A folder that
//! this process has not used yet is flushed with all above it, since whoever made it may have died before doing so.
//! Files that a crash left in `.new` are removed an hour later by whoever opens the folder.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Child, Created, Object, ObjectName, Objects};
use crate::error::{Action, StoreError};
use crate::file::{self, Access};

/// Where files stand until they are whole.
const NEW: &str = ".new";
/// When a file in [`NEW`] is surely a dead process's.
const STALE: Duration = Duration::from_secs(3600);
/// Threads that flush files.
const THREADS: usize = 4;
/// Folders that are remembered as durable.
const KNOWN_MAX: usize = 4096;

/// A folder of objects.
#[derive(Debug)]
pub struct FolderObjects {
    root: PathBuf,
    access: Access,
    known: Mutex<BTreeSet<PathBuf>>,
}

impl FolderObjects {
    /// Opens the folder, which is made if it is absent. `access` is for the folder and every file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(root: PathBuf, access: Access) -> Result<Self, StoreError> {
        file::make_folder(&root, access)?;
        let new = root.join(NEW);
        file::make_folder(&new, Access::Owner)?;
        file::sync_folder_at(&root)?;
        if let Some(above) = root.parent().filter(|above| !above.as_os_str().is_empty()) {
            file::sync_folder_at(above)?;
        }
        remove_stale(&new)?;
        Ok(Self {
            root,
            access,
            known: Mutex::default(),
        })
    }

    /// Where the folder is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Makes the folders of an object. What must be flushed before the object counts as durable goes into `flush`.
    fn make_folders(&self, path: &Path, flush: &mut BTreeSet<PathBuf>) -> Result<(), StoreError> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        flush.insert(parent.to_owned());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(parent) && parent.is_dir() {
            return Ok(());
        }
        file::make_folder(parent, self.access)?;
        let above = parent.ancestors().skip(1);
        flush.extend(
            above
                .take_while(|a| a.starts_with(&self.root))
                .map(Path::to_owned),
        );
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        // Remembered before it is flushed: if that fails, the whole batch does, and the owner stops.
        known.insert(parent.to_owned());
        Ok(())
    }

    fn place(&self, object: &Object) -> Result<Created, StoreError> {
        let path = self.path(&object.name);
        let fail = |source| StoreError::from_io(Action::Write, &path, source);
        // What exists needs no room on the disk to be found; its folders are flushed all the same.
        if path.symlink_metadata().is_ok() {
            return Ok(Created::Existed);
        }
        let whole = file::prepare_in(&self.root.join(NEW), &[&object.bytes], self.access);
        match whole.map_err(fail)?.persist_noclobber(&path) {
            Ok(_) => Ok(Created::New),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(Created::Existed),
            Err(error) => Err(fail(error.error)),
        }
    }

    fn forget(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }
}

impl Objects for FolderObjects {
    fn get(&self, name: &ObjectName, len_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        match file::read(&self.path(name), len_max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, objects: &[Object]) -> Result<Vec<Created>, StoreError> {
        let mut flush = BTreeSet::new();
        let run = |flush: &mut BTreeSet<PathBuf>| {
            for object in objects {
                self.make_folders(&self.path(&object.name), flush)?;
            }
            let created = in_parallel(objects, |object| self.place(object))?;
            let folders: Vec<&PathBuf> = flush.iter().collect();
            in_parallel(&folders, |folder| file::sync_folder_at(folder))?;
            Ok(created)
        };
        let done = run(&mut flush);
        if done.is_err() {
            self.forget();
        }
        done
    }

    fn replace(&self, object: &Object) -> Result<(), StoreError> {
        let path = self.path(&object.name);
        let fail = |source| StoreError::from_io(Action::Write, &path, source);
        let mut flush = BTreeSet::new();
        let run = |flush: &mut BTreeSet<PathBuf>| {
            self.make_folders(&path, flush)?;
            let whole = file::prepare_in(&self.root.join(NEW), &[&object.bytes], self.access);
            let placed = whole.map_err(fail)?.persist(&path);
            placed.map_err(|error| fail(error.error))?;
            flush
                .iter()
                .try_for_each(|folder| file::sync_folder_at(folder))
        };
        let done = run(&mut flush);
        if done.is_err() {
            self.forget();
        }
        done
    }

    fn list(&self, folder: &ObjectName) -> Result<Vec<Child>, StoreError> {
        let path = self.path(folder);
        let fail = |source| StoreError::from_io(Action::Read, &path, source);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            // An object of this name is no folder either.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(fail(error)),
        };
        let mut children = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fail)?;
            let is_folder = entry.file_type().map_err(fail)?.is_dir();
            // What has another kind of name was not put here by us.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if ObjectName::new(name.as_str()).is_err() {
                continue;
            }
            children.push(if is_folder {
                Child::Folder(name)
            } else {
                Child::Object(name)
            });
        }
        children.sort();
        Ok(children)
    }

    fn remove(&self, names: &[ObjectName]) -> Result<(), StoreError> {
        let mut flush = BTreeSet::new();
        for name in names {
            let path = self.path(name);
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::from_io(Action::Remove, &path, error)),
            }
            flush.extend(path.parent().map(Path::to_owned));
        }
        flush
            .iter()
            .try_for_each(|folder| file::sync_folder_at(folder))
    }
}

/// Does the same to every item, on a few threads; results in the order of the items.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, StoreError> + Sync,
) -> Result<Vec<R>, StoreError> {
    if items.len() < THREADS {
        return items.iter().map(work).collect();
    }
    let share = items.len().div_ceil(THREADS);
    let parts: Vec<Result<Vec<R>, StoreError>> = std::thread::scope(|scope| {
        let work = &work;
        let chunks = items.chunks(share);
        let threads: Vec<_> = chunks
            .map(|chunk| scope.spawn(move || chunk.iter().map(work).collect()))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut all = Vec::with_capacity(items.len());
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}

fn remove_stale(new: &Path) -> Result<(), StoreError> {
    let fail = |source| StoreError::from_io(Action::Read, new, source);
    for entry in std::fs::read_dir(new).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Ok(written) = entry.metadata().and_then(|metadata| metadata.modified()) else {
            continue;
        };
        if written.elapsed().is_ok_and(|age| age > STALE) {
            match file::remove(&entry.path()) {
                Err(error) if !error.is_absent() => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, bytes: &[u8]) -> Object {
        Object {
            name: ObjectName::new(name).unwrap(),
            bytes: bytes.to_vec(),
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_takes_no_writes_says_so_and_is_left_as_it_was() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        // Root writes anywhere, so the obstacle is a file where a folder is needed.
        let objects = FolderObjects::open(folder.path().to_owned(), Access::Owner).unwrap();
        objects.create(&[object("a", b"1")]).unwrap();
        assert!(
            objects
                .create(&[object("a/b", b"2"), object("c", b"3")])
                .is_err()
        );
        assert_eq!(
            objects.get(&ObjectName::new("a").unwrap(), 9).unwrap(),
            Some(b"1".to_vec())
        );
        let mode = folder
            .path()
            .join("a")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_a_crash_left_goes_after_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        FolderObjects::open(folder.path().to_owned(), Access::Public).unwrap();
        let (old, young) = (
            folder.path().join(".new/old"),
            folder.path().join(".new/young"),
        );
        std::fs::write(&young, b"x").unwrap();
        let file = std::fs::File::create(&old).unwrap();
        file.set_modified(std::time::SystemTime::now() - STALE - STALE)
            .unwrap();
        FolderObjects::open(folder.path().to_owned(), Access::Public).unwrap();
        assert!(young.exists() && !old.exists());
    }
}
