//! A party's way to a referee: one request each, bounded in bytes and time.
//!
//! It deliberately believes nothing of what comes but its form: [`crate::party`] leads a referee of its own over the entries, and [`crate::verdict`] reaches verdicts again.

use std::time::Duration;

use credence_base::wire::WireError;
use credence_base::{Digest, PublicKey};
use credence_dispute::{Transcript, TranscriptError};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, BundleError};
use credence_witness::fetch::{Bounds, FetchError, Fetcher, Prefix, Reply};
use serde::de::DeserializeOwned;

use crate::filing::{Filing, FilingError};
use crate::notice::{About, AboutJson, Notice, NoticeJson, NoticesJson};
use crate::pass::Pass;
use crate::{MESSAGE_BYTES_MAX, TRANSCRIPT_BYTES_MAX};

/// What comes as JSON: a list of disputes at most.
const JSON: Bounds = Bounds {
    len_max: 256 * 1024,
    time_max: Duration::from_secs(20),
};
/// Entries of a dispute: all messages, and a few bytes for each.
const ENTRIES: Bounds = Bounds {
    len_max: TRANSCRIPT_BYTES_MAX + 1024 * 1024,
    time_max: Duration::from_secs(60),
};
/// A verdict with its dispute.
const VERDICT: Bounds = Bounds {
    len_max: BUNDLE_LEN_MAX,
    time_max: Duration::from_secs(60),
};
/// Longest words of a refusal that are repeated.
const SAID_MAX: usize = 300;

/// Why a referee was asked in vain.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer came.
    #[error("the referee does not answer")]
    Fetch(#[from] FetchError),
    /// It refused.
    #[error("the referee refuses: status {status}: {said}")]
    Refused {
        /// The status.
        status: u16,
        /// What it said, shortened.
        said: String,
    },
    /// What came has not the form.
    #[error("the referee's answer is not {expected}")]
    Form {
        /// What it should be.
        expected: &'static str,
    },
    /// It is another referee's server.
    #[error("the server is referee {got}'s, expected {expected}")]
    Referee {
        /// Whose it should be.
        expected: PublicKey,
        /// Whose it says it is.
        got: PublicKey,
    },
    /// What came are no entries.
    #[error("the referee's answer holds no entries")]
    Entries(#[from] TranscriptError),
    /// What came is no filing.
    #[error("the referee's answer is no filing")]
    Filing(#[from] FilingError),
    /// What came is no bundle.
    #[error("the referee's answer is no bundle")]
    Bundle(#[from] BundleError),
    /// The filing is too long.
    #[error("the filing cannot be written")]
    Wire(#[from] WireError),
    /// The message is longer than a court takes.
    #[error(
        "the message has {got} bytes, more than the {MESSAGE_BYTES_MAX} that a court takes: such a claim cannot be disputed over a network"
    )]
    Length {
        /// Its bytes.
        got: usize,
    },
}

/// A referee, behind an address.
#[derive(Debug, Clone)]
pub struct CourtClient {
    prefix: Prefix,
    fetcher: Fetcher,
    /// Whose server it must be, if that is known.
    referee: Option<PublicKey>,
}

fn read<T: DeserializeOwned>(reply: &Reply, expected: &'static str) -> Result<T, ClientError> {
    serde_json::from_slice(&reply.body).map_err(|_| ClientError::Form { expected })
}

fn good(reply: Reply) -> Result<Reply, ClientError> {
    if reply.status == 200 {
        return Ok(reply);
    }
    let said = String::from_utf8_lossy(&reply.body);
    let said = said.chars().filter(|c| !c.is_control()).take(SAID_MAX);
    Err(ClientError::Refused {
        status: reply.status,
        said: said.collect(),
    })
}

fn notice(reply: &Reply) -> Result<Notice, ClientError> {
    let expected = "a notice of a dispute";
    let json: NoticeJson = read(reply, expected)?;
    Notice::read(&json).ok_or(ClientError::Form { expected })
}

impl CourtClient {
    /// The referee at this prefix; nothing is asked yet.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            fetcher: Fetcher::new(),
            referee: None,
        }
    }

    /// The same, if it is this referee's: another that answers in its place is asked for nothing.
    #[must_use]
    pub fn of(self, referee: PublicKey) -> Self {
        Self {
            referee: Some(referee),
            ..self
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    fn get(&self, path: &str, bounds: Bounds) -> Result<Reply, ClientError> {
        good(self.fetcher.get(&self.prefix.join(path), bounds)?)
    }

    fn post(&self, path: &str, body: &[u8]) -> Result<Reply, ClientError> {
        let url = self.prefix.join(path);
        let media_type = "application/octet-stream";
        good(self.fetcher.post_bytes(&url, media_type, body, JSON)?)
    }

    /// What the referee tells of itself.
    ///
    /// # Errors
    /// [`ClientError`], [`ClientError::Referee`] if another answers than is known to be there.
    pub fn about(&self) -> Result<About, ClientError> {
        let expected = "what a referee tells of itself";
        let json: AboutJson = read(&self.get("v1/referee", JSON)?, expected)?;
        let about = About::read(&json).ok_or(ClientError::Form { expected })?;
        match self.referee {
            Some(expected) if about.referee != expected => Err(ClientError::Referee {
                expected,
                got: about.referee,
            }),
            Some(_) | None => Ok(about),
        }
    }

    /// Begins a dispute.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn file(&self, filing: &Filing) -> Result<Notice, ClientError> {
        notice(&self.post("v1/disputes", &filing.encode()?)?)
    }

    /// The disputes under way of whoever shows the pass.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn under_way(&self, pass: &Pass) -> Result<Vec<Notice>, ClientError> {
        let expected = "a list of disputes";
        let reply = self.get(&format!("v1/disputes?{}", pass.query()), JSON)?;
        let json: NoticesJson = read(&reply, expected)?;
        let all: Option<Vec<Notice>> = json.disputes.iter().map(Notice::read).collect();
        all.ok_or(ClientError::Form { expected })
    }

    /// Where a dispute stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn notice(&self, id: &Digest) -> Result<Notice, ClientError> {
        notice(&self.get(&format!("v1/disputes/{id}"), JSON)?)
    }

    /// All entries of a dispute.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn entries(&self, id: &Digest, pass: &Pass) -> Result<Transcript, ClientError> {
        let path = format!("v1/disputes/{id}/entries?{}", pass.query());
        let reply = self.get(&path, ENTRIES)?;
        Ok(Transcript::decode(&reply.body)?)
    }

    /// What was filed, without the card. It is for [`Filing::check`] to check.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn filing(&self, id: &Digest, pass: &Pass) -> Result<Filing, ClientError> {
        let path = format!("v1/disputes/{id}/filing?{}", pass.query());
        Ok(Filing::decode(&self.get(&path, JSON)?.body)?)
    }

    /// Says something.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn say(&self, id: &Digest, message: &[u8]) -> Result<Notice, ClientError> {
        let got = message.len();
        if got > MESSAGE_BYTES_MAX {
            return Err(ClientError::Length { got });
        }
        notice(&self.post(&format!("v1/disputes/{id}/messages"), message)?)
    }

    /// The verdict: with the dispute, for whoever shows a party's pass; alone without one. It is for [`crate::confirm`] to check.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn verdict(&self, id: &Digest, pass: Option<&Pass>) -> Result<Bundle, ClientError> {
        let query = pass.map_or(String::new(), |pass| format!("?{}", pass.query()));
        let reply = self.get(&format!("v1/disputes/{id}/verdict{query}"), VERDICT)?;
        Ok(Bundle::decode(&reply.body, BUNDLE_LEN_MAX)?)
    }
}
