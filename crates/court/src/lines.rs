//! A dispute, message by message, for people.
//!
//! It deliberately says nothing of contents: what was asked and answered stands in the first message, for whoever reads it there.

use credence_dispute::{Body, Party, Referee, Status};
use credence_method_spot::Card;
use credence_receipt::Bundle;

use crate::filing::claim_of;
use crate::verdict::{Dossier, VerdictRefusal, dossier_of};

/// Bytes of a message before its body: the signature.
const SIGNATURE_BYTES: usize = 64;

/// One entry of a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, by the referee's clock, in seconds since 1970-01-01 UTC.
    pub time_unix_s: u64,
    /// Who was awaited.
    pub party: Party,
    /// What it said, in a word.
    pub said: &'static str,
    /// Bytes of the message; 0 if time ran out.
    pub bytes: usize,
}

const fn said(body: &Body) -> &'static str {
    match body {
        Body::Open(_) => "opens the claim",
        Body::Section(_) => "names a section of the trace",
        Body::Split(_) => "shows the nodes below",
        Body::Child(_) => "names the first that differs",
        Body::Chunk(_) => "shows the bytes",
        Body::Byte(_) => "names the first byte that differs",
        Body::Reads(_) => "shows what the check reads",
        Body::Cell(_) => "names a value that was read",
        Body::Greedier { .. } => "names a better token",
        Body::Draw(_) => "names a draw",
        Body::Weights { .. } => "shows the sums of the draw",
        Body::Heavier(_) => "names a likelier token",
        Body::Block(_) => "names a block of wrong sums",
        Body::Output { .. } => "names a value of the output",
        Body::Concede => "gives up",
    }
}

/// The entries of the dispute in a verdict's bundle.
///
/// # Errors
/// [`VerdictRefusal`] if there is none that can be read. Whether the verdict follows is for [`crate::confirm`].
pub fn lines(bundle: &Bundle) -> Result<Vec<Line>, VerdictRefusal> {
    let dossier: Dossier = dossier_of(bundle)?;
    let terms = dossier.transcript.terms;
    let claim = claim_of(&dossier.receipt, &terms)?;
    let card = Card::decode(claim.fields().model, &dossier.card)?;
    let mut referee = Referee::new(&card, &claim, terms)?;
    let mut lines = Vec::new();
    for entry in &dossier.transcript.entries {
        let Status::Awaiting { question, .. } = referee.status() else {
            break;
        };
        let party = question.party();
        let message = entry.message.as_deref();
        let body = message.map(|message| message.get(SIGNATURE_BYTES..).unwrap_or_default());
        lines.push(Line {
            time_unix_s: entry.time_unix_s,
            party,
            said: match body.map(Body::decode) {
                None => "says nothing in time",
                Some(Ok(body)) => said(&body),
                Some(Err(_)) => "signs what is no message",
            },
            bytes: message.map_or(0, <[u8]>::len),
        });
        if referee.step(message, entry.time_unix_s).is_err() {
            break;
        }
    }
    Ok(lines)
}
