//! One file: bounded reads, and writes that either happen whole or not at all.
//!
//! A write goes to a temporary file in the same folder, is flushed to the disk, takes its place by a rename, and the
//! folder is flushed after it. When [`write`] or [`create`] returns `Ok`, the bytes survive a crash; when it returns an
//! error, the old file stands as it was and the temporary file is gone.
//!
//! What is not a regular file (`/dev/stdout`, a pipe) cannot be replaced by a rename and must not be: it is written to
//! directly, with no promise about durability.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::error::{Action, StoreError};

/// Prefix of temporary files, so that one left by a power cut can be told.
const TEMPORARY_PREFIX: &str = ".credence-";

/// How long [`lock`] waits for another process.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone: mode 0600.
    Owner,
    /// Whoever the folder and the umask let: mode 0644.
    Public,
}

/// Reads a file of at most `len_max` bytes. The limit holds before anything is read, and again while reading, so a file
/// that grows meanwhile cannot pass it.
///
/// # Errors
/// [`StoreError`].
pub fn read(path: &Path, len_max: u64) -> Result<Vec<u8>, StoreError> {
    let fail = |source| StoreError::from_io(Action::Read, path, source);
    let too_long = || StoreError::TooLong {
        path: path.to_owned(),
        max: len_max,
    };
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(StoreError::Folder {
            path: path.to_owned(),
        });
    }
    if metadata.len() > len_max {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    let expected = usize::try_from(metadata.len()).unwrap_or(0);
    bytes
        .try_reserve_exact(expected)
        .map_err(|_| fail(Error::from(ErrorKind::OutOfMemory)))?;
    let mut bounded = file.take(len_max.saturating_add(1));
    bounded.read_to_end(&mut bytes).map_err(fail)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > len_max {
        return Err(too_long());
    }
    Ok(bytes)
}

/// Writes a file, replacing what is there. Durable on return (see the module).
///
/// # Errors
/// [`StoreError`]; the file is then as it was before.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), StoreError> {
    write_parts(path, &[bytes], access)
}

/// As [`write`], from parts that stand one after the other.
///
/// # Errors
/// [`StoreError`]; the file is then as it was before.
pub fn write_parts(path: &Path, parts: &[&[u8]], access: Access) -> Result<(), StoreError> {
    let fail = |source| StoreError::from_io(Action::Write, path, source);
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            return Err(StoreError::Folder {
                path: path.to_owned(),
            });
        }
        Ok(metadata) if !metadata.is_file() => {
            let mut file = OpenOptions::new().write(true).open(path).map_err(fail)?;
            return parts
                .iter()
                .try_for_each(|part| file.write_all(part))
                .map_err(fail);
        }
        Ok(_) | Err(_) => {}
    }
    let temporary = prepare(path, parts, access).map_err(fail)?;
    temporary.persist(path).map_err(|e| fail(e.error))?;
    sync_folder(path).map_err(fail)
}

/// Writes a file that does not exist yet. Durable on return (see the module).
///
/// # Errors
/// [`StoreError::Exists`] when something stands at the path, which is left as it is; else as [`write`].
pub fn create(path: &Path, bytes: &[u8], access: Access) -> Result<(), StoreError> {
    let fail = |source| StoreError::from_io(Action::Write, path, source);
    let temporary = prepare(path, &[bytes], access).map_err(fail)?;
    temporary
        .persist_noclobber(path)
        .map_err(|e| fail(e.error))?;
    sync_folder(path).map_err(fail)
}

/// Removes a file. Durable on return.
///
/// # Errors
/// [`StoreError`], [`StoreError::Absent`] when it was not there.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    let fail = |source| StoreError::from_io(Action::Remove, path, source);
    std::fs::remove_file(path).map_err(fail)?;
    sync_folder(path).map_err(fail)
}

/// Makes a folder and those above it. An existing one is left as it is. `access` holds for the last one, if it is made. What
/// is made here is durable on return; for one that exists already call [`settle_folder`], if it matters.
///
/// # Errors
/// [`StoreError`].
pub fn make_folder(path: &Path, access: Access) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let missing = path.ancestors().take_while(|above| !above.is_dir());
    // A relative path ends in an empty one, which stands for the folder that we are in.
    let missing: Vec<&Path> = missing.filter(|a| !a.as_os_str().is_empty()).collect();
    std::fs::create_dir_all(path)
        .and_then(|()| match access {
            Access::Owner => set_mode(path, 0o700),
            Access::Public => Ok(()),
        })
        .map_err(|source| StoreError::from_io(Action::Write, path, source))?;
    // From the top: a folder is found again once the one that it stands in is flushed.
    for made in missing.iter().rev() {
        sync_folder_at(&folder_of(made))?;
    }
    Ok(())
}

/// Flushes a folder and that which it stands in: whoever made it may have died before doing so.
///
/// # Errors
/// [`StoreError`].
pub fn settle_folder(path: &Path) -> Result<(), StoreError> {
    sync_folder_at(&folder_of(path))?;
    sync_folder_at(path)
}

/// Holds a lock on a file until dropped.
#[derive(Debug)]
pub struct Lock {
    // The system releases the lock when the handle closes, also when the process dies.
    _file: File,
}

/// Takes the exclusive lock on the file at `path`, which is made if it is absent, and waits up to ten seconds for whoever
/// holds it.
///
/// # Errors
/// [`StoreError`]; an I/O error of kind `TimedOut` when another process keeps the lock.
pub fn lock(path: &Path) -> Result<Lock, StoreError> {
    let fail = |source| StoreError::from_io(Action::Lock, path, source);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| StoreError::from_io(Action::Write, path, source))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => {
                let text = "another process has held it for ten seconds";
                return Err(fail(Error::new(ErrorKind::TimedOut, text)));
            }
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
    }
}

/// The bytes, flushed, in a temporary file beside `path`. Dropping it removes the file.
fn prepare(path: &Path, parts: &[&[u8]], access: Access) -> Result<NamedTempFile, Error> {
    prepare_in(&folder_of(path), parts, access)
}

/// The bytes, flushed, in a temporary file of a folder. Dropping it removes the file.
pub(crate) fn prepare_in(
    folder: &Path,
    parts: &[&[u8]],
    access: Access,
) -> Result<NamedTempFile, Error> {
    let mut temporary = builder(access).tempfile_in(folder)?;
    for part in parts {
        temporary.write_all(part)?;
    }
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

fn builder(access: Access) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = match access {
            Access::Owner => 0o600,
            Access::Public => 0o644,
        };
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let (Access::Owner | Access::Public) = access;
    builder
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Flushes a folder: which names it holds is then durable.
pub(crate) fn sync_folder_at(folder: &Path) -> Result<(), StoreError> {
    sync(folder).map_err(|source| StoreError::from_io(Action::Write, folder, source))
}

/// A rename is durable once its folder is.
fn sync_folder(path: &Path) -> Result<(), Error> {
    sync(&folder_of(path))
}

#[cfg(unix)]
fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync(_folder: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn writes_replace_and_creates_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"one", Access::Public).unwrap();
        write(&path, b"two", Access::Public).unwrap();
        let refused = create(&path, b"three", Access::Public);
        assert!(
            matches!(refused, Err(StoreError::Exists { .. })),
            "{refused:?}"
        );
        assert_eq!(read(&path, 3).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a"]);
        remove(&path).unwrap();
        assert!(remove(&path).unwrap_err().is_absent());
    }

    #[test]
    fn reads_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, &[7; 100], Access::Public).unwrap();
        assert_eq!(read(&path, 100).unwrap().len(), 100);
        assert!(matches!(
            read(&path, 99),
            Err(StoreError::TooLong { max: 99, .. })
        ));
        assert!(matches!(
            read(folder.path(), 99),
            Err(StoreError::Folder { .. })
        ));
        assert!(read(&folder.path().join("b"), 99).unwrap_err().is_absent());
        // A device says that it has no bytes and then never ends.
        #[cfg(unix)]
        assert!(matches!(
            read(Path::new("/dev/zero"), 99),
            Err(StoreError::TooLong { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn modes_are_as_asked() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let path = folder.path().join("key");
        create(&path, b"secret", Access::Owner).unwrap();
        assert_eq!(mode(&path), 0o600);
        // Replacing narrows as well: the new file's mode is the one asked for.
        let path = folder.path().join("other");
        std::fs::write(&path, b"").unwrap();
        write(&path, b"secret", Access::Owner).unwrap();
        assert_eq!(mode(&path), 0o600);
        let inner = folder.path().join("x/y");
        make_folder(&inner, Access::Owner).unwrap();
        assert_eq!(mode(&inner), 0o700);
    }

    #[test]
    fn folders_are_made_with_all_above_them() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b/c");
        make_folder(&inner, Access::Public).unwrap();
        make_folder(&inner, Access::Public).unwrap();
        settle_folder(&inner).unwrap();
        assert!(inner.is_dir());
        std::fs::write(folder.path().join("a/file"), b"x").unwrap();
        assert!(make_folder(&folder.path().join("a/file/d"), Access::Public).is_err());
        assert!(settle_folder(&folder.path().join("absent")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error_and_stays_a_device() {
        use std::os::unix::fs::FileTypeExt as _;
        let full = Path::new("/dev/full");
        let error = write(full, b"x", Access::Public).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(full.metadata().unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        assert!(matches!(
            write(&taken, b"x", Access::Public),
            Err(StoreError::Folder { .. })
        ));
        assert!(create(&taken, b"x", Access::Public).is_err());
        let nowhere = folder.path().join("absent/a");
        assert!(
            write(&nowhere, b"x", Access::Public)
                .unwrap_err()
                .is_absent()
        );
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    fn a_lock_excludes_until_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(&path).unwrap();
        let other = OpenOptions::new().write(true).open(&path).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        other.try_lock().unwrap();
    }
}
