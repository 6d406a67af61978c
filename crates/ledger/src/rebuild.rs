//! The index, from the log's own bundles.

use credence_base::ReceiptDigest;
use credence_log::entry::EntriesId;
use credence_log::sequencer::Resumed;
use credence_store::index::Index;

use crate::error::LedgerError;
use crate::objects::LogObjects;

/// Bundles that go into the index at once.
const BUNDLES: u64 = 256;

/// Makes the index hold exactly what is published. One that is behind is filled; one that holds something else is emptied and
/// filled; one that is ahead says that objects have gone, and is left as it is. The batch that is about to be carried through may be in it already.
pub(crate) fn index(
    objects: &LogObjects,
    index: &dyn Index,
    resumed: &Resumed,
) -> Result<(), LedgerError> {
    let size = resumed.sequencer.size();
    let mut count = index.count()?;
    if count > size && !holds_pending(index, count, resumed)? {
        return Err(LedgerError::IndexAhead {
            expected: size,
            got: count,
        });
    }
    if count > 0 && count <= size && !ends_well(objects, index, size, count)? {
        index.clear()?;
        count = 0;
    }
    while count < size {
        count = extend_some(objects, index, size, count)?;
    }
    Ok(())
}

/// Adds digests to the index, unless they are in it: a batch that is carried through may have got so far before.
pub(crate) fn extend(
    index: &dyn Index,
    start: u64,
    digests: &[ReceiptDigest],
) -> Result<(), LedgerError> {
    let len = u64::try_from(digests.len()).unwrap_or(u64::MAX);
    if index.count()? != start.saturating_add(len) {
        index.extend(start, digests)?;
        return Ok(());
    }
    let known = index.positions(digests)?;
    let expected = (start..).zip(digests).map(|(position, _)| Some(position));
    if known.positions.iter().copied().eq(expected) {
        return Ok(());
    }
    Err(LedgerError::Count {
        expected: start,
        got: known.count,
    })
}

/// Whether what the index has beyond the published entries is the batch that is about to be carried through.
fn holds_pending(index: &dyn Index, count: u64, resumed: &Resumed) -> Result<bool, LedgerError> {
    let Some(record) = &resumed.pending else {
        return Ok(false);
    };
    let known = index.positions(&record.digests)?;
    let expected = (record.start..)
        .zip(&record.digests)
        .map(|(position, _)| Some(position));
    let same = known.positions.iter().copied().eq(expected);
    Ok(record.checkpoint.size() == count && same)
}

/// Whether the last position of the index is that of the log's entry there.
fn ends_well(
    objects: &LogObjects,
    index: &dyn Index,
    size: u64,
    count: u64,
) -> Result<bool, LedgerError> {
    let Some(last) = count.checked_sub(1) else {
        return Ok(true);
    };
    let entries = bundle(objects, last / 256, size)?;
    let place = usize::try_from(last % 256).unwrap_or(usize::MAX);
    let Some(digest) = entries.get(place) else {
        return Ok(false);
    };
    Ok(index.positions(&[*digest])?.positions == [Some(last)])
}

fn extend_some(
    objects: &LogObjects,
    index: &dyn Index,
    size: u64,
    count: u64,
) -> Result<u64, LedgerError> {
    let first = count / 256;
    let last = first.saturating_add(BUNDLES).min(size.div_ceil(256));
    let mut digests = Vec::new();
    for number in first..last {
        digests.extend(bundle(objects, number, size)?);
    }
    let skip = usize::try_from(count % 256).unwrap_or(0);
    let fresh = digests.get(skip..).unwrap_or_default();
    index.extend(count, fresh)?;
    let added = u64::try_from(fresh.len()).unwrap_or(u64::MAX);
    if added == 0 {
        let got = count;
        return Err(LedgerError::Count {
            expected: size,
            got,
        });
    }
    Ok(count.saturating_add(added))
}

fn bundle(objects: &LogObjects, number: u64, size: u64) -> Result<Vec<ReceiptDigest>, LedgerError> {
    match EntriesId::in_tree(number, size) {
        Some(id) => objects.entries(id),
        None => Ok(Vec::new()),
    }
}
