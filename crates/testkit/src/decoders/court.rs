//! Targets of a court: what begins a dispute, what a verdict brings, and what a referee tells of one.

use std::sync::OnceLock;

use credence_base::{ModelId, ReceiptDigest, SigningKey};
use credence_claim::commitment;
use credence_court::{Dossier, Draft, Filing, Notice, Standing};
use credence_dispute::{Party, Reason};
use credence_receipt::{Envelope, Inference, Statement, sign};

use super::Target;
use super::dispute::played;
use super::spot::honest;

/// A filing has one form, and no other than the honest one is signed for its referee; but for the card, which its own digest holds.
pub(super) const FILING: Target = Target {
    name: "court_filing",
    seeds: || {
        let filed = filed();
        let bare = Filing {
            card: Vec::new(),
            ..filed.clone()
        };
        [filed, &bare].map(|own| own.encode().unwrap()).to_vec()
    },
    run: |bytes| {
        let Ok(read) = Filing::decode(bytes) else {
            return false;
        };
        assert_eq!(read.encode().unwrap(), bytes);
        let own = filed();
        if read.check(&referee().public_key()).is_ok() {
            let same = Filing {
                card: own.card.clone(),
                ..read
            };
            assert!(same == *own, "another filing was accepted");
        }
        true
    },
};

/// A dossier has one form.
pub(super) const DOSSIER: Target = Target {
    name: "court_dossier",
    seeds: || {
        let dossier = Dossier {
            receipt: receipt(),
            card: played().player.card_bytes().to_vec(),
            transcript: played().transcript.clone(),
        };
        vec![dossier.encode().unwrap()]
    },
    run: |bytes| {
        let read = Dossier::decode(bytes);
        read.map(|dossier| assert_eq!(dossier.encode().unwrap(), bytes))
            .is_ok()
    },
};

/// A notice is of the dispute of its terms, and comes back as it was.
pub(super) const NOTICE: Target = Target {
    name: "court_notice",
    seeds: || {
        let standings = [
            Standing::Awaiting(Party::Operator, 1_700_000_600),
            Standing::Over(Some(Party::Challenger), Reason::Timeout),
            Standing::Over(None, Reason::Timeout),
        ];
        standings
            .map(|standing| notice(standing).encode().unwrap())
            .to_vec()
    },
    run: |bytes| {
        let Some(read) = Notice::decode(bytes) else {
            return false;
        };
        assert_eq!(read.dispute, read.terms.id());
        assert_eq!(Notice::decode(&read.encode().unwrap()), Some(read));
        true
    },
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn referee() -> SigningKey {
    key(3)
}

fn receipt() -> Envelope {
    let statement = Statement::Inference(Inference {
        claim: honest().claim.clone(),
        operator: honest().operator,
        time_unix_s: 1_700_000_000,
    });
    sign(&statement, &key(1)).unwrap()
}

fn filed() -> &'static Filing {
    static FILED: OnceLock<Filing> = OnceLock::new();
    FILED.get_or_init(|| {
        let input = honest().openings.input.as_ref().unwrap();
        let draft = Draft {
            terms: played().transcript.terms,
            receipt: receipt(),
            input: (input.salt, commitment::input_root(&input.content)),
            card: played().player.card_bytes().to_vec(),
        };
        Filing::sign(draft, &key(2), &referee().public_key())
    })
}

fn notice(standing: Standing) -> Notice {
    let terms = played().transcript.terms;
    Notice {
        dispute: terms.id(),
        terms,
        receipt: ReceiptDigest::from_bytes([4; 32]),
        model: ModelId::from_bytes([5; 32]),
        entries: 7,
        standing,
    }
}
