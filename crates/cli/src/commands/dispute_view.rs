//! A verdict as people and programs read it, and why one is not confirmed.

use std::path::Path;

use credence_court::{Line, ShownVerdict, VerdictRefusal, confirm};
use credence_dispute::{Party, TranscriptError};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, OpenError};
use credence_store::file;
use serde::Serialize;

use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::time::rfc3339;

/// What `dispute verify --json` prints, and `verify --json` of a verdict.
#[derive(Debug, Serialize)]
pub(crate) struct VerdictView {
    accepted: bool,
    kind: &'static str,
    verdict: String,
    referee: String,
    time: String,
    receipt: String,
    model: String,
    operator: String,
    challenger: String,
    started: String,
    turn_s: u32,
    loser: &'static str,
    reason: &'static str,
    /// Whether it shows that the claim is false, as opposed to who lost.
    shows_claim_false: bool,
    messages: usize,
    bytes: usize,
}

/// One message, as `dispute show --json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct LineView {
    time: String,
    party: &'static str,
    said: &'static str,
    bytes: usize,
}

/// The word for a party.
pub(crate) const fn word(party: Party) -> &'static str {
    match party {
        Party::Operator => "operator",
        Party::Challenger => "challenger",
    }
}

impl VerdictView {
    pub(crate) fn new(shown: &ShownVerdict) -> Self {
        let (stated, verdict) = (&shown.statement, &shown.verdict);
        Self {
            accepted: true,
            kind: "verdict",
            verdict: shown.digest.to_string(),
            referee: stated.operator.to_string(),
            time: rfc3339(stated.time_unix_s),
            receipt: shown.disputed.to_string(),
            model: shown.model.to_string(),
            operator: stated.accused.to_string(),
            challenger: stated.challenger.to_string(),
            started: rfc3339(stated.started_unix_s),
            turn_s: stated.turn_s,
            loser: stated.loser.as_str(),
            reason: verdict.reason.as_str(),
            shows_claim_false: shown.is_proof(),
            messages: shown.messages.0,
            bytes: shown.messages.1,
        }
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        let meaning = if self.shows_claim_false {
            "the claim is false: what decided is in the bundle, and takes nobody's word"
        } else if self.loser == "operator" {
            "the operator did not defend the claim; that does not show that it is false"
        } else {
            "who lost this dispute; it does not show that the claim is true"
        };
        format!(
            "confirmed: the dispute leads to this verdict\n\n  lost        {}, for `{}`\n  receipt     {}\n  model       {}\n  operator    {}\n  \
             challenger  {}\n  referee     {}\n  started     {}, turns of {} s, by the referee's clock\n  messages    {}, {} bytes\n\nshown: {meaning}",
            self.loser,
            self.reason,
            self.receipt,
            self.model,
            self.operator,
            self.challenger,
            self.referee,
            self.started,
            self.turn_s,
            self.messages,
            self.bytes
        )
    }
}

impl LineView {
    pub(crate) fn new(line: &Line) -> Self {
        Self {
            time: rfc3339(line.time_unix_s),
            party: word(line.party),
            said: line.said,
            bytes: line.bytes,
        }
    }

    /// A line for people.
    pub(crate) fn text(&self) -> String {
        let Self {
            time,
            party,
            said,
            bytes,
        } = self;
        format!("{time}  {party:<10}  {bytes:>8}  {said}")
    }
}

/// Reads a bundle.
pub(crate) fn read(path: &Path) -> Result<Bundle, CliError> {
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(path, len_max)?;
    Bundle::decode(&bytes, BUNDLE_LEN_MAX).map_err(|error| {
        let what = format!("`{}` is no bundle", path.display());
        CliError::because(Exit::Malformed, what, error)
    })
}

/// Reaches a bundle's verdict again.
pub(crate) fn confirmed(path: &Path, bundle: &Bundle) -> Result<VerdictView, CliError> {
    let shown = confirm(bundle).map_err(|refusal| refused(path, &refusal))?;
    Ok(VerdictView::new(&shown))
}

/// Why a verdict is not confirmed, and what to do.
pub(crate) fn refused(path: &Path, refusal: &VerdictRefusal) -> CliError {
    let (exit, hint) = match refusal {
        VerdictRefusal::Open(OpenError::Signature(_)) => (Exit::BadSignature, None),
        VerdictRefusal::Open(_)
        | VerdictRefusal::Kind
        | VerdictRefusal::Dossier(_)
        | VerdictRefusal::Reason(_) => (Exit::Malformed, None),
        VerdictRefusal::NoDossier => (
            Exit::Missing,
            Some("`credence dispute open` writes the whole one; the referee gives it to parties"),
        ),
        VerdictRefusal::Filing(_)
        | VerdictRefusal::Card(_)
        | VerdictRefusal::Text
        | VerdictRefusal::Referee(_)
        | VerdictRefusal::Transcript(TranscriptError::Referee(_) | TranscriptError::Terms(_)) => {
            (Exit::Inconsistent, None)
        }
        VerdictRefusal::Transcript(_) | VerdictRefusal::Otherwise { .. } => (
            Exit::Refuted,
            Some("the referee signed what does not follow: do not go to it again"),
        ),
    };
    let what = format!("`{}` is refused: {}", path.display(), chain(refusal));
    let error = CliError::new(exit, what);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
