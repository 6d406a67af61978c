//! What begins a dispute, and what does not.

use credence_court::{ClientError, Filing, FilingError};
use credence_dispute::Terms;

use crate::common::{Court, Lie, NOON, challenger, key, operator, referee, told};

fn status<T: core::fmt::Debug>(refused: Result<T, ClientError>) -> u16 {
    match refused {
        Err(ClientError::Refused { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn filings_have_one_form() {
    let told = told(4, Lie::None, 2);
    let filing = told.filing(NOON);
    let bytes = filing.encode().unwrap();
    assert_eq!(Filing::decode(&bytes).unwrap(), filing);
    filing.check(&referee().public_key()).unwrap();
    for at in 0..bytes.len() {
        assert!(Filing::decode(&bytes[..at]).is_err(), "{at}");
        let mut edited = bytes.clone();
        edited[at] ^= 1 << (at % 8);
        if let Ok(read) = Filing::decode(&edited) {
            assert_eq!(read.encode().unwrap(), edited);
            // The card is the one part that its own digest holds.
            let same_card = read.card == filing.card;
            assert_eq!(read.check(&referee().public_key()).is_err(), same_card);
        }
    }
    assert!(Filing::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn nobody_files_in_anothers_name_or_at_another_referee() {
    let told = told(4, Lie::None, 2);
    let honest = told.filing(NOON);
    let own = referee().public_key();
    assert!(matches!(
        honest.check(&key(9).public_key()),
        Err(FilingError::Signature)
    ));
    let resigned = |terms: Terms| {
        let draft = told.draft(terms, Vec::new());
        Filing::sign(draft, &challenger(), &own).check(&own)
    };
    let other_operator = Terms {
        operator: key(9).public_key(),
        ..honest.terms
    };
    assert!(matches!(
        resigned(other_operator),
        Err(FilingError::Operator)
    ));
    let other_claim = Terms {
        claim: credence_base::ClaimDigest::from_bytes([1; 32]),
        ..honest.terms
    };
    assert!(matches!(resigned(other_claim), Err(FilingError::Claim)));
    let stranger = Terms {
        challenger: key(9).public_key(),
        ..honest.terms
    };
    assert!(matches!(resigned(stranger), Err(FilingError::Signature)));
}

#[test]
fn a_public_receipt_entitles_nobody_to_what_a_dispute_opens() {
    let (court, told) = (Court::new(), told(4, Lie::None, 2));
    let own = referee().public_key();
    let honest = told.draft(told.terms(NOON), told.player.card_bytes().to_vec());
    let (salt, root) = honest.input;
    let zero = credence_base::Salt::from_bytes([0; 32]);
    for input in [
        (zero, root),
        (salt, credence_base::Digest::from_bytes([0; 32])),
    ] {
        let draft = credence_court::Draft {
            input,
            ..honest.clone()
        };
        let filing = Filing::sign(draft, &challenger(), &own);
        assert!(matches!(filing.check(&own), Err(FilingError::Entitled)));
        assert_eq!(status(court.client.file(&filing)), 400);
    }
}

#[test]
fn a_filing_that_comes_again_begins_nothing_new() {
    let (court, told) = (Court::new(), told(4, Lie::Output, 2));
    let filing = told.filing(NOON);
    let first = court.client.file(&filing).unwrap();
    assert_eq!(court.client.file(&filing).unwrap(), first);
    let verdict = told.play(&court, &first);
    court.later(10_000);
    let again = court.client.file(&filing).unwrap();
    assert_eq!(again.dispute, verdict.terms.id());
    assert!(matches!(again.standing, credence_court::Standing::Over(..)));
}

#[test]
fn terms_are_the_referees() {
    let (court, told) = (Court::new(), told(4, Lie::None, 2));
    let own = referee().public_key();
    let file = |terms: Terms, card: Vec<u8>| {
        let filing = Filing::sign(told.draft(terms, card), &challenger(), &own);
        court.client.file(&filing)
    };
    let terms = told.terms(NOON);
    // Without a card the referee cannot know the model.
    assert_eq!(status(file(terms, Vec::new())), 400);
    let card = || told.player.card_bytes().to_vec();
    let other_turn = Terms { turn_s: 1, ..terms };
    assert_eq!(status(file(other_turn, card())), 400);
    for started_unix_s in [0, NOON - 61, NOON + 61, u64::MAX] {
        let dated = Terms {
            started_unix_s,
            ..terms
        };
        assert_eq!(status(file(dated, card())), 400);
    }
    let mut wrong = card();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(status(file(terms, wrong)), 400);
    file(terms, card()).unwrap();
    // By now it does.
    let next = Terms {
        started_unix_s: NOON + 1,
        ..terms
    };
    file(next, Vec::new()).unwrap();
    assert_eq!(operator().public_key(), next.operator);
}

#[test]
fn golden_bytes() {
    let sample = credence_testkit::samples::BUNDLE;
    let bundle = credence_receipt::Bundle::decode(sample, credence_receipt::BUNDLE_LEN_MAX);
    let receipt = bundle.unwrap().receipt().clone();
    let terms = Terms {
        claim: credence_base::ClaimDigest::from_bytes([1; 32]),
        operator: operator().public_key(),
        challenger: challenger().public_key(),
        started_unix_s: NOON,
        turn_s: 600,
    };
    let own = referee().public_key();
    let draft = credence_court::Draft {
        terms,
        receipt,
        input: (
            credence_base::Salt::from_bytes([4; 32]),
            credence_base::Digest::from_bytes([5; 32]),
        ),
        card: vec![7, 8, 9],
    };
    let filing = Filing::sign(draft, &challenger(), &own);
    let bytes = filing.encode().unwrap();
    assert_eq!(hex::encode(&bytes[..110]), GOLDEN_HEAD);
    assert_eq!(hex::encode(&bytes[bytes.len() - 71..]), GOLDEN_TAIL);
    let dispute = credence_base::Digest::from_bytes([6; 32]);
    let pass = credence_court::Pass::sign(&operator(), (&own, Some(&dispute)), NOON);
    assert_eq!(pass.query(), GOLDEN_PASS);
}

// Made with another BLAKE3 and another Ed25519 (Python's), by the words of docs/spec/dispute.md, section 9.
const GOLDEN_HEAD: &str = "010101010101010101010101010101010101010101010101010101010101010101018a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b39400f153650000000058020000";
const GOLDEN_TAIL: &str = "030000000708099262f0da5d3f1de6b87c5c2bea5ae6b2062467f4f46addeabe3253ccc825a78ecf8b289f72bcd1f831afd59f9d90ff212eb74f27ac96f4b3a036f07b232be903";
const GOLDEN_PASS: &str = "key=8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c&time=1700000000&signature=cade5697b951d243a32d43a21a5944a484881d069a9cd0f896b1623ee4c255f33f1249517ab81eda95ce22af8789836475d9ad885b4d87e1863481503bd0a40b";
