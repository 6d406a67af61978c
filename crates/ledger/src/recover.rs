//! Reads a log from its objects, once it is sure that they are the log of this key, and all of it.
//!
//! ```text
//! note beside the key ─place─▶ object `place` ─▶ newest checkpoint and record ─▶ right edge ─▶ not behind the note ─▶ index
//! ```
//!
//! What is read is made durable before anything is built on it: that a file can be read does not say that whoever wrote it lived to
//! flush it.
//!
//! It deliberately begins no log where the note tells of one, whatever the objects say.

use std::sync::Arc;

use credence_log::proof::verify_consistency;
use credence_log::sequencer::{Blob, Found, Kind, Recovery, Resumed};
use credence_log::{Checkpoint, Hash};

use crate::driver::Options;
use crate::error::LedgerError;
use crate::head::{Head, HeadError, PlaceId};
use crate::objects::{LogObjects, Newest};
use crate::{prove, rebuild};

/// A log that was read, and where it lies.
pub(crate) struct Recovered {
    pub(crate) resumed: Resumed,
    pub(crate) place: PlaceId,
}

/// Reads the log, and makes the index hold what is published.
pub(crate) fn recover(options: &Options, objects: &LogObjects) -> Result<Recovered, LedgerError> {
    let known = known(options)?;
    let stands = objects.place()?;
    match (&known, stands) {
        (Some(head), None) => {
            return Err(LedgerError::NoPlace {
                expected: head.place,
                size: head.size,
            });
        }
        (Some(head), Some(got)) if head.place != got => {
            return Err(LedgerError::OtherPlace {
                expected: head.place,
                got,
            });
        }
        (Some(_) | None, _) => {}
    }
    let resumed = read(options, objects)?;
    let published = resumed.sequencer.checkpoint().map_or_else(
        || (0, Hash::of_empty_tree()),
        |signed| {
            let (size, root) = signed.unverified().tree();
            (size, *root)
        },
    );
    if let Some(head) = &known {
        let pending = resumed.pending.as_ref().map(|record| &record.checkpoint);
        not_behind(head, objects, published, pending)?;
    }
    rebuild::index(objects, &*options.index, &resumed)?;
    let place = match stands {
        Some(place) => place,
        None => objects.name_place(PlaceId::random()?)?,
    };
    if known.is_none_or(|head| head.size < published.0) {
        options.head.keep(&Head {
            log: options.signer.verifier().clone(),
            place,
            size: published.0,
            root: published.1,
        })?;
    }
    Ok(Recovered { resumed, place })
}

fn known(options: &Options) -> Result<Option<Head>, LedgerError> {
    let known = options.head.load()?;
    let expected = options.signer.verifier();
    match known {
        Some(head) if head.log != *expected => Err(LedgerError::OtherKey {
            expected: Box::new(expected.clone()),
            got: Box::new(head.log),
        }),
        known => Ok(known),
    }
}

fn read(options: &Options, objects: &LogObjects) -> Result<Resumed, LedgerError> {
    // The checkpoint first: whoever publishes meanwhile is seen by its record.
    let checkpoint = objects.newest(Kind::Checkpoint)?;
    let record = objects.newest(Kind::Record)?;
    let found = Found {
        checkpoint: checkpoint
            .as_ref()
            .map(|newest| (newest.number, newest.bytes.clone())),
        record: record.map(|newest| (newest.number, newest.bytes)),
    };
    let recovery = Recovery::new(Arc::clone(&options.signer), options.limits, &found)?;
    let files = recovery
        .reads()
        .iter()
        .map(|name| objects.file(name))
        .collect::<Result<Vec<_>, _>>()?;
    let resumed = recovery.finish(&files)?;
    // A checkpoint that can be read was created after all under it was durable, but may not be so itself.
    if let Some(Newest { name, bytes, .. }) = checkpoint {
        objects.create_same(vec![Blob { name, bytes }])?;
    }
    Ok(resumed)
}

/// Whether the objects have what the key has signed.
fn not_behind(
    head: &Head,
    objects: &LogObjects,
    (size, root): (u64, Hash),
    pending: Option<&Checkpoint>,
) -> Result<(), LedgerError> {
    // The note is kept before the checkpoint, and the record before the note.
    if pending.is_some_and(|pending| pending.tree() == head.tree()) {
        return Ok(());
    }
    if head.size > size {
        return Err(LedgerError::Behind {
            expected: head.size,
            got: pending.map_or(size, Checkpoint::size),
        });
    }
    let proof = if head.size == 0 || head.size == size {
        Vec::new()
    } else {
        prove::consistency(objects, head.size, size)?
    };
    verify_consistency(head.tree(), (size, &root), &proof)
        .map_err(|_| LedgerError::OtherHistory { size: head.size })
}

impl LogObjects {
    /// The name of the place that the log lies in, if it has one yet.
    fn place(&self) -> Result<Option<PlaceId>, LedgerError> {
        let Some(bytes) = self.small("place")? else {
            return Ok(None);
        };
        let text = core::str::from_utf8(&bytes).ok();
        let id = text
            .and_then(|text| text.strip_suffix('\n'))
            .and_then(PlaceId::parse);
        Ok(Some(id.ok_or(HeadError::Place)?))
    }

    /// Gives the place its name; whoever was quicker has named it.
    fn name_place(&self, id: PlaceId) -> Result<PlaceId, LedgerError> {
        let blob = Blob {
            name: "place".to_owned(),
            bytes: format!("{id}\n").into_bytes(),
        };
        if self.create(blob)?.is_none() {
            return Ok(id);
        }
        self.place()?.ok_or_else(|| LedgerError::Missing {
            name: "place".to_owned(),
        })
    }
}
