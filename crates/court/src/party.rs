//! One step of a party in a dispute: what was said so far, led through a referee of its own; then the answer, if one is due.
//!
//! ```text
//! entries ─own Referee─▶ what is asked, of whom ─▶ of us: answer ─sign─▶ message ─▶ the referee's server
//! ```
//!
//! It keeps nothing between steps, so a party that was ended goes on where it was. A server that shows other entries than count is found out: the party's own referee
//! takes them or does not. It deliberately waits for nothing and knows no run: the answer is the caller's.

use core::error::Error;

use credence_base::SigningKey;
use credence_base::wire::WireError;
use credence_claim::Claim;
use credence_dispute::{Body, Ignored, Party, Referee, RefereeError, Status, Terms, Verdict, sign};
use credence_method_spot::Card;

use crate::client::{ClientError, CourtClient};
use crate::pass::Pass;

/// A party in one dispute.
#[derive(Debug, Clone, Copy)]
pub struct Seat<'a> {
    /// Its key.
    pub key: &'a SigningKey,
    /// Which one it is.
    pub party: Party,
    /// The model's card without its text.
    pub card: &'a Card,
    /// The claim.
    pub claim: &'a Claim,
    /// The terms.
    pub terms: Terms,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// We have answered.
    Said,
    /// The other party is awaited, up to and with this second of the referee's time.
    Waiting(u64),
    /// The dispute has ended so, by the entries that the server shows.
    Over(Verdict),
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError<E: Error + 'static> {
    /// The server.
    #[error("the referee was asked in vain")]
    Client(#[from] ClientError),
    /// There can be no such dispute.
    #[error("there can be no such dispute")]
    Referee(#[from] RefereeError),
    /// The server shows entries of other terms.
    #[error("the referee's server shows another dispute than was asked for")]
    Terms,
    /// The server shows an entry that does not count.
    #[error("entry {number} that the referee's server shows does not count")]
    Entry {
        /// Which, from 0.
        number: usize,
        /// Why; nothing if it is another entry than follows.
        #[source]
        source: Option<Ignored>,
    },
    /// We have no answer.
    #[error("there is no answer to what is asked")]
    Answer(#[source] E),
    /// The answer cannot be written.
    #[error("the answer cannot be written")]
    Wire(#[from] WireError),
}

/// Reads what was said, and answers if we are asked.
///
/// # Errors
/// [`StepError`].
pub fn step<E: Error + 'static>(
    client: &CourtClient,
    seat: &Seat<'_>,
    answer: impl FnOnce(&Referee<'_>) -> Result<Option<Body>, E>,
) -> Result<Step, StepError<E>> {
    let about = client.about()?;
    let id = seat.terms.id();
    let pass = Pass::sign(seat.key, (&about.referee, Some(&id)), about.time_unix_s);
    let shown = client.entries(&id, &pass)?;
    if shown.terms != seat.terms {
        return Err(StepError::Terms);
    }
    let mut referee = Referee::new(seat.card, seat.claim, seat.terms)?;
    for (number, entry) in shown.entries.iter().enumerate() {
        match referee.step(entry.message.as_deref(), entry.time_unix_s) {
            Ok(taken) if taken.as_ref() == Some(entry) => {}
            Ok(_) => {
                let source = None;
                return Err(StepError::Entry { number, source });
            }
            Err(source) => {
                let source = Some(source);
                return Err(StepError::Entry { number, source });
            }
        }
    }
    let until = match referee.status() {
        Status::Over(verdict) => return Ok(Step::Over(verdict)),
        Status::Awaiting {
            question,
            until_unix_s,
        } => {
            if question.party() != seat.party {
                return Ok(Step::Waiting(until_unix_s));
            }
            until_unix_s
        }
    };
    let Some(body) = answer(&referee).map_err(StepError::Answer)? else {
        return Ok(Step::Waiting(until));
    };
    let message = sign(seat.key, referee.head(), seat.party, &body.encode()?);
    client.say(&id, &message)?;
    Ok(Step::Said)
}
