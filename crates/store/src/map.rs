//! A file's bytes without a copy of them: mapped into memory, read when they are looked at.
//!
//! ```text
//! map(path, len_max) ─regular file─▶ mapped      ─anything else─▶ read whole, within the limit
//! ```
//!
//! The one thing that a map asks of everybody: **nobody changes the file in place while it is mapped**. A file that is replaced by a rename (as
//! [`crate::file::write`] does) or removed stays as it was for whoever has it mapped. One that is cut short under a map ends the process with a bus
//! error when what is gone is looked at; one that is overwritten in place changes what its readers see after they checked it.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Action, StoreError};
use crate::file;

/// A file's bytes.
#[derive(Debug)]
pub struct Map(Held);

#[derive(Debug)]
enum Held {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Held::Mapped(map) => map,
            Held::Read(bytes) => bytes,
        }
    }
}

/// Maps a file of at most `len_max` bytes. What cannot be mapped (a pipe, an empty file, a file system without maps) is read instead.
///
/// # Errors
/// [`StoreError`], as [`file::read`].
pub fn map(path: &Path, len_max: u64) -> Result<Map, StoreError> {
    let fail = |source| StoreError::from_io(Action::Read, path, source);
    let handle = File::open(path).map_err(fail)?;
    let metadata = handle.metadata().map_err(fail)?;
    if metadata.is_file() && metadata.len() > len_max {
        return Err(StoreError::TooLong {
            path: path.to_owned(),
            max: len_max,
        });
    }
    let mapped = if metadata.is_file() && metadata.len() > 0 {
        map_open(&handle)
    } else {
        None
    };
    Ok(Map(match mapped {
        // The file may have grown since its length was asked for.
        Some(map) if u64::try_from(map.len()).is_ok_and(|len| len <= len_max) => Held::Mapped(map),
        Some(_) | None => Held::Read(file::read(path, len_max)?),
    }))
}

#[expect(
    unsafe_code,
    reason = "a map is as sound as the promise that nobody changes the file in place, which no type can hold"
)]
fn map_open(handle: &File) -> Option<Mmap> {
    // SAFETY: the map is read-only and private to this process's view; its bytes are plain integers, of which every value is valid, and whoever reads
    // them checks them. What remains is the promise in the module's documentation, which models keep by being replaced whole.
    unsafe { Mmap::map(handle) }.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Access, write};

    #[test]
    fn a_map_is_the_file_and_stays_it_when_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"one", Access::Public).unwrap();
        let held = map(&path, 3).unwrap();
        assert!(matches!(held.0, Held::Mapped(_)));
        write(&path, b"other", Access::Public).unwrap();
        assert_eq!(held.as_ref(), b"one");
        assert_eq!(map(&path, 5).unwrap().as_ref(), b"other");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(held.as_ref(), b"one");
        assert!(map(&path, 5).unwrap_err().is_absent());
    }

    #[test]
    fn limits_hold_and_what_is_no_plain_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, &[7; 100], Access::Public).unwrap();
        assert!(matches!(map(&path, 99), Err(StoreError::TooLong { .. })));
        assert!(matches!(
            map(folder.path(), 99),
            Err(StoreError::Folder { .. })
        ));
        write(&path, b"", Access::Public).unwrap();
        assert!(map(&path, 99).unwrap().as_ref().is_empty());
        #[cfg(unix)]
        assert!(matches!(
            map(Path::new("/dev/zero"), 99),
            Err(StoreError::TooLong { .. })
        ));
    }
}
