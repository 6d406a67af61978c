//! Asks a witness to cosign the checkpoints of a log made up for the purpose: `ask PREFIX VERIFIER-KEY`, or without arguments prints
//! the log's own verifier key, which the witness must know. Its key is public, so it is good for nothing else.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use credence_base::SigningKey;
use credence_log::proof::{Plan, TileSet};
use credence_log::{Algorithm, Checkpoint, Edge, Hash, KeyName, Signer};
use credence_witness::fetch::Prefix;
use credence_witness::{Ask, Client, Proofs, ProofsError, WitnessAddress};

/// A log whose entries are their own numbers, and from `fork_at` on something else.
struct Toy {
    fork_at: u64,
}

impl Toy {
    fn tree(&self, size: u64) -> Result<(Hash, TileSet), Box<dyn Error + Send + Sync>> {
        let (mut edge, mut tiles) = (Edge::new(), TileSet::new());
        for at in 0..size {
            let entry = if at < self.fork_at { at } else { !at };
            edge.append(Hash::of_leaf(&entry.to_be_bytes()))?;
        }
        let root = edge.root();
        tiles.extend(edge.take_tiles());
        Ok((root, tiles))
    }
}

impl Proofs for Toy {
    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ProofsError> {
        let make = || {
            let (_, tiles) = self.tree(new)?;
            Ok(Plan::consistency(old, new)?.make(&tiles)?)
        };
        make().map_err(|source| ProofsError { old, new, source })
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let name = KeyName::new("toy.example/log")?;
    let log = Signer::new(
        name.clone(),
        Algorithm::Ed25519,
        SigningKey::from_seed(&[1; 32]),
    );
    let mut arguments = std::env::args().skip(1);
    let (Some(prefix), Some(key)) = (arguments.next(), arguments.next()) else {
        println!("{}", log.verifier());
        return Ok(());
    };
    let witness = WitnessAddress {
        key: key.parse()?,
        prefix: Prefix::new(&prefix)?,
    };
    let client = Client::new(vec![witness])?;
    let ask = Ask {
        quorum: 1,
        deadline: Duration::from_secs(5),
        linger: Duration::ZERO,
    };
    for (size, fork_at) in [
        (0, 999),
        (1, 999),
        (7, 999),
        (300, 999),
        (300, 999),
        (513, 999),
        (100, 999),
        (513, 5),
        (600, 5),
        (700, 999),
    ] {
        let toy = Toy { fork_at };
        let (root, _) = toy.tree(size)?;
        let checkpoint = Checkpoint::new(&name, size, root)?.sign(&log)?;
        let proofs: Arc<dyn Proofs> = Arc::new(toy);
        let asked = client.ask(&checkpoint, ask, &proofs)?;
        for (_, outcome) in &asked.outcomes {
            println!("{size} entries, forked at {fork_at}: {outcome:?}");
        }
    }
    Ok(())
}
