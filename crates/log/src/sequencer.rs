//! Puts digests in order: a state machine whose inputs are digests, ticks and the results of writes, and whose outputs are
//! the next thing to do.
//!
//! ```text
//! append ─▶ pool ─Tick─▶ Look ─▶ Commit ─▶ Write ─▶ Extend ─▶ Publish ─▶ Acknowledge
//!                        index   record    bundles   index    checkpoint  whoever waits
//!                                          and tiles
//! ```
//!
//! **The record is the commit.** Record `n` holds the batch's digests and the root that comes of them, unsigned. It is
//! created if absent, so of two sequencers one wins, and the other stops before it has written anything else. All that
//! follows is computed from records alone: whoever recovers writes the same bytes again, and a tile never needs to be
//! overwritten. Writing tiles first, as one might, would leave partial tiles of a batch that was never signed under the
//! names that the next batch needs.
//!
//! **The checkpoint is the promise.** Checkpoint `n` is signed and created once every bundle and tile under it is durable. Only then is
//! anything acknowledged. Nobody can ask for a tile that a published checkpoint covers and not find it.
//!
//! The order is Sunlight's (`internal/ctlog`: stage, swap the lock, upload tiles, upload the checkpoint); a numbered
//! object that is created if absent stands for its lock database. Deviations: staging and lock are one object, duplicates
//! are looked up for a whole batch at once, and a clock that goes back stops nothing: times stand still meanwhile.
//!
//! It deliberately does no I/O and reads no clock. After any error it refuses to go on ([`SequencerError::Stopped`]): whether
//! the write landed is for [`Recovery`] to find out, from the objects.

mod machine;
mod names;
mod path;
mod record;
mod recovery;

pub use machine::{Event, Limits, Sequencer, SequencerError, Step, Verdict};
pub use names::{Blob, Kind, NUMBER_MAX, bundle_len_max, numbered, parse_group};
pub use path::{Path, PathError};
pub use record::{RECORD_LEN_MAX, Record, RecordError};
pub use recovery::{Found, Recovery, RecoveryError, Resumed};
