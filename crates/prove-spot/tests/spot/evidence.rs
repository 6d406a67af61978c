//! Evidence itself under attack: every kind of change is refused, and nothing panics.

use std::sync::Arc;

use credence_claim::{Method as _, MethodError, Part};
use credence_method_spot::{Challenge, Demand, Evidence, Spot, Tree};
use credence_prove_spot::{Carry, Opener};
use credence_testkit::speaking::speaking;

use crate::common::{Claimed, answer, demand, options, spot};

struct Setting {
    claimed: Claimed,
    evidence: Evidence,
    spot: Spot,
}

fn setting(carry: Carry) -> Setting {
    let model = Arc::new(speaking(5));
    let claimed = answer(&model, 8).claim();
    let opener = Opener::new(&model, options()).unwrap();
    let rerun = opener.rerun(&claimed.case()).unwrap();
    let evidence = rerun.evidence(&Challenge::Claim, (8, 1), carry).unwrap();
    Setting {
        claimed,
        evidence,
        spot: spot(&model, demand(8, 1), Challenge::Claim),
    }
}

impl Setting {
    fn check(&self, bytes: &[u8]) -> Result<credence_claim::Finding, MethodError> {
        self.spot.check(&self.claimed.case(), Some(bytes))
    }

    fn refused(&self, evidence: &Evidence, what: &str) {
        let result = self.check(&evidence.encode().unwrap());
        let unconvincing = matches!(
            result,
            Err(MethodError::Malformed {
                part: Part::Evidence,
                ..
            })
        );
        assert!(unconvincing, "{what}: {result:?}");
    }
}

#[test]
fn no_changed_byte_is_accepted() {
    let setting = setting(Carry::Nothing);
    let bytes = setting.evidence.encode().unwrap();
    setting.check(&bytes).unwrap();
    for at in 0..bytes.len() {
        // All bits of the head and of every 13th byte behind it.
        if at > 64 && at % 13 != 0 {
            continue;
        }
        for bit in 0..8 {
            if at > 64 && bit != at % 8 {
                continue;
            }
            let mut other = bytes.clone();
            other[at] ^= 1 << bit;
            assert!(setting.check(&other).is_err(), "byte {at}, bit {bit}");
        }
    }
    for len in (0..bytes.len()).step_by(17) {
        assert!(setting.check(&bytes[..len]).is_err(), "{len}");
    }
    assert!(setting.check(&[bytes.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn cells_that_are_not_opened_are_refused() {
    let setting = setting(Carry::Nothing);
    for at in 0..setting.evidence.trees.len() {
        let mut without = setting.evidence.clone();
        without.trees.remove(at);
        setting.refused(&without, "a tree left out");
        let mut nothing = setting.evidence.clone();
        nothing.trees[at].runs.clear();
        nothing.trees[at].packed.clear();
        nothing.trees[at].values.clear();
        if !setting.evidence.trees[at].runs.is_empty() {
            setting.refused(&nothing, "nothing of a tree opened");
        }
    }
}

#[test]
fn fewer_cells_and_rows_than_asked_for_and_other_forms_are_refused() {
    let setting = setting(Carry::Nothing);
    let with = |change: fn(&mut Evidence), what| {
        let mut other = setting.evidence.clone();
        change(&mut other);
        setting.refused(&other, what);
    };
    with(|e| e.cells = 7, "fewer cells");
    with(|e| e.cells = 9, "more cells than are opened");
    with(|e| e.rows = 0, "no token drawn again");
    with(
        |e| e.form = credence_method_spot::Form::Auditor,
        "another form",
    );
    with(|e| e.trees[1].runs[0].chunks += 1, "more chunks than bytes");
    with(|e| e.trees[1].runs.reverse(), "chunks that do not ascend");
    with(
        |e| e.trees[1].runs[0].chunks = 1 << 31,
        "chunks behind the end",
    );
    with(|e| e.trees[0].packed.push(0), "bytes left over");
    with(
        |e| {
            e.trees[0].values.pop();
        },
        "a chaining value left out",
    );
}

/// More is opened than any check reads: right bytes, but another evidence for the same challenge.
#[test]
fn surplus_openings_are_refused() {
    let model = Arc::new(speaking(5));
    let claimed = answer(&model, 8).claim();
    let opener = Opener::new(&model, options()).unwrap();
    let rerun = opener.rerun(&claimed.case()).unwrap();
    let more = rerun
        .evidence(&Challenge::Claim, (9, 1), Carry::Nothing)
        .unwrap();
    let less = Evidence { cells: 8, ..more };
    let setting = setting(Carry::Nothing);
    if less.trees != setting.evidence.trees {
        setting.refused(&less, "surplus");
    }
}

#[test]
fn a_card_that_is_not_the_models_is_refused() {
    let setting = setting(Carry::Program);
    setting.check(&setting.evidence.encode().unwrap()).unwrap();
    let card = setting.evidence.card.clone().unwrap();
    let stranger = Spot::new(Vec::new(), demand(8, 1), Challenge::Claim).unwrap();
    let case = setting.claimed.case();
    for at in (0..card.len()).step_by(29) {
        let mut other = setting.evidence.clone();
        other.card.as_mut().unwrap()[at] ^= 1;
        setting.refused(&other, "a card with another byte");
        let bytes = other.encode().unwrap();
        assert!(stranger.check(&case, Some(&bytes)).is_err());
    }
}

#[test]
fn an_auditors_bytes_move_the_draws() {
    let setting = setting(Carry::Nothing);
    let model = Arc::new(speaking(5));
    let opener = Opener::new(&model, options()).unwrap();
    let rerun = opener.rerun(&setting.claimed.case()).unwrap();
    let asked = Challenge::Auditor([1; 32]);
    let evidence = rerun.prove(&asked, (8, 1), Carry::Nothing).unwrap();
    let check = |challenge| {
        let spot = spot(&model, demand(8, 1), challenge);
        spot.check(&setting.claimed.case(), Some(&evidence))
    };
    check(asked).unwrap();
    assert!(check(Challenge::Auditor([2; 32])).is_err());
    assert!(Demand::USUAL.cells().is_ok());
    assert_eq!(Tree::ALL.len(), 5);
}
