//! The bundles that an auditor may see: those in a folder that it was given, and those whose keys stand in a file.
//!
//! ```text
//! <folder>/*.json                    bundles; which receipt each holds is read once
//! <keys>: lines `DIGEST KEY`         fetched from the operator when they are drawn
//! ```
//!
//! A log holds digests alone, and an operator gives bundles only to those entitled. So what an auditor says is about these answers. It deliberately follows no link and
//! takes no bundle of more than 64 MiB.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use credence_base::{Digest, ReceiptDigest};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, Kept, ReceiptKey};
use credence_store::file;
use credence_witness::fetch::{Bounds, Fetcher, Prefix};

/// The longest file of keys that is read, in bytes: half a million lines.
const KEYS_LEN_MAX: u64 = 64 * 1024 * 1024;

const BUNDLE: Bounds = Bounds {
    len_max: BUNDLE_LEN_MAX,
    time_max: Duration::from_secs(60),
};

/// What came of looking for a bundle.
#[derive(Debug)]
pub(super) enum Found {
    /// It is here.
    Bundle(Box<Bundle>),
    /// We have its key, and the operator does not give it.
    Refused,
    /// We may not see it.
    Unseen,
}

/// Where bundles are.
#[derive(Debug, Default)]
pub struct Library {
    folder: Option<PathBuf>,
    keys: Option<PathBuf>,
    known: BTreeMap<ReceiptDigest, PathBuf>,
    looked: BTreeSet<PathBuf>,
}

impl Library {
    /// A folder of bundles, and a file of receipts' keys; either may be absent.
    #[must_use]
    pub const fn new(folder: Option<PathBuf>, keys: Option<PathBuf>) -> Self {
        Self {
            folder,
            keys,
            known: BTreeMap::new(),
            looked: BTreeSet::new(),
        }
    }

    /// Looks for new files. What is no bundle is passed over; a folder that cannot be read has none.
    pub(super) fn look(&mut self) {
        let Some(folder) = &self.folder else {
            return;
        };
        let Ok(children) = std::fs::read_dir(folder) else {
            return;
        };
        for child in children.flatten() {
            let path = child.path();
            let is_json = path.extension().is_some_and(|end| end == "json");
            if !is_json || !self.looked.insert(path.clone()) {
                continue;
            }
            if let Some(bundle) = read(&path) {
                self.known.insert(bundle.receipt().digest(), path);
            }
        }
    }

    pub(super) fn find(
        &self,
        digest: ReceiptDigest,
        fetcher: &Fetcher,
        operator: &Prefix,
    ) -> Found {
        if let Some(path) = self.known.get(&digest) {
            return match read(path) {
                Some(bundle) if bundle.receipt().digest() == digest => {
                    Found::Bundle(Box::new(bundle))
                }
                Some(_) | None => Found::Unseen,
            };
        }
        let Some(key) = self.key(digest) else {
            return Found::Unseen;
        };
        let kept = Kept {
            digest,
            key: Some(key),
        };
        match fetch(fetcher, operator, &kept.path()) {
            Some(bundle) if bundle.receipt().digest() == digest => Found::Bundle(Box::new(bundle)),
            Some(_) | None => Found::Refused,
        }
    }

    fn key(&self, digest: ReceiptDigest) -> Option<ReceiptKey> {
        let bytes = file::read(self.keys.as_ref()?, KEYS_LEN_MAX).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let own = digest.to_string();
        text.lines().find_map(|line| {
            let (name, key) = line.trim().split_once(char::is_whitespace)?;
            (name == own).then(|| key.trim().parse().ok()).flatten()
        })
    }
}

fn read(path: &Path) -> Option<Bundle> {
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(path, len_max).ok()?;
    Bundle::decode(&bytes, BUNDLE_LEN_MAX).ok()
}

/// A bundle from its path at the operator's.
pub(super) fn fetch(fetcher: &Fetcher, operator: &Prefix, path: &str) -> Option<Bundle> {
    let url = operator.join(path.trim_start_matches('/'));
    let reply = fetcher.get(&url, BUNDLE).ok()?;
    if reply.status != 200 {
        return None;
    }
    Bundle::decode(&reply.body, BUNDLE_LEN_MAX).ok()
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
