//! Roots and proofs: known values, every size to 600 against the plain definition, liars, and the second implementation.

use credence_log::Hash;
use credence_log::frontier::{Frontier, FrontierError};
use credence_log::proof::{
    Plan, PlanError, ProofError, TileSet, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

use crate::shared::{leaf, naive_root, tree};

const SIZES: u64 = 600;

/// The inputs and roots of certificate-transparency's reference tests.
const INPUTS: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn roots() -> Vec<Hash> {
    let mut frontier = Frontier::new();
    let mut roots = vec![frontier.root()];
    for at in 0..SIZES {
        frontier.append(leaf(at)).unwrap();
        roots.push(frontier.root());
    }
    roots
}

#[test]
fn known_roots_of_rfc_6962() {
    let mut frontier = Frontier::new();
    for (input, root) in INPUTS.iter().zip(ROOTS) {
        let entry = hex::decode(input).unwrap();
        frontier.append(Hash::of_leaf(&entry)).unwrap();
        assert_eq!(hex::encode(frontier.root().as_bytes()), root);
    }
}

#[test]
fn frontier_and_edge_agree_with_the_definition_at_every_size() {
    let leaves: Vec<_> = (0..SIZES).map(leaf).collect();
    let mut edge = credence_log::Edge::new();
    for (size, root) in (0..=SIZES).zip(roots()) {
        let at = usize::try_from(size).unwrap();
        assert_eq!(root, naive_root(&leaves[..at]), "{size}");
        assert_eq!(edge.root(), root, "{size}");
        let frontier = edge.frontier().unwrap();
        let again = Frontier::from_peaks(size, frontier.peaks().to_vec()).unwrap();
        assert_eq!(again, frontier);
        if size < SIZES {
            assert_eq!(edge.append(leaf(size)), Ok(size));
        }
    }
}

#[test]
fn every_inclusion_at_every_size_and_no_other() {
    let roots = roots();
    let (_, tiles) = tree(SIZES);
    for size in 1..=SIZES {
        let root = &roots[usize::try_from(size).unwrap()];
        // All indices would be 180,000 proofs; these meet every shape.
        let indices = (0..size).filter(|at| at % 7 == size % 7 || at + 3 > size || *at < 2);
        for index in indices {
            let proof = Plan::inclusion(index, size).unwrap().make(&tiles).unwrap();
            let show = |leaf: &Hash, index, size, proof: &[Hash]| {
                verify_inclusion(leaf, index, (size, root), proof)
            };
            assert_eq!(show(&leaf(index), index, size, &proof), Ok(()));
            assert!(show(&leaf(index + 1), index, size, &proof).is_err());
            if index > 0 {
                assert!(show(&leaf(index), index - 1, size, &proof).is_err());
            }
            if let Some((_, short)) = proof.split_last() {
                assert!(show(&leaf(index), index, size, short).is_err());
            }
            let long = [proof.as_slice(), &[leaf(0)]].concat();
            assert!(show(&leaf(index), index, size, &long).is_err());
        }
        assert_eq!(
            verify_inclusion(&leaf(0), size, (size, root), &[]),
            Err(ProofError::Index { index: size, size })
        );
    }
}

#[test]
fn every_consistency_at_every_size_and_no_other() {
    let roots = roots();
    let (_, tiles) = tree(SIZES);
    let at = |size: u64| &roots[usize::try_from(size).unwrap()];
    for new in 1..=SIZES {
        let olds = (0..=new).filter(|old| {
            old % 11 == new % 11 || old + 2 > new || *old < 3 || old.is_power_of_two()
        });
        for old in olds {
            let proof = Plan::consistency(old, new).unwrap().make(&tiles).unwrap();
            assert_eq!(
                verify_consistency((old, at(old)), (new, at(new)), &proof),
                Ok(()),
                "{old} to {new}"
            );
            let liar = leaf(9999);
            assert!(verify_consistency((old, &liar), (new, at(new)), &proof).is_err());
            if old > 0 {
                assert!(verify_consistency((old, at(old)), (new, &liar), &proof).is_err());
            }
            if let Some((_, short)) = proof.split_last() {
                assert!(verify_consistency((old, at(old)), (new, at(new)), short).is_err());
            }
            let long = [proof.as_slice(), &[liar]].concat();
            assert!(verify_consistency((old, at(old)), (new, at(new)), &long).is_err());
        }
    }
}

#[test]
fn every_flipped_bit_of_a_proof_is_refused() {
    let roots = roots();
    let (_, tiles) = tree(SIZES);
    let (index, size) = (300, 599);
    let root = &roots[599];
    let proof = Plan::inclusion(index, size).unwrap().make(&tiles).unwrap();
    for at in 0..proof.len() {
        for bit in 0..256 {
            let mut bytes = *proof[at].as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut liar = proof.clone();
            liar[at] = Hash::from_bytes(bytes);
            let got = verify_inclusion(&leaf(index), index, (size, root), &liar);
            assert!(matches!(got, Err(ProofError::Root { .. })), "{at} {bit}");
        }
    }
}

#[test]
fn trivial_consistency_needs_an_empty_proof_and_the_right_roots() {
    let (empty, a, b) = (Hash::of_empty_tree(), leaf(1), leaf(2));
    let check =
        |old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]| verify_consistency(old, new, proof);
    assert_eq!(check((0, &empty), (5, &a), &[]), Ok(()));
    assert_eq!(check((5, &a), (5, &a), &[]), Ok(()));
    assert_eq!(
        check((0, &empty), (5, &a), &[b]),
        Err(ProofError::Len { got: 1 })
    );
    assert_eq!(
        check((5, &a), (5, &a), &[b]),
        Err(ProofError::Len { got: 1 })
    );
    assert!(matches!(
        check((0, &b), (5, &a), &[]),
        Err(ProofError::OldRoot { .. })
    ));
    assert!(matches!(
        check((5, &a), (5, &b), &[]),
        Err(ProofError::Root { .. })
    ));
    assert_eq!(
        check((6, &a), (5, &a), &[]),
        Err(ProofError::Order { old: 6, new: 5 })
    );
    assert_eq!(
        check((3, &a), (5, &b), &[]),
        Err(ProofError::Len { got: 0 })
    );
}

#[test]
fn limits_hold() {
    let max = credence_log::SIZE_MAX;
    assert_eq!(
        Plan::inclusion(0, max + 1),
        Err(PlanError::Size { size: max + 1 })
    );
    assert_eq!(
        Plan::inclusion(5, 5),
        Err(PlanError::Index { index: 5, size: 5 })
    );
    assert_eq!(
        Plan::consistency(6, 5),
        Err(PlanError::Order { old: 6, new: 5 })
    );
    let plan = Plan::inclusion(max - 1, max).unwrap();
    assert!(plan.tiles().len() <= 8 * 8, "{}", plan.tiles().len());
    assert!(matches!(
        plan.make(&TileSet::new()),
        Err(PlanError::Tile { .. })
    ));
    let peaks = vec![leaf(0); 63];
    let mut full = Frontier::from_peaks(max, peaks.clone()).unwrap();
    assert_eq!(full.append(leaf(1)), Err(FrontierError::Full));
    assert!(matches!(
        Frontier::from_peaks(max - 1, peaks),
        Err(FrontierError::Peaks {
            expected: 62,
            got: 63,
            ..
        })
    ));
    // The deepest proofs end, whatever they hold.
    let root = leaf(7);
    let deep = vec![leaf(3); 63];
    assert!(verify_inclusion(&leaf(0), 0, (u64::MAX, &root), &deep).is_err());
    assert!(verify_consistency((max, &root), (u64::MAX, &root), &deep).is_err());
    assert!(verify_consistency((1, &root), (u64::MAX, &root), &[root; 70]).is_err());
}

/// Hashes as the second implementation reads them.
struct Stored(Vec<tlog_tiles::Hash>);

impl tlog_tiles::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let hashes = indexes
            .iter()
            .map(|at| self.0[usize::try_from(*at).unwrap()]);
        Ok(hashes.collect())
    }
}

#[test]
fn the_second_implementation_makes_the_same_roots_and_proofs() {
    let mut stored = Stored(Vec::new());
    let roots = roots();
    for at in 0..SIZES {
        let hash = tlog_tiles::Hash(*leaf(at).as_bytes());
        let more = tlog_tiles::stored_hashes_for_record_hash(at, hash, &stored).unwrap();
        stored.0.extend(more);
    }
    let (_, tiles) = tree(SIZES);
    let theirs = |hash: &Hash| tlog_tiles::Hash(*hash.as_bytes());
    let ours = |proof: &[tlog_tiles::Hash]| -> Vec<Hash> {
        proof.iter().map(|hash| Hash::from_bytes(hash.0)).collect()
    };
    for size in (1..=SIZES).filter(|size| size % 13 == 0 || *size < 40 || *size > 590) {
        let root = &roots[usize::try_from(size).unwrap()];
        assert_eq!(tlog_tiles::tree_hash(size, &stored).unwrap(), theirs(root));
        for index in (0..size).filter(|at| at % 17 == 0 || at + 2 > size) {
            let made = Plan::inclusion(index, size).unwrap().make(&tiles).unwrap();
            let other = tlog_tiles::prove_record(size, index, &stored).unwrap();
            assert_eq!(made, ours(&other), "{index} in {size}");
            let proof: Vec<_> = made.iter().map(theirs).collect();
            tlog_tiles::check_record(&proof, size, theirs(root), index, theirs(&leaf(index)))
                .unwrap();
        }
        for old in (1..=size).filter(|at| at % 19 == 0 || at + 2 > size || at.is_power_of_two()) {
            let made = Plan::consistency(old, size).unwrap().make(&tiles).unwrap();
            let other = tlog_tiles::prove_tree(size, old, &stored).unwrap();
            assert_eq!(made, ours(&other), "{old} to {size}");
            let proof: Vec<_> = made.iter().map(theirs).collect();
            let old_root = theirs(&roots[usize::try_from(old).unwrap()]);
            tlog_tiles::check_tree(&proof, size, theirs(root), old, old_root).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn no_proof_of_hostile_hashes_shows_anything(
        (index, size) in (any::<u64>(), any::<u64>()),
        hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let proof: Vec<_> = hashes.into_iter().map(Hash::from_bytes).collect();
        let root = leaf(1);
        prop_assert!(verify_inclusion(&leaf(0), index, (size, &root), &proof).is_err());
        prop_assert!(
            verify_consistency((index.max(1), &leaf(0)), (size, &root), &proof).is_err()
        );
    }
}
