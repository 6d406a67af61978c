//! The second thread of a speaker: it hashes, signs and keeps what has ended, so that the answers that go on need not wait for a disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::thread;

use credence_claim::FinishReason;
use credence_exec::Session;
use credence_generate::Output;
use tokio::sync::OwnedSemaphorePermit;

use crate::keeper::{KeepError, Keeper};
use crate::logging::Wait;
use crate::speech::answers::{Ended, Event, Trouble};
use crate::speech::issue::{Begun, Outcome};
use crate::speech::queue::Events;
use crate::speech::speaker::Message;
use credence_receipt::Kept;

/// An answer that has ended and has no receipt yet.
pub(super) struct Closing {
    pub(super) begun: Begun,
    pub(super) session: Session,
    pub(super) output: Output,
    pub(super) finish: FinishReason,
    /// Text that was held back.
    pub(super) rest: String,
    pub(super) events: Events,
    pub(super) keeper: Arc<Keeper>,
    /// Given back last, so that whoever has all seats knows that all receipts are kept.
    pub(super) seat: OwnedSemaphorePermit,
}

/// An answer whose receipt is kept, if there is one, and of which its client has not been told.
struct Closed {
    choice: u32,
    rest: String,
    finish: FinishReason,
    /// None if keeping it panicked.
    receipt: Option<Result<(Kept, Option<Wait>), KeepError>>,
    events: Events,
    seat: OwnedSemaphorePermit,
}

/// Closes what comes, until nobody can send any more.
pub(super) fn run(ended: &Receiver<Closing>, inbox: &Sender<Message>) {
    let (later, waiting) = channel::<Closed>();
    let own_inbox = inbox.clone();
    let tell = move || {
        while let Ok(closed) = waiting.recv() {
            closed.tell(&own_inbox);
        }
    };
    // Batches of the log end in the order in which they began, so one thread that waits for one after the other holds nobody up.
    let waiter = thread::Builder::new()
        .name("credence-waiter".to_owned())
        .spawn(tell);
    while let Ok(closing) = ended.recv() {
        let closed = closing.close();
        let waits = waiter.is_ok() && matches!(closed.receipt, Some(Ok((_, Some(_)))));
        // Without that thread this one waits.
        let mine = if waits {
            later.send(closed).err().map(|SendError(closed)| closed)
        } else {
            Some(closed)
        };
        if let Some(closed) = mine {
            closed.tell(inbox);
        }
    }
    drop(later);
    if let Ok(waiter) = waiter {
        // It has no result, and a panic there was told of there.
        drop(waiter.join());
    }
}

impl Closing {
    fn close(self) -> Closed {
        let choice = self.begun.prompt().choice();
        // A panic, a fault of this program or of where receipts are kept, must not end the thread that all receipts need.
        let close = AssertUnwindSafe(|| {
            let trace_root = self.session.trace_root();
            drop(self.session);
            let outcome = Outcome {
                output: self.output,
                trace_root,
                finish: self.finish,
            };
            self.keeper.close(self.begun, &outcome)
        });
        Closed {
            choice,
            rest: self.rest,
            finish: self.finish,
            receipt: catch_unwind(close).ok(),
            events: self.events,
            seat: self.seat,
        }
    }
}

impl Closed {
    /// Waits for the log if there is something to wait for, tells the client, and gives the seat back.
    fn tell(self, inbox: &Sender<Message>) {
        let logged = self.receipt.map(|kept| {
            let (receipt, wait) = kept?;
            wait.map_or(Ok(()), Wait::finish)?;
            Ok::<_, KeepError>(receipt)
        });
        let event = match logged {
            None => {
                tracing::error!("keeping a receipt panicked; the answer is withdrawn");
                Event::Failed(Trouble::Receipt)
            }
            Some(Ok(receipt)) => Event::Ended(Ended {
                choice: self.choice,
                text: self.rest,
                finish: self.finish,
                receipt,
            }),
            Some(Err(error)) => Event::Failed(told(&error)),
        };
        // A client that has left needs no word, and a speaker that has ended keeps no count.
        self.events.send(event);
        drop(self.seat);
        drop(inbox.send(Message::Closed));
    }
}

fn told(error: &KeepError) -> Trouble {
    if let KeepError::Log(cause) = error
        && cause.is_passing()
    {
        tracing::warn!(cause = crate::chain_of(cause), "an answer is withheld");
        return Trouble::Unlogged;
    }
    tracing::error!(
        cause = crate::chain_of(error),
        "an answer has no receipt and is withdrawn"
    );
    Trouble::Receipt
}
