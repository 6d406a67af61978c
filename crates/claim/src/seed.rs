//! The seed that neither side can choose alone.
//!
//! `seed = BLAKE3-derive-key(SEED, nonce ‖ model id ‖ root of the input ‖ root of the parameters)`.
//!
//! It hashes the *roots*, not the commitments: a commitment holds the operator's salt, which the operator could draw
//! again until it liked the seed. The parameters hashed here hold no seed, as [`SeedSource::Derived`] says. A client that
//! draws its nonce at random gets a seed that the operator could not foresee; one that repeats a nonce and a request gets
//! the same draws again.
//!
//! [`SeedSource::Derived`]: crate::SeedSource::Derived

use credence_base::{Digest, ModelId, Nonce, domain};
use credence_commit::tree;

/// What a derived seed depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The client's nonce.
    pub nonce: Nonce,
    /// The model asked.
    pub model: ModelId,
    /// The root of the input.
    pub input_root: Digest,
    /// The root of the parameters, which hold no seed.
    pub params_root: Digest,
}

/// The 32-byte seed of `request`.
#[must_use]
pub fn derive(request: &Request) -> [u8; 32] {
    let Request {
        nonce,
        model,
        input_root,
        params_root,
    } = request;
    let parts = [
        nonce.as_bytes(),
        model.as_bytes(),
        input_root.as_bytes(),
        params_root.as_bytes(),
    ];
    *tree::root_parts(domain::SEED, parts.map(<[u8; 32]>::as_slice)).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_seed_and_every_part_counts() {
        let request = Request {
            nonce: Nonce::from_bytes([1; 32]),
            model: ModelId::from_bytes([2; 32]),
            input_root: Digest::from_bytes([3; 32]),
            params_root: Digest::from_bytes([4; 32]),
        };
        assert_eq!(
            hex::encode(derive(&request)),
            "4a0c55bfa86996ce1990ce7f489727ff779d3f06afcd932972578d2b2d0cd599"
        );
        let others = [
            Request {
                nonce: Nonce::from_bytes([9; 32]),
                ..request
            },
            Request {
                model: ModelId::from_bytes([9; 32]),
                ..request
            },
            Request {
                input_root: Digest::from_bytes([9; 32]),
                ..request
            },
            Request {
                params_root: Digest::from_bytes([9; 32]),
                ..request
            },
        ];
        for other in others {
            assert_ne!(derive(&other), derive(&request));
        }
    }
}
