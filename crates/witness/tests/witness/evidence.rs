//! Evidence: what shows a lie, what shows none, and bytes that are none.

use credence_log::{Algorithm, Hash};
use credence_witness::{Evidence, EvidenceError, WitnessConfig};
use proptest::prelude::*;

use crate::shared::{History, TRUE, log_signer, signer};

const FORK: History = History {
    fork_at: 3,
    branch: 1,
};

/// Evidence from what `seen` signed at one size and `other` at a larger one.
fn evidence(small: (History, u64), large: (History, u64)) -> Result<Evidence, EvidenceError> {
    let (size, history) = (small.1, large.0);
    Evidence::check(
        log_signer().verifier(),
        &small.0.checkpoint(size),
        &history.checkpoint(large.1),
        history.tree(size).0.root(),
        &history.proof(size, large.1),
    )
}

#[test]
fn two_truths_of_any_two_sizes_are_evidence() {
    for (small, large) in [(5, 5), (4, 9), (5, 8), (256, 300), (5, 700), (8, 16)] {
        for (a, b) in [(TRUE, FORK), (FORK, TRUE)] {
            let found = evidence((a, small), (b, large)).unwrap();
            let text = found.encode();
            assert_eq!(Evidence::parse(text.as_bytes()), Ok(found.clone()));
            assert_eq!(found.equivocation().is_some(), small == large);
        }
        assert_eq!(
            evidence((TRUE, small), (TRUE, large)),
            Err(EvidenceError::Agree)
        );
    }
    // Before the fork both histories say the same.
    assert_eq!(evidence((TRUE, 3), (FORK, 9)), Err(EvidenceError::Agree));
    // One lie of one size has one form, whoever comes first.
    assert_eq!(
        evidence((TRUE, 5), (FORK, 5)),
        evidence((FORK, 5), (TRUE, 5))
    );
}

#[test]
fn an_accuser_cannot_invent_a_lie() {
    let log = log_signer();
    let (small, large) = (TRUE.checkpoint(5), TRUE.checkpoint(9));
    let proof = TRUE.proof(5, 9);
    let check =
        |root: Hash, proof: &[Hash]| Evidence::check(log.verifier(), &small, &large, root, proof);
    let fork = FORK.tree(5).0.root();
    assert!(matches!(check(fork, &proof), Err(EvidenceError::Proof(_))));
    assert!(matches!(
        check(fork, &FORK.proof(5, 9)),
        Err(EvidenceError::Proof(_))
    ));
    assert!(matches!(check(fork, &[]), Err(EvidenceError::Proof(_))));
    for at in 0..proof.len() {
        let mut bent = proof.clone();
        bent[at] = Hash::of_leaf(b"bent");
        assert!(matches!(check(fork, &bent), Err(EvidenceError::Proof(_))));
    }
    // Another key signs what it likes.
    let other = signer("log.example/receipts", Algorithm::Ed25519, 9);
    let forged = Evidence::of_one_size(
        log.verifier(),
        &TRUE.checkpoint(5),
        &FORK.checkpoint_of(&other, 5),
    );
    assert!(matches!(forged, Err(EvidenceError::NotTheLogs { .. })));
    assert!(matches!(
        Evidence::check(log.verifier(), &large, &small, fork, &[]),
        Err(EvidenceError::Order { .. })
    ));
}

#[test]
fn spoilt_bytes_are_refused() {
    let text = evidence((TRUE, 5), (FORK, 9)).unwrap().encode();
    for end in 0..text.len() {
        assert!(Evidence::parse(&text.as_bytes()[..end]).is_err(), "{end}");
    }
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            assert!(Evidence::parse(&bytes).is_err(), "byte {at}, bit {bit}");
        }
    }
    assert!(Evidence::parse(format!("{text}\n").as_bytes()).is_err());
    assert!(Evidence::parse(&vec![b'a'; 1 << 20]).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Evidence::parse(&bytes).is_err());
    }
}

#[test]
fn a_configuration_is_read_or_refused() {
    let log = log_signer().verifier().to_string();
    let good = format!(
        "name = \"w.example\"\nkey = \"k.pem\"\nstate = \"/s\"\nlisten = \"127.0.0.1:0\"\nprefix = \"/a/b\"\nlogs = [\"{log}\"]\n"
    );
    let read = |text: &str| WitnessConfig::parse(text, std::path::Path::new("/etc"));
    let config = read(&good).unwrap();
    assert_eq!(config.key, std::path::Path::new("/etc/k.pem"));
    assert_eq!(config.state, std::path::Path::new("/s"));
    for (from, to) in [
        ("w.example", "w+x"),
        ("/a/b", "/a/{b}"),
        ("/a/b", "a"),
        ("/a/b", "/a/"),
        ("/a/b", "/.."),
        (log.as_str(), "x"),
        ("logs", "log"),
        ("listen", "insecure = true\nlisten"),
        ("127.0.0.1:0", "here"),
    ] {
        assert!(read(&good.replace(from, to)).is_err(), "{from} -> {to}");
    }
    let no_logs = good.replace(&format!("\"{log}\""), "");
    assert!(read(&no_logs).is_err());
}
