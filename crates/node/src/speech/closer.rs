//! The second thread of a speaker: it hashes, signs and keeps what has ended, so that the answers that go on need not wait for a disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use credence_claim::FinishReason;
use credence_exec::Session;
use credence_generate::Output;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

use crate::keeper::{KeepError, Keeper};
use crate::speech::answers::{Ended, Event, Trouble};
use crate::speech::issue::{Begun, Outcome};
use crate::speech::speaker::Message;

/// An answer that has ended and has no receipt yet.
pub(super) struct Closing {
    pub(super) begun: Begun,
    pub(super) session: Session,
    pub(super) output: Output,
    pub(super) finish: FinishReason,
    /// Text that was held back.
    pub(super) rest: String,
    pub(super) events: UnboundedSender<Event>,
    pub(super) keeper: Arc<Keeper>,
    /// Given back last, so that whoever has all seats knows that all receipts are kept.
    pub(super) seat: OwnedSemaphorePermit,
}

/// Closes what comes, until nobody can send any more.
pub(super) fn run(ended: &Receiver<Closing>, inbox: &Sender<Message>) {
    while let Ok(closing) = ended.recv() {
        let choice = closing.begun.prompt().choice();
        let Closing {
            begun,
            session,
            output,
            finish,
            rest,
            events,
            keeper,
            seat,
        } = closing;
        let trace_root = session.trace_root();
        drop(session);
        let outcome = Outcome {
            output,
            trace_root,
            finish,
        };
        // A panic, a fault of this program or of where receipts are kept, must not end the thread that all receipts need.
        let close = AssertUnwindSafe(|| keeper.close(begun, &outcome));
        let event = match catch_unwind(close) {
            Err(_) => {
                tracing::error!("keeping a receipt panicked; the answer is withdrawn");
                Event::Failed(Trouble::Receipt)
            }
            Ok(Ok(receipt)) => Event::Ended(Ended {
                choice,
                text: rest,
                finish,
                receipt,
            }),
            Ok(Err(error)) => Event::Failed(told(&error)),
        };
        // A client that has left needs no word, and a speaker that has ended keeps no count.
        drop(events.send(event));
        drop(seat);
        drop(inbox.send(Message::Closed));
    }
}

fn told(error: &KeepError) -> Trouble {
    tracing::error!(
        cause = crate::chain_of(error),
        "an answer has no receipt and is withdrawn"
    );
    Trouble::Receipt
}
