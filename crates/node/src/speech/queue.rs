//! What has happened to a request's answers, on its way to whoever asked: a queue with an end.
//!
//! Answers whose reader is behind wait ([`Events::has_room`]): no token is drawn for them until some have been read, so that a client that reads slowly holds a bounded queue, and its place
//! only until its connection is given up. What ends an answer always has room: of each answer that is kept free beforehand.

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::speech::answers::Event;

/// Events that wait to be read, beside those that are kept room for.
const EVENTS_MAX: usize = 1024;

/// The end that events are put in.
#[derive(Debug, Clone)]
pub struct Events {
    sender: Sender<Event>,
    /// Room that is kept: for each answer a token of this round, the first token of a prompt that is being read, and the end.
    kept: usize,
}

/// A queue for a request of so many answers.
#[must_use]
pub fn queue(answers: usize) -> (Events, Receiver<Event>) {
    let kept = answers.saturating_mul(3);
    let (sender, receiver) = channel(EVENTS_MAX.saturating_add(kept));
    (Events { sender, kept }, receiver)
}

impl Events {
    /// Whether every answer may go on by a token.
    pub(super) fn has_room(&self) -> bool {
        self.sender.capacity() >= self.kept
    }

    /// Whether nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Tells whoever asked; a client that has left is noticed before the next round.
    pub(super) fn send(&self, event: Event) {
        use tokio::sync::mpsc::error::TrySendError;
        if let Err(TrySendError::Full(event)) = self.sender.try_send(event) {
            tracing::error!(?event, "a client is not told: there is no room kept for it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::answers::Trouble;

    #[test]
    fn a_full_queue_has_room_for_every_end() {
        let (events, mut told) = queue(2);
        let mut sent = 0;
        while events.has_room() {
            events.send(Event::Failed(Trouble::Run));
            sent += 1;
        }
        assert_eq!(sent, EVENTS_MAX + 1);
        for _ in 0..5 {
            events.send(Event::Failed(Trouble::Run));
        }
        assert!(!events.has_room() && !events.is_closed());
        while told.try_recv().is_ok() {
            sent -= 1;
        }
        assert_eq!(sent + 5, 0, "none was lost");
        assert!(events.has_room());
        drop(told);
        assert!(events.is_closed());
    }
}
