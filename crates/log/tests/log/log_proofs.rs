//! Proofs that travel: round trips, the specification's form, every spoilt bit, and proofs of something else.

use credence_log::log_proof::EXTRA_LEN_MAX;
use credence_log::proof::ProofError;
use credence_log::{LogProof, LogProofError, LogRefusal};
use proptest::prelude::*;

use crate::shared::{CLOCK, NOW, checkpoint, cosigned, entry, flips, policy, proof, witness};

fn good() -> LogProof {
    proof(
        5,
        cosigned(11, &[(&witness(1), NOW - 3), (&witness(2), NOW)]),
    )
}

#[test]
fn a_proof_shows_its_entry_and_no_other() {
    let proof_5 = good();
    let text = proof_5.encode();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 5\n"));
    let read = LogProof::parse(text.as_bytes()).unwrap();
    assert_eq!(read, proof_5);
    let logged = read.verify(&entry(5), &policy(2, 2), CLOCK).unwrap();
    assert_eq!(logged.index(), 5);
    assert_eq!(logged.witnessed().checkpoint().size(), 11);
    assert_eq!(logged.witnessed().by_unix_s(), Some(NOW));
    assert!(matches!(
        read.verify(&entry(6), &policy(2, 2), CLOCK),
        Err(LogProofError::Inclusion(ProofError::Root { .. }))
    ));
    assert!(matches!(
        read.verify(&entry(5), &policy(3, 3), CLOCK),
        Err(LogProofError::Refused(LogRefusal::Quorum { got: 2, .. }))
    ));
}

#[test]
fn the_index_must_be_in_the_checkpoints_tree() {
    let text = good().encode();
    for (index, inclusion) in [("11", true), ("4", true), ("0", true), ("12", true)] {
        let other = text.replace("index 5", &format!("index {index}"));
        let read = LogProof::parse(other.as_bytes()).unwrap();
        let got = read.verify(&entry(5), &policy(2, 2), CLOCK);
        assert_eq!(
            matches!(got, Err(LogProofError::Inclusion(_))),
            inclusion,
            "{index}"
        );
    }
    // A tree of one entry has a proof without hashes.
    let one = proof(0, checkpoint(1));
    assert!(one.encode().contains("index 0\n\nlog.example"));
    assert!(one.verify(&entry(0), &policy(0, 0), CLOCK).is_ok());
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let (bytes, strict) = (good().encode().into_bytes(), policy(2, 2));
    for (bit, flipped) in flips(&bytes) {
        let accepted = LogProof::parse(&flipped)
            .is_ok_and(|read| read.verify(&entry(5), &strict, CLOCK).is_ok());
        assert!(!accepted, "bit {bit}");
    }
    for len in 0..bytes.len() {
        let read = LogProof::parse(&bytes[..len]);
        // What ends after a whole signature line is a proof with fewer cosignatures.
        let accepted = read.is_ok_and(|read| read.verify(&entry(5), &strict, CLOCK).is_ok());
        assert!(!accepted, "{len}");
    }
}

#[test]
fn another_form_is_refused() {
    let text = good().encode();
    let parse = |text: &str| LogProof::parse(text.as_bytes());
    assert_eq!(parse(""), Err(LogProofError::Header));
    assert_eq!(
        parse(&text.replace("@v1", "@v2")),
        Err(LogProofError::Header)
    );
    for index in ["index 05", "index -1", "index", "Index 5", "index 5 "] {
        assert_eq!(
            parse(&text.replacen("index 5", index, 1)),
            Err(LogProofError::Index),
            "{index}"
        );
    }
    assert_eq!(
        parse(&text.replacen("index 5\n", "index 5\nAAAA\n", 1)),
        Err(LogProofError::Hash { at: 0 })
    );
    let hash = text.lines().nth(2).unwrap();
    let many = format!("index 5\n{}", format!("{hash}\n").repeat(64));
    assert_eq!(
        parse(&text.replacen("index 5\n", &many, 1)),
        Err(LogProofError::Hashes)
    );
    assert!(matches!(
        parse(&text.replacen(
            "\n\nlog.example/receipts\n11",
            "\n\nlog.example/receipts\n0x",
            1
        )),
        Err(LogProofError::Checkpoint(_))
    ));
    assert!(matches!(
        parse(&format!("{text}x")),
        Err(LogProofError::Checkpoint(_))
    ));
    assert!(matches!(
        LogProof::parse(&vec![b'a'; 200_000]),
        Err(LogProofError::TooLong { got: 200_000 })
    ));
    assert_eq!(LogProof::parse(&[0xff]), Err(LogProofError::Header));
}

#[test]
fn extra_data_is_carried_and_means_nothing() {
    let text = good().encode();
    let with = |extra: &str| text.replacen("\nindex", &format!("\nextra {extra}\nindex"), 1);
    let read = LogProof::parse(with("AAEC").as_bytes()).unwrap();
    assert_eq!(read.extra(), Some(&[0u8, 1, 2][..]));
    assert_eq!(read.encode(), with("AAEC"));
    assert!(read.verify(&entry(5), &policy(2, 2), CLOCK).is_ok());
    let long = "A".repeat(EXTRA_LEN_MAX.div_ceil(3) * 4 + 4);
    for bad in ["", "AAE", "AAF=", "!!!!", &long] {
        assert_eq!(
            LogProof::parse(with(bad).as_bytes()),
            Err(LogProofError::Extra),
            "{bad}"
        );
    }
}

proptest! {
    #[test]
    fn what_parses_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..60), at in 0usize..900) {
        let mut mixed = good().encode().into_bytes();
        let at = at.min(mixed.len());
        mixed.splice(at..(at + 4).min(mixed.len()), bytes);
        if let Ok(read) = LogProof::parse(&mixed) {
            prop_assert_eq!(read.encode().into_bytes(), mixed);
        }
    }
}
