//! The third thread of a speaker: it finds which tokens may come next in answers that have a grammar, so that the answers that have none need not wait for it.
//!
//! ```text
//! a token was drawn ─Wanted─▶ Constraint::prepare ─Message::Masked─▶ the answer draws again
//! ```
//!
//! It works on one after the other, in the order of coming: a grammar that is much work delays others that have one, each by one mask at a time, and nobody else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};

use credence_grammar::Constraint;

use crate::speech::schedule::GroupId;
use crate::speech::speaker::Message;

/// What is wanted for one answer.
pub(super) struct Wanted {
    pub(super) group: GroupId,
    pub(super) choice: u32,
    pub(super) constraint: Constraint,
}

/// What was found; no constraint if finding it panicked.
pub(super) struct Masked {
    pub(super) group: GroupId,
    pub(super) choice: u32,
    pub(super) constraint: Option<Constraint>,
}

impl Wanted {
    pub(super) fn find(self) -> Masked {
        let mut constraint = self.constraint;
        let find = AssertUnwindSafe(move || {
            constraint.prepare();
            constraint
        });
        let constraint = catch_unwind(find);
        if constraint.is_err() {
            tracing::error!("following a grammar panicked; the answer is withdrawn");
        }
        Masked {
            group: self.group,
            choice: self.choice,
            constraint: constraint.ok(),
        }
    }
}

/// Finds what comes, until nobody can ask any more.
pub(super) fn run(wanted: &Receiver<Wanted>, inbox: &Sender<Message>) {
    while let Ok(wanted) = wanted.recv() {
        // A speaker that has ended needs none.
        drop(inbox.send(Message::Masked(Box::new(wanted.find()))));
    }
}
