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
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

use crate::error::{Action, StoreError};
use crate::file;

/// No page of a system that this runs on is larger; only whole pages are given back.
const PAGE_BYTES: usize = 1 << 16;

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

impl Map {
    /// Gives the memory of whole pages within a range back to the system. Their bytes stay what they are: whoever looks at them again has them read
    /// from the file, or from what the system still holds of it. It is advice, so a system that does not take it is no error.
    pub fn release(&self, range: Range<usize>) {
        let Held::Mapped(map) = &self.0 else {
            return;
        };
        let start = range.start.div_ceil(PAGE_BYTES);
        let end = range.end.min(map.len()) / PAGE_BYTES;
        if start < end {
            forget(map, start * PAGE_BYTES, (end - start) * PAGE_BYTES);
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

#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "this advice changes memory in maps that are written to, which a read-only map of a file never is"
)]
fn forget(map: &Mmap, offset: usize, len: usize) {
    // SAFETY: the map is shared, read-only and backed by a file. Dropping its pages changes none of its bytes: they are read from the same file again,
    // which nobody changes in place, by the promise that the map itself rests on.
    let told = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, len) };
    // Advice that was not taken costs memory and nothing else.
    drop(told);
}

#[cfg(not(unix))]
const fn forget(map: &Mmap, offset: usize, len: usize) {
    let (_, _, _) = (map, offset, len);
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
    fn released_bytes_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let bytes: Vec<u8> = (0..1_u32 << 18).map(|at| (at % 251) as u8).collect();
        write(&path, &bytes, Access::Public).unwrap();
        let held = map(&path, 1 << 20).unwrap();
        for range in [0..bytes.len(), 1..70_000, 5..5, 100..usize::MAX] {
            held.release(range);
            assert_eq!(held.as_ref(), bytes);
        }
        #[cfg(target_os = "linux")]
        {
            let before = resident_bytes();
            held.release(0..bytes.len());
            assert!(resident_bytes() + bytes.len() <= before, "{before}");
        }
    }

    /// Bytes of files that this process has in memory.
    #[cfg(target_os = "linux")]
    fn resident_bytes() -> usize {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let maps = smaps.split_once("/a\n").map_or("", |(_, rest)| rest);
        let line = maps.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.unwrap().parse::<usize>().unwrap() * 1024
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
