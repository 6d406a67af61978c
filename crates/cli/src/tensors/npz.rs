//! Tensors from an `.npz`: a zip archive with one array for each name, stored or deflated.
//!
//! What an archive says about its own sizes is not believed: unpacking stops at the limit.

use std::io::{Cursor, Read as _};

use credence_model::{Tensor, TensorError, Tensors};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::tensors::npy::{self, NpyError};

/// Most arrays in an archive.
const ARRAYS_MAX: usize = 256;

/// Why an archive holds no tensors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NpzError {
    /// Not a zip archive, or one that is damaged or encrypted.
    #[error("it is not a zip archive that can be read")]
    Zip(#[from] ZipError),
    /// Too many entries.
    #[error("it has {got} arrays; at most {ARRAYS_MAX} are taken")]
    Count {
        /// How many.
        got: usize,
    },
    /// It holds something else than arrays.
    #[error("it holds `{name}`, which is no array: those end in `.npy`")]
    Entry {
        /// The entry's name.
        name: String,
    },
    /// Unpacked, it is too long.
    #[error("it unpacks to more than {max} bytes")]
    TooLong {
        /// The limit.
        max: u64,
    },
    /// An array cannot be unpacked.
    #[error("array `{name}` cannot be unpacked")]
    Unpack {
        /// The array.
        name: String,
        /// Why not.
        source: std::io::Error,
    },
    /// An array is not taken.
    #[error("array `{name}` is not taken")]
    Array {
        /// The array.
        name: String,
        /// Why not.
        source: NpyError,
    },
    /// The tensors together are refused.
    #[error("its arrays are refused")]
    Tensors(#[from] TensorError),
}

/// Reads an archive that unpacks to at most `bytes_max` bytes. Tensors stand in the archive's order.
pub(crate) fn read(bytes: &[u8], bytes_max: u64) -> Result<Tensors, NpzError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
    if archive.len() > ARRAYS_MAX {
        let got = archive.len();
        return Err(NpzError::Count { got });
    }
    let mut left = bytes_max;
    let mut tensors = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        tensors.push(entry(&mut archive, index, bytes_max, &mut left)?);
    }
    Ok(Tensors::new(tensors)?)
}

fn entry(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    bytes_max: u64,
    left: &mut u64,
) -> Result<Tensor, NpzError> {
    let file = archive.by_index(index)?;
    let whole = file.name()?.into_owned();
    let name = whole
        .strip_suffix(".npy")
        .ok_or_else(|| NpzError::Entry {
            name: whole.clone(),
        })?
        .to_owned();
    let mut unpacked = Vec::new();
    let read = file.take(left.saturating_add(1)).read_to_end(&mut unpacked);
    if let Err(source) = read {
        return Err(NpzError::Unpack { name, source });
    }
    let len = u64::try_from(unpacked.len()).unwrap_or(u64::MAX);
    *left = left
        .checked_sub(len)
        .ok_or(NpzError::TooLong { max: bytes_max })?;
    npy::read(&name, &unpacked).map_err(|source| NpzError::Array { name, source })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;
    use crate::tensors::npy::tests::npy;

    fn array(shape: &str, len: usize) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        npy(&header, &vec![0; len])
    }

    fn archive(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        for (name, bytes) in entries {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn reads_stored_and_deflated() {
        let (x, y) = (array("(2, 3)", 24), array("(1,)", 4));
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let bytes = archive(&[("x.npy", &x), ("y.npy", &y)], method);
            let tensors = read(&bytes, 1 << 20).unwrap();
            let names: Vec<_> = tensors.iter().map(Tensor::name).collect();
            assert_eq!(names, ["x", "y"]);
            assert_eq!(tensors.get("x").unwrap().shape(), [2, 3]);
        }
    }

    #[test]
    fn mutations_are_read_or_refused() {
        use credence_testkit::mutation::{Choices, mutate};
        let (x, y) = (array("(2, 3)", 24), array("(1,)", 4));
        let method = CompressionMethod::Deflated;
        let archive = archive(&[("x.npy", &x), ("y.npy", &y)], method);
        let mut choices = Choices::new(2);
        for _ in 0..20_000 {
            if let Ok(tensors) = read(&mutate(&archive, &mut choices), 1 << 20) {
                assert!(tensors.iter().count() <= 2);
            }
            let _either = npy::read("x", &mutate(&x, &mut choices));
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let big = array("(250000,)", 1_000_000);
        let bytes = archive(&[("x.npy", &big)], CompressionMethod::Deflated);
        assert!(bytes.len() < 10_000);
        assert!(read(&bytes, 2_000_000).is_ok());
        assert!(matches!(
            read(&bytes, 100_000),
            Err(NpzError::TooLong { max: 100_000 })
        ));
        let two = archive(
            &[("x.npy", &big), ("y.npy", &big)],
            CompressionMethod::Deflated,
        );
        assert!(matches!(
            read(&two, 1_500_000),
            Err(NpzError::TooLong { .. })
        ));
    }

    #[test]
    fn what_holds_no_arrays_is_refused() {
        let text = archive(&[("readme.txt", b"hello")], CompressionMethod::Stored);
        assert!(matches!(read(&text, 1000), Err(NpzError::Entry { .. })));
        let broken = archive(&[("x.npy", b"hello")], CompressionMethod::Stored);
        assert!(matches!(read(&broken, 1000), Err(NpzError::Array { .. })));
        assert!(matches!(read(b"", 1000), Err(NpzError::Zip(_))));
        assert!(matches!(read(b"{}", 1000), Err(NpzError::Zip(_))));
    }

    #[test]
    fn cut_or_changed_archives_never_panic() {
        let x = array("(2, 3)", 24);
        let good = archive(&[("x.npy", &x)], CompressionMethod::Deflated);
        for len in 0..good.len() {
            assert!(read(&good[..len], 1000).is_err(), "{len}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                // A changed time stamp changes nothing, so some of these can be read.
                drop(read(&bytes, 1000));
            }
        }
    }
}
