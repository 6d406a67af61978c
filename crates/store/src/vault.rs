//! Bundles by the digest of their receipt, for as long as their owner keeps them, and encrypted if there is a key.
//!
//! ```text
//! put:   ages/<day>/<digest> (empty) ──▶ bundles/<ab>/<digest>     the second once the first is durable
//! get:   bundles/<ab>/<digest> ──▶ opened with the digest as associated data
//! sweep: for each day of ages/ that is old enough: its bundles go, then its marks
//! ```
//!
//! A bundle therefore always has a mark by which a sweep finds it, also if a crash comes between. Which bundles exist, when
//! they came and how long they are is not hidden; what they say is. XChaCha20-Poly1305 with a random nonce of 24
//! bytes: keys need no counter. Content that was put before there was a key stays readable: who checks a bundle checks its
//! signature, not where it lay. It deliberately trusts no store with anything but keeping bytes: what does not open is an
//! error, never an answer.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use credence_base::ReceiptDigest;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

use crate::error::{Action, StoreError};
use crate::file::{self, Access};
use crate::key::{KeyFileError, Made, check_mode};
use crate::objects::{Child, Created, Object, ObjectName, ObjectNameError, Objects};
use crate::receipts::{FolderReceipts, Receipts};

const MAGIC: [u8; 8] = *b"crdvlt\x00\x01";
const PLAIN: u8 = b'p';
const SEALED: u8 = b's';
const NONCE_LEN: usize = 24;
/// What stands around a bundle at most: magic, kind, nonce, tag.
const OVERHEAD: u64 = 8 + 1 + 24 + 16;
const DAY_S: u64 = 24 * 60 * 60;
/// Digits of a day in a name: enough for the year 2700.
const DAY_DIGITS: usize = 6;
/// The longest key file that is read, in bytes.
const KEY_FILE_LEN_MAX: u64 = 1024;

/// Why bytes of the vault are not a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Not what a vault writes.
    #[error("this was not written by a vault of this version")]
    Form,
    /// It is encrypted and there is no key.
    #[error("this is encrypted, and no key was given")]
    NoKey,
    /// It was changed, moved, or encrypted with another key.
    #[error("this does not open: it was changed or moved, or the key is another one")]
    Seal,
    /// It cannot be encrypted.
    #[error("this is too long to be encrypted")]
    Length,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a nonce")]
    Entropy,
    /// A name that this code makes was refused.
    #[error("a name of the vault is no object's name")]
    Name(#[source] ObjectNameError),
}

/// Why there is no key for the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultKeyError {
    /// The file is not at hand, or not its owner's alone.
    #[error("the vault's key is not at hand")]
    File(#[from] KeyFileError),
    /// The file holds something else.
    #[error("`{path}` holds no key: expected 64 lower-case hexadecimal digits")]
    Form {
        /// The file.
        path: PathBuf,
    },
}

impl From<StoreError> for VaultKeyError {
    fn from(error: StoreError) -> Self {
        Self::File(error.into())
    }
}

/// A secret key that encrypts bundles.
#[derive(Clone)]
pub struct VaultKey(Zeroizing<[u8; 32]>);

impl core::fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("VaultKey(hidden)")
    }
}

impl VaultKey {
    /// Takes 32 bytes as a key.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads the key from a file of 64 hexadecimal digits that its owner alone may read.
    ///
    /// # Errors
    /// [`VaultKeyError`], [`VaultKeyError::Form`] when the file holds something else.
    pub fn read(path: &Path) -> Result<Self, VaultKeyError> {
        let bytes = Zeroizing::new(file::read(path, KEY_FILE_LEN_MAX)?);
        check_mode(path)?;
        let other = || VaultKeyError::Form {
            path: path.to_owned(),
        };
        let text = core::str::from_utf8(&bytes).map_err(|_| other())?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let digest: credence_base::Digest = text.parse().map_err(|_| other())?;
        Ok(Self(Zeroizing::new(*digest.as_bytes())))
    }

    /// Reads the key, or makes one from the system's random bytes if there is no file. Durable on return.
    ///
    /// # Errors
    /// [`VaultKeyError`].
    pub fn read_or_make(path: &Path) -> Result<(Self, Made), VaultKeyError> {
        match Self::read(path) {
            Ok(key) => return Ok((key, Made::Found)),
            Err(VaultKeyError::File(KeyFileError::Store(error))) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(KeyFileError::Entropy)?;
        let text = credence_base::Digest::from_bytes(*bytes).to_string();
        let text = Zeroizing::new(text + "\n");
        if let Some(folder) = path.parent() {
            file::make_folder(folder, Access::Owner)?;
        }
        match file::create(path, text.as_bytes(), Access::Owner) {
            Ok(()) => Ok((Self(bytes), Made::New)),
            Err(StoreError::Exists { .. }) => Ok((Self::read(path)?, Made::Found)),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Bundles removed.
    pub bundles: u64,
    /// Days that have gone.
    pub days: u64,
}

/// Gives the time, in seconds since 1970.
pub type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// Keeps bundles in an object store.
pub struct Vault {
    objects: Arc<dyn Objects>,
    key: Option<VaultKey>,
    len_max: u64,
    clock: Clock,
}

impl core::fmt::Debug for Vault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Vault")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// Keeps bundles of at most `len_max` bytes, encrypted if there is a key, and dates them by the system's clock.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, key: Option<VaultKey>, len_max: u64) -> Self {
        let now = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        };
        Self::with_clock(objects, key, len_max, Box::new(now))
    }

    /// As [`Self::new`], dated by another clock.
    #[must_use]
    pub fn with_clock(
        objects: Arc<dyn Objects>,
        key: Option<VaultKey>,
        len_max: u64,
        clock: Clock,
    ) -> Self {
        Self {
            objects,
            key,
            len_max,
            clock,
        }
    }

    /// Removes every bundle that came on a day that had ended `keep_days` days before `now_s`, seconds since 1970. One
    /// that is cut short leaves nothing that the next does not find.
    ///
    /// # Errors
    /// [`StoreError`]; some may have gone then.
    pub fn sweep(&self, now_s: u64, keep_days: u64) -> Result<Swept, StoreError> {
        let today = now_s / DAY_S;
        let mut swept = Swept::default();
        for child in self.objects.list(&name("ages".to_owned())?)? {
            let Child::Folder(day) = child else { continue };
            let Ok(number) = day.parse::<u64>() else {
                continue;
            };
            // Kept on its own day and on `keep_days` whole days after it.
            if number.saturating_add(keep_days) >= today {
                continue;
            }
            for child in self.objects.list(&name(format!("ages/{day}"))?)? {
                let Child::Object(text) = child else { continue };
                let Ok(digest) = text.parse::<ReceiptDigest>() else {
                    continue;
                };
                self.objects.remove(&[bundle_name(digest)?])?;
                self.objects
                    .remove(&[name(format!("ages/{day}/{digest}"))?])?;
                swept.bundles += 1;
            }
            swept.days += 1;
        }
        Ok(swept)
    }

    /// Whether bundles of the vault are encrypted: one of each day is looked at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_sealed(&self) -> Result<bool, StoreError> {
        let len_max = self.len_max.saturating_add(OVERHEAD);
        for day in self.objects.list(&name("ages".to_owned())?)? {
            let Child::Folder(day) = day else { continue };
            for child in self.objects.list(&name(format!("ages/{day}"))?)? {
                let Child::Object(text) = child else { continue };
                let Ok(digest) = text.parse::<ReceiptDigest>() else {
                    continue;
                };
                // A bundle whose making or removal was cut short is not there.
                if let Some(bytes) = self.objects.get(&bundle_name(digest)?, len_max)? {
                    if bytes.get(MAGIC.len()) == Some(&SEALED) {
                        return Ok(true);
                    }
                    break;
                }
            }
        }
        Ok(false)
    }

    /// Moves what was kept in a folder, readable, into the vault, with the days on which it came; how many there were. One that is
    /// cut short loses nothing, and the next goes on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn take_in(&self, folder: &FolderReceipts) -> Result<u64, StoreError> {
        let mut moved = 0u64;
        for (digest, came_s) in folder.all()? {
            if let Some(bundle) = folder.get(digest)? {
                self.put_on(came_s / DAY_S, digest, &bundle)?;
                file::remove(&folder.path(digest))?;
                moved = moved.saturating_add(1);
            }
        }
        Ok(moved)
    }

    fn seal(&self, digest: ReceiptDigest, bundle: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut bytes = MAGIC.to_vec();
        let Some(key) = &self.key else {
            bytes.push(PLAIN);
            bytes.extend_from_slice(bundle);
            return Ok(bytes);
        };
        bytes.push(SEALED);
        let mut nonce = [0; NONCE_LEN];
        let failed = |error| damaged(Action::Write, digest, error);
        getrandom::fill(&mut nonce).map_err(|_| failed(VaultError::Entropy))?;
        let payload = Payload {
            msg: bundle,
            aad: &associated(&bytes, digest),
        };
        let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed.map_err(|_| failed(VaultError::Length))?);
        Ok(bytes)
    }

    fn open(&self, digest: ReceiptDigest, bytes: &[u8]) -> Result<Arc<[u8]>, VaultError> {
        let (head, rest) = bytes
            .split_at_checked(MAGIC.len() + 1)
            .ok_or(VaultError::Form)?;
        let kind = head.strip_prefix(&MAGIC).ok_or(VaultError::Form)?;
        match kind {
            [PLAIN] => Ok(rest.into()),
            [SEALED] => {
                let key = self.key.as_ref().ok_or(VaultError::NoKey)?;
                let (nonce, msg) = rest
                    .split_first_chunk::<NONCE_LEN>()
                    .ok_or(VaultError::Form)?;
                let payload = Payload {
                    msg,
                    aad: &associated(head, digest),
                };
                let opened = cipher(key).decrypt(&XNonce::from(*nonce), payload);
                opened.map(Into::into).map_err(|_| VaultError::Seal)
            }
            _ => Err(VaultError::Form),
        }
    }
}

impl Receipts for Vault {
    /// Durable on return, in the way of the object store.
    fn put(&self, digest: ReceiptDigest, bundle: &[u8]) -> Result<(), StoreError> {
        self.put_on((self.clock)() / DAY_S, digest, bundle)
    }

    fn get(&self, digest: ReceiptDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        let len_max = self.len_max.saturating_add(OVERHEAD);
        let Some(bytes) = self.objects.get(&bundle_name(digest)?, len_max)? else {
            return Ok(None);
        };
        let opened = self.open(digest, &bytes);
        opened
            .map(Some)
            .map_err(|error| damaged(Action::Read, digest, error))
    }

    /// By whole days.
    fn kept_since(&self, unix_s: u64) -> Result<Vec<ReceiptDigest>, StoreError> {
        let mut found = Vec::new();
        for child in self.objects.list(&name("ages".to_owned())?)? {
            let Child::Folder(day) = child else { continue };
            let late = day
                .parse::<u64>()
                .is_ok_and(|number| number >= unix_s / DAY_S);
            if !late {
                continue;
            }
            for child in self.objects.list(&name(format!("ages/{day}"))?)? {
                let Child::Object(text) = child else { continue };
                found.extend(text.parse::<ReceiptDigest>());
            }
        }
        Ok(found)
    }
}

impl Vault {
    /// Keeps a bundle that came on that day.
    fn put_on(&self, day: u64, digest: ReceiptDigest, bundle: &[u8]) -> Result<(), StoreError> {
        let bundle_name = bundle_name(digest)?;
        if u64::try_from(bundle.len()).unwrap_or(u64::MAX) > self.len_max {
            return Err(StoreError::TooLong {
                path: PathBuf::from(bundle_name.as_str()),
                max: self.len_max,
            });
        }
        if self
            .objects
            .get(&bundle_name, self.len_max.saturating_add(OVERHEAD))?
            .is_some()
        {
            return Ok(());
        }
        let bytes = self.seal(digest, bundle)?;
        let mark = Object {
            name: name(format!("ages/{day:0DAY_DIGITS$}/{digest}"))?,
            bytes: Vec::new(),
        };
        self.objects.create(&[mark])?;
        let object = Object {
            name: bundle_name,
            bytes,
        };
        let created = self.objects.create(&[object])?;
        debug_assert!(matches!(*created, [Created::New | Created::Existed]));
        Ok(())
    }
}

fn cipher(key: &VaultKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.0).into())
}

/// What a ciphertext is bound to: how it is written, and whose it is.
fn associated(head: &[u8], digest: ReceiptDigest) -> Vec<u8> {
    [head, digest.as_bytes()].concat()
}

fn bundle_name(digest: ReceiptDigest) -> Result<ObjectName, StoreError> {
    let text = digest.to_string();
    let (folder, _) = text.split_at_checked(2).unwrap_or_default();
    name(format!("bundles/{folder}/{text}"))
}

fn name(text: String) -> Result<ObjectName, StoreError> {
    let path = PathBuf::from(&text);
    ObjectName::new(text).map_err(|error| StoreError::Io {
        path,
        action: Action::Write,
        source: std::io::Error::other(VaultError::Name(error)),
    })
}

fn damaged(action: Action, digest: ReceiptDigest, error: VaultError) -> StoreError {
    StoreError::Io {
        path: PathBuf::from(digest.to_string()),
        action,
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::objects::FolderObjects;

    struct Setting {
        folder: tempfile::TempDir,
        objects: Arc<FolderObjects>,
        now: Arc<AtomicU64>,
    }

    impl Setting {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let objects = FolderObjects::open(folder.path().to_owned(), Access::Owner).unwrap();
            Self {
                folder,
                objects: Arc::new(objects),
                now: Arc::new(AtomicU64::new(20_000 * DAY_S)),
            }
        }

        fn vault(&self, key: Option<u8>) -> Vault {
            let now = Arc::clone(&self.now);
            let key = key.map(|byte| VaultKey::from_bytes(Zeroizing::new([byte; 32])));
            let clock = Box::new(move || now.load(Ordering::Relaxed));
            Vault::with_clock(self.objects.clone(), key, 1000, clock)
        }

        fn file(&self, digest: ReceiptDigest) -> PathBuf {
            self.folder
                .path()
                .join(bundle_name(digest).unwrap().as_str())
        }
    }

    fn digest(byte: u8) -> ReceiptDigest {
        ReceiptDigest::from_bytes([byte; 32])
    }

    #[test]
    fn readable_receipts_are_moved_in_with_their_age() {
        let setting = Setting::new();
        let plain = tempfile::tempdir().unwrap();
        let folder = FolderReceipts::new(plain.path().to_owned(), 1000);
        for (byte, day) in [(1, 19_990), (2, 20_000)] {
            folder.put(digest(byte), &[byte; 9]).unwrap();
            let file = std::fs::File::options()
                .write(true)
                .open(folder.path(digest(byte)))
                .unwrap();
            let came = UNIX_EPOCH + std::time::Duration::from_secs(day * DAY_S + 5);
            file.set_modified(came).unwrap();
        }
        let vault = setting.vault(Some(1));
        assert_eq!(vault.take_in(&folder).unwrap(), 2);
        assert_eq!(vault.take_in(&folder).unwrap(), 0);
        assert_eq!(folder.all().unwrap(), []);
        for byte in [1, 2] {
            let sealed = std::fs::read(setting.file(digest(byte))).unwrap();
            assert!(!sealed.windows(9).any(|window| window == [byte; 9]));
            assert_eq!(*vault.get(digest(byte)).unwrap().unwrap(), [byte; 9]);
        }
        assert_eq!(vault.kept_since(19_991 * DAY_S).unwrap(), [digest(2)]);
        assert_eq!(vault.kept_since(0).unwrap(), [digest(1), digest(2)]);
        // What was old when it came goes when it is due.
        assert_eq!(vault.sweep(20_001 * DAY_S, 5).unwrap().bundles, 1);
        assert!(vault.get(digest(1)).unwrap().is_none());
        assert!(vault.get(digest(2)).unwrap().is_some());
    }

    fn reason(error: &StoreError) -> VaultError {
        let StoreError::Io { source, .. } = error else {
            panic!("{error}")
        };
        source
            .get_ref()
            .unwrap()
            .downcast_ref::<VaultError>()
            .unwrap()
            .clone()
    }

    #[test]
    fn the_first_of_a_digest_is_kept_and_a_key_hides_it() {
        let setting = Setting::new();
        for key in [None, Some(7)] {
            let byte = key.unwrap_or(1);
            let vault = setting.vault(key);
            assert_eq!(vault.get(digest(byte)).unwrap(), None);
            vault.put(digest(byte), b"what was asked").unwrap();
            vault.put(digest(byte), b"again").unwrap();
            assert_eq!(
                &*vault.get(digest(byte)).unwrap().unwrap(),
                b"what was asked"
            );
            let written = std::fs::read(setting.file(digest(byte))).unwrap();
            let shows = written.windows(5).any(|window| window == b"asked");
            assert_eq!(shows, key.is_none());
            assert!(matches!(
                vault.put(digest(99), &[0; 1001]),
                Err(StoreError::TooLong { .. })
            ));
        }
        // What was put before there was a key is still read with one.
        assert!(setting.vault(Some(7)).get(digest(1)).unwrap().is_some());
        let refused = setting.vault(None).get(digest(7)).unwrap_err();
        assert_eq!(reason(&refused), VaultError::NoKey);
        let refused = setting.vault(Some(8)).get(digest(7)).unwrap_err();
        assert_eq!(reason(&refused), VaultError::Seal);
    }

    #[test]
    fn whether_it_is_encrypted_can_be_told_without_the_key() {
        let place = Setting::new();
        assert!(!place.vault(None).has_sealed().unwrap());
        place.vault(None).put(digest(1), b"plain").unwrap();
        assert!(!place.vault(None).has_sealed().unwrap());
        let place = Setting::new();
        place.vault(Some(7)).put(digest(2), b"sealed").unwrap();
        assert!(place.vault(None).has_sealed().unwrap());
    }

    #[test]
    fn no_changed_byte_no_cut_and_no_other_name_opens() {
        let setting = Setting::new();
        let vault = setting.vault(Some(7));
        vault.put(digest(1), b"what was asked").unwrap();
        let path = setting.file(digest(1));
        let written = std::fs::read(&path).unwrap();
        for at in 0..written.len() {
            for bytes in [written[..at].to_vec(), {
                let mut flipped = written.clone();
                flipped[at] ^= 1;
                flipped
            }] {
                std::fs::write(&path, &bytes).unwrap();
                assert!(vault.get(digest(1)).is_err(), "byte {at}");
            }
        }
        let moved = setting.file(digest(2));
        std::fs::create_dir_all(moved.parent().unwrap()).unwrap();
        std::fs::write(&moved, &written).unwrap();
        assert_eq!(reason(&vault.get(digest(2)).unwrap_err()), VaultError::Seal);
    }

    #[test]
    fn a_sweep_takes_what_is_old_and_nothing_else() {
        let setting = Setting::new();
        let vault = setting.vault(Some(7));
        for day in 0..5u8 {
            setting.now.store(
                (20_000 + u64::from(day)) * DAY_S + 86_399,
                Ordering::Relaxed,
            );
            vault.put(digest(day), &[day]).unwrap();
        }
        let kept = || {
            (0..5)
                .filter(|day| vault.get(digest(*day)).unwrap().is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(vault.sweep(20_000 * DAY_S, 0).unwrap(), Swept::default());
        // Day 20 004 with three days kept: those of the first day go.
        let swept = vault.sweep(20_004 * DAY_S, 3).unwrap();
        assert_eq!((swept.bundles, kept()), (1, vec![1, 2, 3, 4]));
        // A sweep that stopped between a bundle and its mark is finished by the next.
        std::fs::remove_file(setting.file(digest(1))).unwrap();
        assert_eq!(vault.sweep(20_004 * DAY_S, 2).unwrap().bundles, 1);
        assert_eq!(vault.sweep(20_009 * DAY_S, 3).unwrap().bundles, 3);
        assert_eq!(kept(), Vec::<u8>::new());
        assert_eq!(vault.sweep(20_009 * DAY_S, 3).unwrap().bundles, 0);
    }

    #[test]
    fn a_mark_without_a_bundle_is_put_right_by_putting_again() {
        let setting = Setting::new();
        let vault = setting.vault(None);
        let mark = format!("ages/020000/{}", digest(1));
        let mark = Object {
            name: ObjectName::new(mark).unwrap(),
            bytes: Vec::new(),
        };
        setting.objects.create(&[mark]).unwrap();
        vault.put(digest(1), b"x").unwrap();
        assert_eq!(&*vault.get(digest(1)).unwrap().unwrap(), b"x");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_made_once_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/vault.key");
        let (made, new) = VaultKey::read_or_make(&path).unwrap();
        let (found, old) = VaultKey::read_or_make(&path).unwrap();
        assert_eq!((new, old), (Made::New, Made::Found));
        assert_eq!(*made.0, *found.0);
        assert_eq!(format!("{made:?}"), "VaultKey(hidden)");
        let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        set(0o640);
        assert!(matches!(
            VaultKey::read(&path),
            Err(VaultKeyError::File(KeyFileError::Mode { mode: 0o640, .. }))
        ));
        set(0o600);
        for bad in [b"".as_slice(), b"00", &[0xff; 64], &[b'A'; 64], &[b'0'; 66]] {
            file::write(&path, bad, Access::Owner).unwrap();
            assert!(matches!(
                VaultKey::read(&path),
                Err(VaultKeyError::Form { .. })
            ));
            assert!(VaultKey::read_or_make(&path).is_err());
        }
    }
}
