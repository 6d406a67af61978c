//! The bundles that an auditor may see: those in a folder that it was given, and those whose keys stand in a file.
//!
//! ```text
//! <folder>/*.json                    bundles; which receipt each holds is read once, and again when the file has changed
//! <keys>: lines `DIGEST KEY`         fetched from the operator when they are drawn
//! ```
//!
//! A log holds digests alone, and an operator gives bundles only to those entitled. So what an auditor says is about these answers. A file that was read while it was
//! written is read again when it has changed. It deliberately takes no bundle of more than 64 MiB.

use core::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use credence_base::{Digest, ModelId, PublicKey, ReceiptDigest};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, Kept, ReceiptKey, Statement};
use credence_store::file;
use credence_witness::fetch::{Bounds, FetchError, Fetcher, Prefix};
use credence_witness::server::chain_of;

/// The longest file of keys that is read, in bytes: half a million lines.
const KEYS_LEN_MAX: u64 = 64 * 1024 * 1024;
/// The longest time that a bundle may take.
const BUNDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// Most files of a folder that are known.
const FILES_MAX: usize = 1 << 20;

/// Who gave a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// Whoever fills our folder. What is wrong with its openings may be that one's doing.
    Folder,
    /// The operator itself.
    Operator,
}

/// What came of looking for a bundle.
#[derive(Debug)]
pub(super) enum Found {
    /// It is here.
    Bundle(Box<Bundle>, From),
    /// We have its key, and the operator does not give it: why.
    Silent(String),
    /// The operator has too much to do: what it says.
    Busy(String),
    /// We may not see it.
    Unseen,
    /// The operator says that our key is not the receipt's.
    Forbidden,
    /// No time was left to ask.
    PutOff,
}

/// What a file looked like when it was read.
type Look = (u64, Option<SystemTime>);

fn look_of(path: &Path) -> Option<Look> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.len(), meta.modified().ok()))
}

/// Where bundles are.
#[derive(Debug, Default)]
pub struct Library {
    folder: Option<PathBuf>,
    keys: Option<PathBuf>,
    known: BTreeMap<ReceiptDigest, PathBuf>,
    /// What stood in the folder. A file that was half written is read again when it has changed.
    looked: BTreeMap<PathBuf, Look>,
    entitled: BTreeMap<ReceiptDigest, ReceiptKey>,
    keys_look: Option<Look>,
}

impl Library {
    /// A folder of bundles, and a file of receipts' keys; either may be absent.
    #[must_use]
    pub const fn new(folder: Option<PathBuf>, keys: Option<PathBuf>) -> Self {
        Self {
            folder,
            keys,
            known: BTreeMap::new(),
            looked: BTreeMap::new(),
            entitled: BTreeMap::new(),
            keys_look: None,
        }
    }

    /// Looks for what is new or has changed. What is no bundle is passed over until it has changed; a folder that cannot be read has none.
    pub(super) fn look(&mut self) {
        self.look_at_keys();
        let Some(folder) = &self.folder else {
            return;
        };
        let Ok(children) = std::fs::read_dir(folder) else {
            return;
        };
        for child in children.flatten() {
            let path = child.path();
            let is_json = path.extension().is_some_and(|end| end == "json");
            let Some(look) = look_of(&path).filter(|_| is_json) else {
                continue;
            };
            if self.looked.len() >= FILES_MAX || self.looked.get(&path) == Some(&look) {
                continue;
            }
            self.looked.insert(path.clone(), look);
            if let Some(bundle) = read(&path) {
                self.known.insert(bundle.receipt().digest(), path);
            }
        }
    }

    /// Reads the file of keys, if it has changed: it may have been read while it was written.
    fn look_at_keys(&mut self) {
        let Some(path) = &self.keys else {
            return;
        };
        let look = look_of(path);
        if look.is_none() || look == self.keys_look {
            return;
        }
        let Ok(bytes) = file::read(path, KEYS_LEN_MAX) else {
            return;
        };
        self.keys_look = look;
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            let pair = line.trim().split_once(char::is_whitespace);
            let read = pair.map(|(name, key)| (name.parse(), key.trim().parse()));
            if let Some((Ok(receipt), Ok(key))) = read {
                self.entitled.insert(receipt, key);
            }
        }
    }

    /// Whether there is anything to see of this receipt, or to ask for it with.
    pub(super) fn has(&self, digest: &ReceiptDigest) -> bool {
        self.known.contains_key(digest) || self.entitled.contains_key(digest)
    }

    fn local(&self, digest: &ReceiptDigest) -> Option<Bundle> {
        let bundle = read(self.known.get(digest)?)?;
        (bundle.receipt().digest() == *digest).then_some(bundle)
    }

    pub(super) fn find(&self, digest: ReceiptDigest, place: &Place<'_>) -> Found {
        let local = self.local(&digest);
        if let Some(bundle) = local
            && is_whole(&bundle)
        {
            return Found::Bundle(Box::new(bundle), From::Folder);
        }
        match self.entitled.get(&digest) {
            Some(key) => of_operator(digest, *key, place),
            None => Found::Unseen,
        }
    }

    /// Whose receipt this is: shown by the signed receipt, here or at the operator's, where anyone sees it. Nobody's if nobody shows it; nothing if no time was left to ask.
    pub(super) fn signer(
        &self,
        digest: ReceiptDigest,
        place: &Place<'_>,
    ) -> Option<Option<PublicKey>> {
        let local = self.local(&digest).and_then(|bundle| signer_of(&bundle));
        if local.is_some() {
            return Some(local);
        }
        match fetch(place, &Kept { digest, key: None }.path()) {
            Fetched::PutOff => None,
            Fetched::Bundle(bundle) if bundle.receipt().digest() == digest => {
                Some(signer_of(&bundle))
            }
            Fetched::Bundle(_)
            | Fetched::Forbidden
            | Fetched::Silent(_)
            | Fetched::Unreached(_)
            | Fetched::Busy(_) => Some(None),
        }
    }
}

/// The operator's own bundle of a receipt.
pub(super) fn of_operator(digest: ReceiptDigest, key: ReceiptKey, place: &Place<'_>) -> Found {
    let kept = Kept {
        digest,
        key: Some(key),
    };
    match fetch(place, &kept.path()) {
        Fetched::Bundle(bundle) if bundle.receipt().digest() == digest => {
            Found::Bundle(bundle, From::Operator)
        }
        Fetched::Bundle(_) => Found::Silent("the operator gives another receipt".to_owned()),
        Fetched::Forbidden => Found::Forbidden,
        Fetched::PutOff => Found::PutOff,
        Fetched::Busy(words) => Found::Busy(words),
        Fetched::Silent(words) | Fetched::Unreached(words) => Found::Silent(words),
    }
}

/// Whether everything that a claim commits to is opened.
fn is_whole(bundle: &Bundle) -> bool {
    let openings = bundle.openings();
    openings.input.is_some()
        && openings.params.is_some()
        && openings.output.is_some()
        && openings.trace.is_some()
}

/// The model that a bundle's receipt says it ran, if it is a signed answer.
pub(super) fn model_of(bundle: &Bundle) -> Option<ModelId> {
    match bundle.receipt().open().ok()?.into_statement() {
        Statement::Inference(inference) => Some(inference.claim.fields().model),
        Statement::Key(_)
        | Statement::Equivocation(_)
        | Statement::WeightsBinding(_)
        | Statement::Imported(_)
        | Statement::Audit(_)
        | Statement::Verdict(_) => None,
    }
}

/// The operator whose answer a bundle's receipt is, if it is one and is signed.
pub(super) fn signer_of(bundle: &Bundle) -> Option<PublicKey> {
    match bundle.receipt().open().ok()?.into_statement() {
        Statement::Inference(inference) => Some(inference.operator),
        Statement::Key(_)
        | Statement::Equivocation(_)
        | Statement::WeightsBinding(_)
        | Statement::Imported(_)
        | Statement::Audit(_)
        | Statement::Verdict(_) => None,
    }
}

fn read(path: &Path) -> Option<Bundle> {
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(path, len_max).ok()?;
    Bundle::decode(&bytes, BUNDLE_LEN_MAX).ok()
}

/// How much longer an operator may keep us waiting in one round.
#[derive(Debug)]
pub(super) struct Budget(Cell<Duration>);

impl Budget {
    pub(super) const fn new(left: Duration) -> Self {
        Self(Cell::new(left))
    }

    /// Asks, for at most `most`, and takes the time that it took. Nothing if no time is left, or if less than `most` was left and no answer came: whether one would have
    /// come in the full time is not known.
    pub(super) fn spend<T>(
        &self,
        most: Duration,
        ask: impl FnOnce(Duration) -> Result<T, FetchError>,
    ) -> Option<Result<T, FetchError>> {
        let left = self.0.get();
        if left.is_zero() {
            return None;
        }
        let started = Instant::now();
        let out = ask(most.min(left));
        self.0.set(left.saturating_sub(started.elapsed()));
        match out {
            Err(FetchError::Connection { .. } | FetchError::Body { .. }) if left < most => None,
            out => Some(out),
        }
    }
}

/// Where an operator answers, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) operator: &'a Prefix,
    pub(super) budget: &'a Budget,
}

/// What came of asking for a bundle.
pub(super) enum Fetched {
    Bundle(Box<Bundle>),
    /// Status 403.
    Forbidden,
    /// Nothing of use: why.
    Silent(String),
    /// Nobody answered, or the operator says that it is out of order: why.
    Unreached(String),
    /// Status 429: it has too much to do.
    Busy(String),
    /// No time was left to ask.
    PutOff,
}

/// A bundle from its path at the operator's.
pub(super) fn fetch(place: &Place<'_>, path: &str) -> Fetched {
    let url = place.operator.join(path.trim_start_matches('/'));
    let get = |time_max| {
        let len_max = BUNDLE_LEN_MAX;
        place.fetcher.get(&url, Bounds { len_max, time_max })
    };
    let Some(got) = place.budget.spend(BUNDLE_TIME_MAX, get) else {
        return Fetched::PutOff;
    };
    match got {
        Ok(reply) => match reply.status {
            200 => match Bundle::decode(&reply.body, BUNDLE_LEN_MAX) {
                Ok(bundle) => Fetched::Bundle(Box::new(bundle)),
                Err(error) => Fetched::Silent(chain_of(&error)),
            },
            403 => Fetched::Forbidden,
            429 => Fetched::Busy("the operator is busy: status 429".to_owned()),
            status @ (408 | 425 | 500..=599) => {
                Fetched::Unreached(format!("the operator shows nothing: status {status}"))
            }
            status => Fetched::Silent(format!("the operator shows nothing: status {status}")),
        },
        Err(error @ FetchError::TooLong { .. }) => Fetched::Silent(chain_of(&error)),
        Err(error) => Fetched::Unreached(chain_of(&error)),
    }
}

/// Decides by a secret which entries are drawn: the same at every look, and foreseen by nobody who has not the secret.
#[derive(Clone)]
pub(super) struct Sampler {
    secret: [u8; 32],
    /// Of 2^64.
    threshold: u128,
}

impl Sampler {
    pub(super) fn new(secret: [u8; 32], rate_ppm: u32) -> Self {
        let threshold = (u128::from(rate_ppm) << 64_u32) / 1_000_000;
        Self { secret, threshold }
    }

    pub(super) fn draws(&self, receipt: &ReceiptDigest) -> bool {
        let parts = [self.secret.as_slice(), receipt.as_bytes()];
        let domain = credence_base::domain::AUDIT_SAMPLE;
        let digest: Digest = credence_commit::tree::root_parts(domain, parts);
        let first = digest.as_bytes().first_chunk::<8>();
        let value = u64::from_le_bytes(first.copied().unwrap_or([0xff; 8]));
        u128::from(value) < self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(number: u32) -> ReceiptDigest {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        ReceiptDigest::from_bytes(bytes)
    }

    /// A timeout of what had less than its full time says nothing of the operator; an answer is one, however little time it had.
    #[test]
    fn a_failure_in_a_time_that_was_cut_short_is_nobodys_silence() {
        let broken = || FetchError::Body {
            url: "http://operator".to_owned(),
            source: std::io::ErrorKind::TimedOut.into(),
        };
        let (full, cut) = (Duration::from_secs(5), Duration::from_secs(6));
        let budget = Budget::new(full);
        assert!(budget.spend(cut, |_| Err::<(), _>(broken())).is_none());
        assert!(budget.spend(cut, |_| Ok(())).is_some());
        let budget = Budget::new(full);
        let failed = budget.spend(full, |_| Err::<(), _>(broken()));
        assert!(matches!(failed, Some(Err(_))));
        let none = Budget::new(Duration::ZERO);
        assert!(none.spend(full, |_| Ok(())).is_none());
    }

    #[test]
    fn the_rate_is_met_and_nobody_foresees_the_draws() {
        for (rate_ppm, least, most) in
            [(0, 0, 0), (100_000, 900, 1100), (1_000_000, 10_000, 10_000)]
        {
            let sampler = Sampler::new([7; 32], rate_ppm);
            let drawn = (0..10_000)
                .filter(|at| sampler.draws(&receipt(*at)))
                .count();
            assert!((least..=most).contains(&drawn), "{rate_ppm}: {drawn}");
        }
        let (one, other) = (
            Sampler::new([7; 32], 500_000),
            Sampler::new([8; 32], 500_000),
        );
        let same = (0..10_000)
            .filter(|at| one.draws(&receipt(*at)) == other.draws(&receipt(*at)))
            .count();
        assert!((4800..5200).contains(&same), "{same}");
    }
}
