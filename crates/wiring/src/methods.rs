//! The methods that can check a claim.

use credence_claim::Method;
use credence_method_replay::Replay;
use credence_method_snark::Snark;
use credence_method_spot::Spot;

/// Every method this build has. What a method must know (a model; cards, a demand, a challenge), its caller has given it.
#[must_use]
pub fn methods<'a>(replay: &'a Replay, spot: &'a Spot, snark: &'a Snark) -> [&'a dyn Method; 3] {
    [replay, spot, snark]
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_method_spot::{Challenge, Demand};

    #[test]
    fn names_are_distinct_and_known() {
        let replay = Replay::without_model();
        let spot = Spot::new(Vec::new(), Demand::USUAL, Challenge::Claim).unwrap();
        let snark = Snark::without_model();
        let all = methods(&replay, &spot, &snark);
        assert_eq!(
            all.map(|method| method.id().as_str().to_owned()),
            ["replay", "spot", "snark"]
        );
    }
}
