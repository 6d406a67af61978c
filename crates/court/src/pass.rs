//! What a party shows to read a dispute: transcripts hold what was asked and answered, so strangers do not.
//!
//! ```text
//! key=<hex>&time=<seconds>&signature=<hex>       signed: the domain string `DISPUTE_PASS` ‖ the referee's key ‖ the dispute's id ‖ u64 time
//! ```
//!
//! The id is 32 zero bytes where the list of a party's disputes is asked for. A pass is good for one dispute before one referee for five minutes: a server that overhears one,
//! or stands in for another referee, reads no other dispute by it. It deliberately says nothing of what is asked for there.

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

/// Where a pass is good: before which referee, and for which dispute; for the list of a party's disputes if for none.
pub type Gate<'a> = (&'a PublicKey, Option<&'a Digest>);

fn signed((referee, dispute): Gate<'_>, time_unix_s: u64) -> Vec<u8> {
    let list = Digest::from_bytes([0; 32]);
    let mut writer = Writer::new();
    writer
        .raw(domain::DISPUTE_PASS.as_str().as_bytes())
        .raw(referee.as_bytes())
        .digest(dispute.unwrap_or(&list))
        .u64(time_unix_s);
    writer.finish()
}

impl Pass {
    /// Signs a pass at the referee's time.
    #[must_use]
    pub fn sign(key: &SigningKey, gate: Gate<'_>, time_unix_s: u64) -> Self {
        Self {
            key: key.public_key(),
            time_unix_s,
            signature: key.sign(&signed(gate, time_unix_s)),
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

    /// Who shows it, if it is good here and of about now.
    pub(crate) fn read(query: &PassQuery, gate: Gate<'_>, now: u64) -> Option<PublicKey> {
        let (key, time) = (query.key.as_ref()?, query.time?);
        let key: Digest = key.parse().ok()?;
        let key = PublicKey::from_bytes(key.as_bytes()).ok()?;
        let mut signature = [0; 64];
        hex::decode_to_slice(query.signature.as_ref()?, &mut signature).ok()?;
        let verified = key.verify(&signed(gate, time), &Signature::from_bytes(signature));
        (time.abs_diff(now) <= PASS_SKEW_S && verified.is_ok()).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_good_for_one_key_one_dispute_one_referee_and_five_minutes() {
        let key = SigningKey::from_seed(&[1; 32]);
        let referee = SigningKey::from_seed(&[2; 32]).public_key();
        let (one, two) = (Digest::from_bytes([4; 32]), Digest::from_bytes([5; 32]));
        let gate = (&referee, Some(&one));
        let pass = Pass::sign(&key, gate, 1000);
        let query = |pass: &Pass| PassQuery {
            key: Some(hex::encode(pass.key.as_bytes())),
            time: Some(pass.time_unix_s),
            signature: Some(hex::encode(pass.signature.as_bytes())),
            from: 0,
        };
        let own = Some(key.public_key());
        for (now, expected) in [(1000, own), (700, own), (1300, own), (1301, None)] {
            assert_eq!(Pass::read(&query(&pass), gate, now), expected);
        }
        let other = SigningKey::from_seed(&[3; 32]).public_key();
        for elsewhere in [
            (&other, Some(&one)),
            (&referee, Some(&two)),
            (&referee, None),
        ] {
            assert_eq!(Pass::read(&query(&pass), elsewhere, 1000), None);
        }
        let list = Pass::sign(&key, (&referee, None), 1000);
        assert_eq!(Pass::read(&query(&list), (&referee, None), 1000), own);
        assert_eq!(Pass::read(&query(&list), gate, 1000), None);
        let stolen = Pass { key: other, ..pass };
        assert_eq!(Pass::read(&query(&stolen), gate, 1000), None);
        let dated = Pass {
            key: key.public_key(),
            time_unix_s: 1001,
            ..stolen
        };
        assert_eq!(Pass::read(&query(&dated), gate, 1000), None);
        assert_eq!(Pass::read(&PassQuery::default(), gate, 0), None);
    }
}
