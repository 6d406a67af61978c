//! What a referee tells of itself and of a dispute, as JSON: nothing of what was asked and answered.

use core::str::FromStr as _;

use credence_base::{Digest, ModelId, PublicKey, ReceiptDigest};
use credence_dispute::{Party, Reason, Terms};
use serde::{Deserialize, Serialize};

/// What a referee tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The key with which it signs verdicts.
    pub referee: PublicKey,
    /// Its time, in seconds since 1970-01-01 UTC. It stands still while the referee does not run.
    pub time_unix_s: u64,
    /// How long a turn is, in seconds.
    pub turn_s: u32,
}

/// Where a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// This party is awaited, up to and with this second of the referee's time.
    Awaiting(Party, u64),
    /// It has ended: who lost, and why.
    Over(Option<Party>, Reason),
}

/// What anyone may know of a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its id.
    pub dispute: Digest,
    /// Its terms.
    pub terms: Terms,
    /// The receipt that makes the claim.
    pub receipt: ReceiptDigest,
    /// The claim's model.
    pub model: ModelId,
    /// How many entries there are.
    pub entries: u32,
    /// Where it stands.
    pub standing: Standing,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AboutJson {
    referee: String,
    time_unix_s: u64,
    turn_s: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NoticeJson {
    dispute: String,
    terms: String,
    receipt: String,
    model: String,
    entries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    awaits: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_unix_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loser: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A list of notices.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoticesJson {
    pub(crate) disputes: Vec<NoticeJson>,
}

/// The word for a party.
pub(crate) const fn word(party: Party) -> &'static str {
    match party {
        Party::Operator => "operator",
        Party::Challenger => "challenger",
    }
}

fn party(word: &str) -> Option<Party> {
    match word {
        "operator" => Some(Party::Operator),
        "challenger" => Some(Party::Challenger),
        _ => None,
    }
}

impl About {
    pub(crate) fn json(&self) -> AboutJson {
        AboutJson {
            referee: hex::encode(self.referee.as_bytes()),
            time_unix_s: self.time_unix_s,
            turn_s: self.turn_s,
        }
    }

    pub(crate) fn read(json: &AboutJson) -> Option<Self> {
        let key = Digest::from_str(&json.referee).ok()?;
        Some(Self {
            referee: PublicKey::from_bytes(key.as_bytes()).ok()?,
            time_unix_s: json.time_unix_s,
            turn_s: json.turn_s,
        })
    }
}

impl Notice {
    pub(crate) fn json(&self) -> NoticeJson {
        let (awaits, until_unix_s, loser, reason) = match self.standing {
            Standing::Awaiting(party, until) => (Some(word(party)), Some(until), None, None),
            Standing::Over(loser, reason) => {
                let loser = loser.map_or("nobody", word);
                (None, None, Some(loser), Some(reason.as_str()))
            }
        };
        NoticeJson {
            dispute: self.dispute.to_string(),
            terms: hex::encode(self.terms.encode()),
            receipt: self.receipt.to_string(),
            model: self.model.to_string(),
            entries: self.entries,
            awaits: awaits.map(str::to_owned),
            until_unix_s,
            loser: loser.map(str::to_owned),
            reason: reason.map(str::to_owned),
        }
    }

    /// As JSON.
    ///
    /// # Errors
    /// None that these fields give.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&self.json())
    }

    /// Reads JSON: nothing unless it is a notice whose dispute is that of its terms.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::read(&serde_json::from_slice(bytes).ok()?)
    }

    /// Reads a notice; the dispute must be that of its terms.
    pub(crate) fn read(json: &NoticeJson) -> Option<Self> {
        let terms = Terms::decode(&hex::decode(&json.terms).ok()?).ok()?;
        let dispute = Digest::from_str(&json.dispute).ok()?;
        let standing = match (&json.awaits, json.until_unix_s, &json.loser, &json.reason) {
            (Some(awaits), Some(until), None, None) => Standing::Awaiting(party(awaits)?, until),
            (None, None, Some(loser), Some(reason)) => {
                let loser = match loser.as_str() {
                    "nobody" => None,
                    other => Some(party(other)?),
                };
                Standing::Over(loser, Reason::from_name(reason)?)
            }
            _ => return None,
        };
        (dispute == terms.id()).then_some(Self {
            dispute,
            terms,
            receipt: json.receipt.parse().ok()?,
            model: json.model.parse().ok()?,
            entries: json.entries,
            standing,
        })
    }
}
