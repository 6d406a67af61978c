//! The methods that can check a claim.

use credence_claim::Method;
use credence_method_replay::Replay;
use credence_method_spot::Spot;

/// Every method this build has. What a method must know, its caller has given it.
#[must_use]
pub fn methods(replay: &Replay) -> [&dyn Method; 1] {
    [replay]
}

/// As [`methods`], with spot checks: what a spot check must know (cards, its demand, its challenge), its caller has given it.
#[must_use]
pub fn methods_with_spot<'a>(replay: &'a Replay, spot: &'a Spot) -> [&'a dyn Method; 2] {
    [replay, spot]
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_method_spot::{Challenge, Demand};

    #[test]
    fn names_are_distinct_and_known() {
        let replay = Replay::without_model();
        let names = methods(&replay).map(|method| method.id().as_str().to_owned());
        assert_eq!(names, ["replay"]);
        let spot = Spot::new(Vec::new(), Demand::USUAL, Challenge::Claim).unwrap();
        let all = methods_with_spot(&replay, &spot);
        assert_eq!(
            all.map(|method| method.id().as_str().to_owned()),
            ["replay", "spot"]
        );
    }
}
