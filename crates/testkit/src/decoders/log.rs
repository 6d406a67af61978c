//! Targets of the log's formats: notes, verifier keys, checkpoints, proofs, requests to witnesses, tiles' names, entries.

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::cosignature::cosign;
use credence_log::entry::{self, EntriesId};
use credence_log::proof::{Plan, TileSet};
use credence_log::sequencer::Record;
use credence_log::{
    AddCheckpoint, Algorithm, Checkpoint, Clock, Edge, Hash, KeyName, LogPolicy, LogProof, Note,
    SignedCheckpoint, Signer, Tile, TileId, VerifierKey,
};

use super::Target;

const INDEX: u64 = 4;
const SIZE: u64 = 300;

fn signer(name: &str, algorithm: Algorithm, seed: u8) -> Signer {
    let name = KeyName::new(name).unwrap();
    Signer::new(name, algorithm, SigningKey::from_seed(&[seed; 32]))
}

fn log() -> Signer {
    signer("log.example", Algorithm::Ed25519, 1)
}

fn witness() -> Signer {
    signer("witness.example", Algorithm::CosignatureV1, 2)
}

fn digest(at: u64) -> ReceiptDigest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&at.to_le_bytes());
    ReceiptDigest::from_bytes(bytes)
}

/// A cosigned checkpoint, and the tiles of its tree.
fn checkpoint() -> (SignedCheckpoint, TileSet) {
    let (mut edge, mut tiles) = (Edge::new(), TileSet::new());
    for at in 0..SIZE {
        edge.append(Hash::of_receipt(&digest(at))).unwrap();
    }
    tiles.extend(edge.take_tiles());
    let head = Checkpoint::new(log().verifier().name(), SIZE, edge.root()).unwrap();
    let mut signed = head.sign(&log()).unwrap();
    let line = cosign(&signed, 1_800_000_000, &witness()).unwrap();
    signed.note_mut().add(line).unwrap();
    (signed, tiles)
}

fn proof() -> LogProof {
    let (signed, tiles) = checkpoint();
    let hashes = Plan::inclusion(INDEX, SIZE).unwrap().make(&tiles).unwrap();
    LogProof::new(INDEX, hashes, signed).unwrap()
}

pub(super) const NOTE: Target = Target {
    name: "note",
    seeds: || vec![checkpoint().0.encode().into_bytes()],
    run: |bytes| {
        let read = Note::parse(bytes);
        read.map(|note| assert_eq!(note.encode().as_bytes(), bytes))
            .is_ok()
    },
};

pub(super) const CHECKPOINT: Target = Target {
    name: "checkpoint",
    seeds: || vec![checkpoint().0.encode().into_bytes()],
    run: |bytes| {
        let Ok(read) = SignedCheckpoint::parse(bytes) else {
            return false;
        };
        assert_eq!(read.encode().as_bytes(), bytes);
        if let Ok(shown) = read.verify(log().verifier()) {
            let honest = checkpoint().0;
            assert_eq!(
                shown,
                honest.unverified(),
                "another checkpoint was accepted"
            );
        }
        true
    },
};

pub(super) const VERIFIER_KEY: Target = Target {
    name: "verifier_key",
    seeds: || {
        let keys = [log(), witness()];
        keys.map(|key| key.verifier().to_string().into_bytes())
            .to_vec()
    },
    run: |bytes| {
        let Ok(text) = core::str::from_utf8(bytes) else {
            return false;
        };
        let read = text.parse::<VerifierKey>();
        read.map(|key| assert_eq!(key.to_string(), text)).is_ok()
    },
};

pub(super) const LOG_PROOF: Target = Target {
    name: "log_proof",
    seeds: || vec![proof().encode().into_bytes()],
    run: |bytes| {
        let Ok(read) = LogProof::parse(bytes) else {
            return false;
        };
        assert_eq!(read.encode().as_bytes(), bytes);
        let (logs, witnesses) = (log().verifier().clone(), witness().verifier().clone());
        let policy = LogPolicy::new(vec![logs], vec![witnesses], 1).unwrap();
        let clock = Clock {
            now_unix_s: u64::MAX,
            skew_max_s: 0,
        };
        if let Ok(logged) = read.verify(&digest(INDEX), &policy, clock) {
            assert_eq!(logged.index(), INDEX);
        }
        assert!(read.verify(&digest(SIZE), &policy, clock).is_err());
        true
    },
};

pub(super) const ADD_CHECKPOINT: Target = Target {
    name: "add_checkpoint",
    seeds: || {
        let (signed, tiles) = checkpoint();
        let proof = Plan::consistency(7, SIZE).unwrap().make(&tiles).unwrap();
        let request = AddCheckpoint {
            old_size: 7,
            proof,
            checkpoint: signed,
        };
        vec![request.encode().into_bytes()]
    },
    run: |bytes| {
        let read = AddCheckpoint::parse(bytes);
        read.map(|request| assert_eq!(request.encode().as_bytes(), bytes))
            .is_ok()
    },
};

pub(super) const TILE_PATH: Target = Target {
    name: "tile_path",
    seeds: || {
        let paths = [
            "tile/0/x001/x234/067.p/9",
            "tile/1/000",
            "tile/entries/x001/000.p/255",
        ];
        paths.map(|path| path.as_bytes().to_vec()).to_vec()
    },
    run: |bytes| {
        let Ok(text) = core::str::from_utf8(bytes) else {
            return false;
        };
        let tile = TileId::from_path(text).map(|tile| assert_eq!(tile.path(), text));
        let entries = EntriesId::from_path(text).map(|id| assert_eq!(id.path(), text));
        tile.is_ok() || entries.is_ok()
    },
};

pub(super) const ENTRIES: Target = Target {
    name: "entries",
    seeds: || vec![entry::encode(&[digest(1), digest(2), digest(3)])],
    run: |bytes| {
        let id = EntriesId::new(0, 3).unwrap();
        let read = entry::decode(id, bytes);
        read.map(|entries| assert_eq!(entry::encode(&entries), bytes))
            .is_ok()
    },
};

pub(super) const TILE: Target = Target {
    name: "tile",
    seeds: || {
        let mut edge = Edge::new();
        for at in 0..SIZE {
            edge.append(Hash::of_receipt(&digest(at))).unwrap();
        }
        let mut tiles = edge.take_tiles();
        tiles.retain(|tile| tile.id() == tile_id());
        tiles.iter().map(Tile::encode).collect()
    },
    run: |bytes| {
        let read = Tile::decode(tile_id(), bytes);
        read.map(|tile| assert_eq!(tile.encode(), bytes)).is_ok()
    },
};

/// The last tile of the checkpoint's tree, which is not full.
fn tile_id() -> TileId {
    TileId::new(0, 1, 44).unwrap()
}

pub(super) const RECORD: Target = Target {
    name: "record",
    seeds: || {
        let origin = log().verifier().name().clone();
        let root = Hash::from_bytes([7; 32]);
        let record = Record {
            number: 9,
            time_ms: 1_800_000_000_000,
            start: 40,
            digests: vec![digest(1), digest(2)],
            checkpoint: Checkpoint::new(&origin, 42, root).unwrap(),
        };
        vec![record.encode().unwrap()]
    },
    run: |bytes| {
        let Ok(read) = Record::decode(bytes) else {
            return false;
        };
        // What is of version 1 is written as version 2.
        let again = read.encode().unwrap();
        assert!(again == bytes || again[..8] != bytes[..8]);
        assert_eq!(Record::decode(&again).unwrap(), read);
        true
    },
};
