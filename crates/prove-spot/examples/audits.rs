//! Audits one honest answer again and again, each time by fresh randomness: not one may raise an alarm.
//!
//! `cargo run --release -p credence-prove-spot --example audits -- [audits]`; CI makes 2,000 of them in a test. It deliberately stops at the first alarm.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints what it did, and stops where something fails"
)]

use std::sync::Arc;

use credence_claim::Method as _;
use credence_method_spot::{Card, Challenge, Spot};
use credence_prove_spot::{Carry, Opener};
use credence_testkit::program_gen::Choices;
use credence_testkit::speaking::speaking;

#[path = "../tests/spot/common.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod common;

fn main() {
    let audits = std::env::args()
        .nth(1)
        .map_or(10_000, |text| text.parse().unwrap());
    for seed in 0..4 {
        let model = Arc::new(speaking(seed));
        let claimed = common::answer(&model, 30).claim();
        let opener = Opener::new(&model, common::options()).unwrap();
        let rerun = opener.rerun(&claimed.case()).unwrap();
        let card = opener.card(false).unwrap();
        let mut choices = Choices::new(seed);
        for _ in 0..audits / 4 {
            let random = core::array::from_fn(|_| u8::try_from(choices.size(0, 255)).unwrap());
            let challenge = Challenge::Auditor(random);
            let evidence = rerun.prove(&challenge, (16, 2), Carry::Nothing).unwrap();
            let card = Card::decode(model.id(), &card).unwrap();
            let spot = Spot::new(vec![card], common::demand(16, 2), challenge).unwrap();
            spot.check(&claimed.case(), Some(&evidence)).unwrap();
        }
        println!("model {seed}: {} audits, no alarm", audits / 4);
    }
}
