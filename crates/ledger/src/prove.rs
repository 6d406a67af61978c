//! Inclusion proofs from the store's tiles.

use credence_base::ReceiptDigest;
use credence_log::log_proof::LogProof;
use credence_log::proof::{Plan, TileSet, verify_consistency};
use credence_log::sequencer::{Path, PathError};
use credence_log::{Checkpoint, Hash, SignedCheckpoint, TileId};

use crate::error::LedgerError;
use crate::objects::LogObjects;

/// The proof that `digest` stands at `position`, under a published checkpoint.
pub(crate) fn prove(
    objects: &LogObjects,
    digest: ReceiptDigest,
    position: u64,
    published: &SignedCheckpoint,
) -> Result<LogProof, LedgerError> {
    let checkpoint = published.unverified();
    let path = Path::new(position, checkpoint.size())?;
    let tiles = path
        .tiles()
        .into_iter()
        .map(|id| objects.tile(id))
        .collect::<Result<Vec<_>, _>>()?;
    let hashes = path.prove(&digest, checkpoint, &tiles)?;
    Ok(LogProof::new(position, hashes, published.clone())?)
}

/// The consistency proof between two sizes of a published tree, shown right by its root: no hash leaves that it does not vouch for.
pub(crate) fn consistency_of(
    objects: &LogObjects,
    published: &Checkpoint,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, LedgerError> {
    let root = root_of(objects, published, new)?;
    let old_root = make(objects, &Plan::root(old).map_err(PathError::from)?)?;
    let old_root = old_root.first().copied();
    let proof = consistency(objects, old, new)?;
    let old_root = old_root.unwrap_or_else(Hash::of_empty_tree);
    match verify_consistency((old, &old_root), (new, &root), &proof) {
        Ok(()) => Ok(proof),
        Err(_) => Err(unproved(old, new)),
    }
}

/// The root that a published tree had at a size.
fn root_of(objects: &LogObjects, published: &Checkpoint, size: u64) -> Result<Hash, LedgerError> {
    if size == published.size() {
        return Ok(*published.root());
    }
    let root = make(objects, &Plan::root(size).map_err(PathError::from)?)?;
    let root = root.first().copied().unwrap_or_else(Hash::of_empty_tree);
    let proof = consistency(objects, size, published.size())?;
    match verify_consistency((size, &root), published.tree(), &proof) {
        Ok(()) => Ok(root),
        Err(_) => Err(unproved(size, published.size())),
    }
}

fn unproved(old: u64, new: u64) -> LedgerError {
    let mut tiles = std::collections::BTreeSet::new();
    for plan in [Plan::root(old), Plan::consistency(old, new)] {
        tiles.extend(plan.map(|plan| plan.tiles()).unwrap_or_default());
    }
    LedgerError::Unproved {
        old,
        new,
        names: tiles.iter().map(TileId::path).collect(),
    }
}

/// The consistency proof between two sizes, the newer of which is published. Whoever checks it finds out if a tile of it is damaged.
pub(crate) fn consistency(
    objects: &LogObjects,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, LedgerError> {
    make(
        objects,
        &Plan::consistency(old, new).map_err(PathError::from)?,
    )
}

fn make(objects: &LogObjects, plan: &Plan) -> Result<Vec<Hash>, LedgerError> {
    let mut tiles = TileSet::new();
    for id in plan.tiles() {
        tiles.insert(objects.tile(id)?);
    }
    Ok(plan.make(&tiles).map_err(PathError::from)?)
}
