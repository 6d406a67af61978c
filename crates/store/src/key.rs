//! An operator's key in a file: PKCS#8 PEM, mode 0600, made on first need.

use std::path::{Path, PathBuf};

use credence_base::SigningKey;
use credence_base::key::KeyError;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::file::{self, Access, make_folder};

/// The longest key file that is read, in bytes. One of ours has 119.
const KEY_FILE_LEN_MAX: u64 = 16 * 1024;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("the operator's key is not at hand")]
    Store(#[from] StoreError),
    /// The file holds something else.
    #[error("`{path}` does not hold a key")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KeyError,
    },
    /// Others may read the secret.
    #[error("`{path}` can be read by others: expected mode 0600, got {mode:04o}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes to make a key from")]
    Entropy(#[source] getrandom::Error),
}

impl KeyFileError {
    /// What to do about it, where that is known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Key { .. } => Some(
                "a key comes from `openssl genpkey -algorithm ed25519`, or is made if the file is absent",
            ),
            Self::Mode { .. } => Some("run `chmod 600` on it, and think about who has read it"),
            Self::Entropy(_) => None,
        }
    }
}

/// Whether a key was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was.
    Found,
    /// It was made just now.
    New,
}

/// A file that holds, or will hold, a secret key.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// Names the file; nothing is read.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the key.
    ///
    /// # Errors
    /// [`KeyFileError`]; also when others than the owner may read the file.
    pub fn read(&self) -> Result<SigningKey, KeyFileError> {
        let bytes = Zeroizing::new(file::read(&self.0, KEY_FILE_LEN_MAX)?);
        check_mode(&self.0)?;
        let text = core::str::from_utf8(&bytes).map_err(|_| KeyError::Pkcs8);
        text.and_then(SigningKey::from_pkcs8_pem)
            .map_err(|source| KeyFileError::Key {
                path: self.0.clone(),
                source,
            })
    }

    /// Reads the key, or makes one from the system's random bytes if there is no file. A new key is durable on return,
    /// before anything is signed with it. Of two processes that make one at once, both use the one that came first.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read_or_make(&self) -> Result<(SigningKey, Made), KeyFileError> {
        match self.read() {
            Ok(key) => return Ok((key, Made::Found)),
            Err(KeyFileError::Store(error)) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(KeyFileError::Entropy)?;
        let key = SigningKey::from_seed(&seed);
        let pem = key.to_pkcs8_pem().map_err(|source| KeyFileError::Key {
            path: self.0.clone(),
            source,
        })?;
        let pem = Zeroizing::new(pem);
        if let Some(folder) = self.0.parent() {
            make_folder(folder, Access::Owner)?;
        }
        match file::create(&self.0, pem.as_bytes(), Access::Owner) {
            Ok(()) => Ok((key, Made::New)),
            Err(StoreError::Exists { .. }) => Ok((self.read()?, Made::Found)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads a file of at most `len_max` bytes that holds a secret: others than its owner may not read it.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_secret(path: &Path, len_max: u64) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let bytes = Zeroizing::new(file::read(path, len_max)?);
    check_mode(path)?;
    Ok(bytes)
}

/// Refuses a file that others than its owner may read.
#[cfg(unix)]
pub(crate) fn check_mode(path: &Path) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = path
        .metadata()
        .map_err(|source| StoreError::from_io(crate::error::Action::Read, path, source))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(KeyFileError::Mode {
        path: path.to_owned(),
        mode,
    })
}

#[cfg(not(unix))]
pub(crate) fn check_mode(_path: &Path) -> Result<(), KeyFileError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("keys/operator.pem"));
        assert!(matches!(file.read(), Err(KeyFileError::Store(error)) if error.is_absent()));
        let (made, new) = file.read_or_make().unwrap();
        let (found, old) = file.read_or_make().unwrap();
        assert_eq!((new, old), (Made::New, Made::Found));
        assert_eq!(made.public_key(), found.public_key());
        let other = KeyFile::at(folder.path().join("keys/other.pem"));
        assert_ne!(
            other.read_or_make().unwrap().0.public_key(),
            made.public_key()
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("operator.pem"));
        file.read_or_make().unwrap();
        let mode = |mode| std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode));
        for bad in [0o640, 0o604, 0o660, 0o644] {
            mode(bad).unwrap();
            let error = file.read().unwrap_err();
            assert!(
                matches!(error, KeyFileError::Mode { mode, .. } if mode == bad),
                "{error}"
            );
            assert!(file.read_or_make().is_err());
        }
        mode(0o400).unwrap();
        file.read().unwrap();
    }

    #[test]
    fn other_files_are_no_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.pem");
        for bytes in [b"".as_slice(), b"-----BEGIN PRIVATE KEY-----", &[0xff; 64]] {
            file::write(&path, bytes, Access::Owner).unwrap();
            let file = KeyFile::at(path.clone());
            assert!(matches!(file.read(), Err(KeyFileError::Key { .. })));
            assert!(
                file.read_or_make().is_err(),
                "a damaged key must not be replaced"
            );
        }
    }
}
