//! Runs a log: carries a sequencer's plans out on stores.
//!
//! ```text
//! append(digest) ─▶ Pending ◀─────────────────────────────┐ position, checkpoint
//!      │                                                    │
//! log::Sequencer ─Step─▶ Driver::turn ─▶ Objects, Index ────┘      every 250 ms, on a thread of its own
//! proof(digest) ─▶ Index ─▶ tiles, shown right ─▶ LogProof
//! published, cosigned ─▶ the objects `checkpoint` and `cosigned`, replaced
//! ```
//!
//! [`Driver`] has no thread and no clock: a turn takes the time, does one batch and returns. [`Ledger`] gives it both. After any
//! error the driver forgets all it knew, tells whoever waits that the outcome is open, and reads the log from its objects
//! again; appending a digest once more is always safe. What it finds damaged it names, and neither serves nor appends.
//!
//! [`HeadNote`] says beside the key what it has signed last, so that no empty or older place is taken for the log.
//!
//! It deliberately has no network face: who serves the log's files over HTTP reads them from the store.
#![forbid(unsafe_code)]

mod driver;
mod error;
mod folder;
mod head;
mod ledger;
mod objects;
mod pending;
mod prove;
mod rebuild;
mod recover;
mod shown;

pub use driver::{Driver, Options, Published, Turn};
pub use error::LedgerError;
pub use folder::{Folder, lock_folder, open_folder};
pub use head::{Head, HeadError, HeadFile, HeadNote, MemoryHead, PlaceId};
pub use ledger::{Ledger, Schedule};
pub use pending::{Pending, Sequenced, Unsure};
