//! What a party shows to read a dispute: transcripts hold what was asked and answered, so strangers do not.
//!
//! ```text
//! key=<hex>&time=<seconds>&signature=<hex>       signed: the domain string `DISPUTE_PASS` ‖ the referee's key ‖ u64 time
//! ```
//!
//! It deliberately names no dispute: it shows who asks, for five minutes. Whoever overhears one reads what that party may read until then; a proxy's TLS keeps it.

use credence_base::wire::Writer;
use credence_base::{Digest, PublicKey, Signature, SigningKey, domain};
use serde::Deserialize;

/// How far a pass may be from the referee's time, in seconds.
pub const PASS_SKEW_S: u64 = 300;

/// A party's word that it asks, at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    key: PublicKey,
    time_unix_s: u64,
    signature: Signature,
}

/// The query of a request that shows a pass.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PassQuery {
    key: Option<String>,
    time: Option<u64>,
    signature: Option<String>,
    /// Number of the first entry that is asked for.
    #[serde(default)]
    pub(crate) from: usize,
}

impl PassQuery {
    /// Whether no pass is shown, not even a bad one.
    pub(crate) const fn is_none(&self) -> bool {
        self.key.is_none() && self.time.is_none() && self.signature.is_none()
    }
}

fn signed(referee: &PublicKey, time_unix_s: u64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .raw(domain::DISPUTE_PASS.as_str().as_bytes())
        .raw(referee.as_bytes())
        .u64(time_unix_s);
    writer.finish()
}

impl Pass {
    /// Signs a pass for one referee at its time.
    #[must_use]
    pub fn sign(key: &SigningKey, referee: &PublicKey, time_unix_s: u64) -> Self {
        Self {
            key: key.public_key(),
            time_unix_s,
            signature: key.sign(&signed(referee, time_unix_s)),
        }
    }

    /// As a query.
    #[must_use]
    pub fn query(&self) -> String {
        format!(
            "key={}&time={}&signature={}",
            hex::encode(self.key.as_bytes()),
            self.time_unix_s,
            hex::encode(self.signature.as_bytes())
        )
    }

    /// Who shows it, if it is signed for this referee and is of about now.
    pub(crate) fn read(query: &PassQuery, referee: &PublicKey, now: u64) -> Option<PublicKey> {
        let (key, time) = (query.key.as_ref()?, query.time?);
        let key: Digest = key.parse().ok()?;
        let key = PublicKey::from_bytes(key.as_bytes()).ok()?;
        let mut signature = [0; 64];
        hex::decode_to_slice(query.signature.as_ref()?, &mut signature).ok()?;
        let verified = key.verify(&signed(referee, time), &Signature::from_bytes(signature));
        (time.abs_diff(now) <= PASS_SKEW_S && verified.is_ok()).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_good_for_one_key_one_referee_and_five_minutes() {
        let key = SigningKey::from_seed(&[1; 32]);
        let referee = SigningKey::from_seed(&[2; 32]).public_key();
        let pass = Pass::sign(&key, &referee, 1000);
        let query = |pass: &Pass| PassQuery {
            key: Some(hex::encode(pass.key.as_bytes())),
            time: Some(pass.time_unix_s),
            signature: Some(hex::encode(pass.signature.as_bytes())),
            from: 0,
        };
        let own = Some(key.public_key());
        assert_eq!(Pass::read(&query(&pass), &referee, 1000), own);
        assert_eq!(Pass::read(&query(&pass), &referee, 700), own);
        assert_eq!(Pass::read(&query(&pass), &referee, 1300), own);
        assert_eq!(Pass::read(&query(&pass), &referee, 1301), None);
        let other = SigningKey::from_seed(&[3; 32]).public_key();
        assert_eq!(Pass::read(&query(&pass), &other, 1000), None);
        let stolen = Pass { key: other, ..pass };
        assert_eq!(Pass::read(&query(&stolen), &referee, 1000), None);
        let dated = Pass {
            key: key.public_key(),
            time_unix_s: 1001,
            ..stolen
        };
        assert_eq!(Pass::read(&query(&dated), &referee, 1000), None);
        assert_eq!(Pass::read(&PassQuery::default(), &referee, 0), None);
    }
}
