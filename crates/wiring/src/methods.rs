//! The methods that can check a claim.

use credence_claim::Method;
use credence_method_replay::Replay;

/// Every method this build has. What a method must know, its caller has given it.
#[must_use]
pub fn methods(replay: &Replay) -> [&dyn Method; 1] {
    [replay]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_known() {
        let replay = Replay::without_model();
        let names = methods(&replay).map(|method| method.id().as_str().to_owned());
        assert_eq!(names, ["replay"]);
    }
}
