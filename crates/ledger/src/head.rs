//! What a log's key has signed last, noted beside the key: which place the log lies in, and how far it was published there.
//!
//! ```text
//! <key>.head        credence log head v1
//!                   log <verifier key>
//!                   place <32 hexadecimal digits>      as in the log's object `place`
//!                   size <decimal>
//!                   root <base64>
//! <key>.head.lock   one process at a time signs with the key
//! ```
//!
//! The objects say what the log is; the note says that they are all of it. Without it an empty folder, an unmounted volume or
//! an older copy would be taken for the log, and the next checkpoint would be a fork. The note is durable before a
//! checkpoint is, and its record before the note, so after a crash the objects have what the note says, or have lost it.
//!
//! It deliberately cannot tell two machines that both hold the key from one another: keep a key in one place.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use credence_log::{Hash, VerifierKey};
use credence_store::StoreError;
use credence_store::file::{self, Access, Lock, lock};

const HEADER: &str = "credence log head v1";

/// The longest note, in bytes: a name of 255 bytes, a key, and the rest.
const LEN_MAX: u64 = 1024;

/// Why there is no note, or none to go by.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// It cannot be read, written or locked.
    #[error("the note beside the log's key cannot be used")]
    Store(#[from] StoreError),
    /// It is damaged.
    #[error(
        "`{path}` does not say what the log's key signed last: restore it, never remove it while the log's objects may be old"
    )]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The object that names the place is damaged.
    #[error("the object `place` of the log is damaged; restore it")]
    Place,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes to name the log's place with")]
    Entropy(#[source] getrandom::Error),
}

/// The name of the place that a log lies in: random, made once, kept as an object of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceId([u8; 16]);

impl PlaceId {
    /// A new one.
    ///
    /// # Errors
    /// [`HeadError::Entropy`].
    pub fn random() -> Result<Self, HeadError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(HeadError::Entropy)?;
        Ok(Self(bytes))
    }

    /// Reads one: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() || pairs.len() != 16 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digits = core::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        let id = Self(bytes);
        // One spelling: no capitals, no sign.
        (id.to_string() == text).then_some(id)
    }
}

impl core::fmt::Display for PlaceId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a key has signed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The key.
    pub log: VerifierKey,
    /// Where the log lies.
    pub place: PlaceId,
    /// Entries of the largest checkpoint.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

impl Head {
    /// The tree, as the proofs take it.
    #[must_use]
    pub const fn tree(&self) -> (u64, &Hash) {
        (self.size, &self.root)
    }

    /// Its text.
    #[must_use]
    pub fn encode(&self) -> String {
        let Self {
            log,
            place,
            size,
            root,
        } = self;
        format!("{HEADER}\nlog {log}\nplace {place}\nsize {size}\nroot {root}\n")
    }

    /// Reads its text, which has one form.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        lines.next().filter(|line| *line == HEADER)?;
        let mut field = |name| lines.next()?.strip_prefix(name);
        let head = Self {
            log: field("log ")?.parse().ok()?,
            place: PlaceId::parse(field("place ")?)?,
            size: field("size ")?.parse().ok()?,
            root: Hash::from_base64(field("root ")?).ok()?,
        };
        (head.encode() == text).then_some(head)
    }
}

/// Keeps the one note of a key.
pub trait HeadNote: Send + Sync {
    /// The note that was last kept, `None` if there was none.
    ///
    /// # Errors
    /// [`HeadError`]; absence is no error.
    fn load(&self) -> Result<Option<Head>, HeadError>;

    /// Keeps the note instead of the one before. Durable on return.
    ///
    /// # Errors
    /// [`HeadError`]; either note may then stand.
    fn keep(&self, head: &Head) -> Result<(), HeadError>;
}

/// A note in a file, which is locked until this is dropped: whoever holds it may sign.
#[derive(Debug)]
pub struct HeadFile {
    path: PathBuf,
    _lock: Lock,
}

impl HeadFile {
    /// Takes the note at `path` for this process. Nothing is read yet.
    ///
    /// # Errors
    /// [`HeadError::Store`], also when another process holds it for ten seconds.
    pub fn open(path: &Path) -> Result<Self, HeadError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let held = lock(Path::new(&name))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: held,
        })
    }
}

impl HeadNote for HeadFile {
    fn load(&self) -> Result<Option<Head>, HeadError> {
        match file::read(&self.path, LEN_MAX) {
            Ok(bytes) => match Head::parse(&bytes) {
                Some(head) => Ok(Some(head)),
                None => Err(HeadError::Form {
                    path: self.path.clone(),
                }),
            },
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn keep(&self, head: &Head) -> Result<(), HeadError> {
        Ok(file::write(
            &self.path,
            head.encode().as_bytes(),
            Access::Public,
        )?)
    }
}

/// A note that ends with the process: for tests, and for logs that end with it as well.
#[derive(Debug, Default)]
pub struct MemoryHead(Mutex<Option<Head>>);

impl HeadNote for MemoryHead {
    fn load(&self) -> Result<Option<Head>, HeadError> {
        let head = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(head.clone())
    }

    fn keep(&self, head: &Head) -> Result<(), HeadError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(head.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(place: PlaceId) -> Head {
        Head {
            log: key(),
            place,
            size: 17,
            root: Hash::from_bytes([3; 32]),
        }
    }

    fn key() -> VerifierKey {
        use credence_log::{Algorithm, KeyName, Signer};
        let name = KeyName::new("log.example/receipts").unwrap();
        let key = credence_base::SigningKey::from_seed(&[1; 32]);
        Signer::new(name, Algorithm::Ed25519, key)
            .verifier()
            .clone()
    }

    #[test]
    fn a_note_has_one_form() {
        let place = PlaceId::random().unwrap();
        assert_ne!(place, PlaceId::random().unwrap());
        let head = head(place);
        let text = head.encode();
        assert_eq!(Head::parse(text.as_bytes()), Some(head));
        for at in 0..text.len() {
            assert_eq!(Head::parse(&text.as_bytes()[..at]), None, "cut at {at}");
            let mut flipped = text.clone().into_bytes();
            flipped[at] ^= 1;
            if let Some(read) = Head::parse(&flipped) {
                assert_eq!(read.encode().into_bytes(), flipped);
            }
        }
        for other in [text.replace("size 17", "size 017"), format!("{text}\n")] {
            assert_eq!(Head::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_file_keeps_it_and_a_damaged_one_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.head");
        let file = HeadFile::open(&path).unwrap();
        assert_eq!(file.load().unwrap(), None);
        let head = head(PlaceId::random().unwrap());
        file.keep(&head).unwrap();
        assert_eq!(file.load().unwrap(), Some(head));
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(file.load(), Err(HeadError::Form { .. })));
    }
}
