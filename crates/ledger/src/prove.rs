//! Inclusion proofs from the store's tiles.

use credence_base::ReceiptDigest;
use credence_log::log_proof::LogProof;
use credence_log::sequencer::Path;

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
