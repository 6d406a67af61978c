//! Inclusion proofs from the store's tiles.

use credence_base::ReceiptDigest;
use credence_log::Hash;
use credence_log::log_proof::LogProof;
use credence_log::proof::{Plan, TileSet};
use credence_log::sequencer::{Path, PathError};

use crate::driver::Published;
use crate::error::LedgerError;
use crate::objects::LogObjects;

/// The proof that `digest` stands at `position`, under a published checkpoint.
pub(crate) fn prove(
    objects: &LogObjects,
    digest: ReceiptDigest,
    position: u64,
    published: &Published,
) -> Result<LogProof, LedgerError> {
    let checkpoint = published.checkpoint.unverified();
    let path = Path::new(position, checkpoint.size())?;
    let tiles = path
        .tiles()
        .into_iter()
        .map(|id| objects.tile(id))
        .collect::<Result<Vec<_>, _>>()?;
    let hashes = path.prove(&digest, checkpoint, &tiles)?;
    Ok(LogProof::new(
        position,
        hashes,
        published.checkpoint.clone(),
    )?)
}

/// The consistency proof between two sizes, the newer of which is published. Whoever checks it finds out if a tile of it is damaged.
pub(crate) fn consistency(
    objects: &LogObjects,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, LedgerError> {
    let plan = Plan::consistency(old, new).map_err(PathError::from)?;
    let mut tiles = TileSet::new();
    for id in plan.tiles() {
        tiles.insert(objects.tile(id)?);
    }
    Ok(plan.make(&tiles).map_err(PathError::from)?)
}
