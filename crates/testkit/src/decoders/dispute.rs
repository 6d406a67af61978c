//! Targets of disputes: what a party says, and a whole transcript before the referee.

use std::sync::OnceLock;

use credence_base::SigningKey;
use credence_claim::Case;
use credence_dispute::{
    Body, Entry, Party, Question, Referee, Status, Sums, Terms, Transcript, TreeOpening, Verdict,
    sign,
};
use credence_exact::NodeId;
use credence_method_spot::Cell;
use credence_prove_dispute::{Operator, Player};

use super::Target;
use super::spot::{Honest, honest, options};

const NOON: u64 = 1_700_000_000;

pub(super) const MESSAGE: Target = Target {
    name: "dispute_message",
    seeds: || {
        let bodies = played().bodies.iter();
        bodies.map(|body| body.encode().unwrap()).collect()
    },
    run: |bytes| {
        let read = Body::decode(bytes);
        read.map(|body| assert_eq!(body.encode().unwrap(), bytes))
            .is_ok()
    },
};

/// A transcript has one form, and no other leads to the honest verdict.
pub(super) const TRANSCRIPT: Target = Target {
    name: "dispute_transcript",
    seeds: || vec![played().transcript.encode().unwrap()],
    run: |bytes| {
        let Ok(read) = Transcript::decode(bytes) else {
            return false;
        };
        assert_eq!(read.encode().unwrap(), bytes);
        let own = played();
        if let Ok(verdict) = read.check(own.player.card(), &honest().claim) {
            assert_eq!(verdict == own.verdict, read == own.transcript);
        }
        true
    },
};

pub(super) struct Played {
    pub(super) player: Player,
    pub(super) transcript: Transcript,
    verdict: Verdict,
    bodies: Vec<Body>,
}

pub(super) fn played() -> &'static Played {
    static PLAYED: OnceLock<Played> = OnceLock::new();
    PLAYED.get_or_init(|| play(honest()))
}

/// A challenge of what is right, to its end: an honest operator, and a challenger that names the first of everything.
fn play(honest: &Honest) -> Played {
    let player = Player::new(&honest.model, options()).unwrap();
    let case = Case::check(&honest.claim, &honest.operator, &honest.openings).unwrap();
    let sections = player.rerun(&case).unwrap();
    let keys = [1, 2].map(|seed| SigningKey::from_seed(&[seed; 32]));
    let terms = Terms {
        claim: honest.claim.digest(),
        operator: honest.operator,
        challenger: keys[1].public_key(),
        started_unix_s: NOON,
        turn_s: 600,
    };
    let run = (player.weights(), &sections);
    let operator = Operator::new(&honest.openings, false, run).unwrap();
    let mut referee = Referee::new(player.card(), &honest.claim, terms).unwrap();
    let (mut entries, mut bodies): (Vec<Entry>, _) = (Vec::new(), Vec::new());
    let verdict = loop {
        let question = match referee.status() {
            Status::Over(verdict) => break verdict,
            Status::Awaiting { question, .. } => question,
        };
        let (key, party, body) = match question.party() {
            Party::Operator => {
                let body = operator.answer(&referee).unwrap().unwrap();
                (&keys[0], Party::Operator, body)
            }
            Party::Challenger => (&keys[1], Party::Challenger, first(question)),
        };
        let message = sign(key, referee.head(), party, &body.encode().unwrap());
        bodies.push(body);
        entries.extend(referee.step(Some(&message), NOON).unwrap());
    };
    let reads = bodies.iter().find_map(|body| match body {
        Body::Reads(trees) => Some(trees.clone()),
        _ => None,
    });
    bodies.extend(others(reads.unwrap()));
    drop(referee);
    Played {
        transcript: Transcript { terms, entries },
        verdict,
        bodies,
        player,
    }
}

fn first(question: &Question) -> Body {
    match question {
        Question::Accuse => Body::Section(0),
        Question::Child(_) => Body::Child(0),
        Question::Byte { .. } => Body::Byte(0),
        _ => Body::Concede,
    }
}

/// What is not said in this dispute.
fn others(reads: Vec<TreeOpening>) -> Vec<Body> {
    let sums = Sums {
        count: 256,
        by_top_k: 1 << 40,
        by_top_p: 1 << 39,
        kept: 7,
    };
    let weights = |last_top_k| Body::Weights {
        likeliest: 3,
        last_top_k,
        last_top_p: 9,
        sums: vec![sums, Sums::default()],
        reads: reads.clone(),
    };
    vec![
        Body::Cell(Cell {
            position: 5,
            node: NodeId(6),
            index: 7,
        }),
        Body::Greedier {
            index: 1,
            better: 2,
        },
        Body::Draw(3),
        weights(None),
        weights(Some(8)),
        Body::Heavier(4),
        Body::Block(5),
        Body::Output { output: 6, at: 7 },
        Body::Concede,
    ]
}
