//! What whoever asked is told, as it happens.

use credence_claim::FinishReason;
use credence_exec::sampling::Logprobs;

use credence_receipt::Kept;

/// Something that happened to an answer.
#[derive(Debug)]
pub enum Event {
    /// A token was drawn.
    Said(Said),
    /// The answer has ended, and its receipt is kept.
    Ended(Ended),
    /// There will be no more, and no receipt.
    Failed(Trouble),
}

/// One token and the text it brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Which choice of the request.
    pub choice: u32,
    /// The token.
    pub token: u32,
    /// Text that may be shown now.
    pub text: String,
    /// How likely it and others were, if that was asked for.
    pub logprobs: Option<Logprobs>,
}

/// The end of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which choice of the request.
    pub choice: u32,
    /// Text that was held back until now: of an answer that was cut off.
    pub text: String,
    /// Why it ends, as the claim says.
    pub finish: FinishReason,
    /// Its receipt, which can be asked for now.
    pub receipt: Kept,
}

/// Why an answer has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The server stops, and this answer had no token yet.
    #[error("the server is stopping: ask another, or again later")]
    Stopping,
    /// The run or the draw failed: a fault of this program.
    #[error("the model could not be run to the answer's end")]
    Run,
    /// The grammar that the answer must fit became too much work, or the model lacks a token for it.
    #[error("the answer's grammar could not be followed to the end: simplify the schema")]
    Grammar,
    /// The log takes no receipt for the moment, so the answer is none.
    #[error("the log takes no receipt at the moment, so no answer is given; try again")]
    Unlogged,
    /// No receipt could be made and kept, so the answer is none.
    #[error("no receipt could be made and kept, so the answer is withdrawn")]
    Receipt,
}
