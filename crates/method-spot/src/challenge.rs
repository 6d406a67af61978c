//! Where the draws of a spot check come from, and how many it takes (`docs/spec/spot.md`, sections 2 and 4).
//!
//! ```text
//! challenge = H(spot-challenge, u8 form ‖ claim digest ‖ what the form adds)      draw i = H(spot-draw, challenge ‖ u8 kind ‖ u32 i)
//! ```
//!
//! Soundness: a draw falls on a wrong cell with the chance f that wrong cells have by weight, each draw for itself, so k draws miss all with chance
//! (1−f)^k. Whoever answers a challenge that follows from the claim can make claims until it likes the draws: that costs it one try of 2^λ for λ bits, which is
//! why the form says its bits. It deliberately draws no randomness itself.

use credence_base::wire::Writer;
use credence_base::{ClaimDigest, Digest, domain};
use credence_commit::tree;

/// Most cells of one check.
pub const CELLS_MAX: u32 = 4096;

/// One, in the unit of shares.
const ONE: u128 = 1_000_000;

/// What the draws depend on beside the claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Nothing: the operator can make claims until it likes the draws.
    Claim,
    /// 32 random bytes that the auditor drew after it had the receipt.
    Auditor([u8; 32]),
    /// The receipt and the cosignatures of the first checkpoint that covers it.
    Checkpoint {
        /// The receipt's digest.
        receipt: Digest,
        /// The cosignatures' bytes, as the checkpoint has them.
        cosignatures: Vec<u8>,
    },
}

/// Which challenge it is, as evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// [`Challenge::Claim`].
    Claim,
    /// [`Challenge::Auditor`].
    Auditor,
    /// [`Challenge::Checkpoint`].
    Checkpoint,
}

impl Form {
    /// Its number in evidence.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Claim => 1,
            Self::Auditor => 2,
            Self::Checkpoint => 3,
        }
    }

    /// The form of that number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Claim),
            2 => Some(Self::Auditor),
            3 => Some(Self::Checkpoint),
            _ => None,
        }
    }
}

impl Challenge {
    /// Its form.
    #[must_use]
    pub const fn form(&self) -> Form {
        match self {
            Self::Claim => Form::Claim,
            Self::Auditor(_) => Form::Auditor,
            Self::Checkpoint { .. } => Form::Checkpoint,
        }
    }

    /// What all draws about a claim come from.
    #[must_use]
    pub fn bind(&self, claim: &ClaimDigest) -> Stream {
        let mut writer = Writer::new();
        writer.u8(self.form().code()).raw(claim.as_bytes());
        match self {
            Self::Claim => {}
            Self::Auditor(random) => {
                writer.raw(random);
            }
            Self::Checkpoint {
                receipt,
                cosignatures,
            } => {
                writer.digest(receipt).raw(cosignatures);
            }
        }
        Stream(tree::root(domain::SPOT_CHALLENGE, &writer.finish()))
    }
}

/// What a draw is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cell, by weight.
    Cell,
    /// A cell at the border of the request.
    Entry,
    /// The position of that cell.
    Position,
    /// A sampled position, whose token is drawn again.
    Row,
    /// A value of the output.
    Output,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Cell => 0,
            Self::Entry => 1,
            Self::Row => 2,
            Self::Output => 3,
            Self::Position => 4,
        }
    }
}

/// Gives draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream(Digest);

impl Stream {
    /// Draw number `index` of a kind: two numbers below 2^128.
    #[must_use]
    pub fn draw(&self, kind: Kind, index: u32) -> [u128; 2] {
        let mut writer = Writer::new();
        writer.digest(&self.0).u8(kind.code()).u32(index);
        let digest = tree::root(domain::SPOT_DRAW, &writer.finish());
        let (mut low, mut high) = ([0; 16], [0; 16]);
        for (at, &byte) in digest.as_bytes().iter().enumerate() {
            let slot = match at.checked_sub(16) {
                None => low.get_mut(at),
                Some(at) => high.get_mut(at),
            };
            if let Some(slot) = slot {
                *slot = byte;
            }
        }
        [u128::from_le_bytes(low), u128::from_le_bytes(high)]
    }
}

/// How sure a check is to be: a run of which a share of `share_ppm` millionths is wrong passes with a chance of at most 2^−`bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// 1 ..= 128.
    pub bits: u32,
    /// 1 ..= 999,999, in millionths of the run's weight.
    pub share_ppm: u32,
    /// How many tokens of a language model's answer are drawn again, at least 1; the last is always among them.
    pub rows: u32,
}

/// A demand that cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DemandError {
    /// A number out of its range.
    #[error("`{name}` of a spot check is {min} to {max}, got {got}")]
    Range {
        /// Which.
        name: &'static str,
        /// Its least value.
        min: u32,
        /// Its greatest.
        max: u32,
        /// The value.
        got: u32,
    },
    /// More cells than a check may have.
    #[error("this takes more than {CELLS_MAX} cells: ask for fewer bits or a larger share")]
    Cells,
}

impl Demand {
    /// 80 bits against a run that is half wrong: 80 cells.
    pub const USUAL: Self = Self {
        bits: 80,
        share_ppm: 500_000,
        rows: 1,
    };

    /// The fewest cells that meet it: the least k with (1 − share)^k ≤ 2^−bits.
    ///
    /// # Errors
    /// [`DemandError`].
    pub fn cells(&self) -> Result<u32, DemandError> {
        let ranges = [
            ("bits", 1, 128, self.bits),
            ("share_ppm", 1, 999_999, self.share_ppm),
            ("rows", 1, 4096, self.rows),
        ];
        let wrong = |&(_, min, max, got): &(&str, u32, u32, u32)| !(min..=max).contains(&got);
        if let Some((name, min, max, got)) = ranges.into_iter().find(wrong) {
            return Err(DemandError::Range {
                name,
                min,
                max,
                got,
            });
        }
        (1..=CELLS_MAX)
            .find(|&cells| bits_of(cells, self.share_ppm) >= self.bits)
            .ok_or(DemandError::Cells)
    }
}

/// The whole bits of (1 − share)^cells, rounded down: a run that is wrong in this share passes with at most 2 to the minus this.
#[must_use]
pub fn bits_of(cells: u32, share_ppm: u32) -> u32 {
    // The chance is at most `chance`·2^−96·2^−bits, with 2^95 < chance ≤ 2^96.
    let top = 1_u128 << 96;
    let (mut chance, mut bits) = (top, 0_u32);
    let left = ONE.saturating_sub(share_ppm.into());
    for _ in 0..cells {
        chance = chance.saturating_mul(left).div_ceil(ONE).max(1);
        while chance <= top >> 1_u32 {
            chance <<= 1_u32;
            bits = bits.saturating_add(1);
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_a_demand_takes() {
        let cells = |bits, share_ppm| {
            Demand {
                bits,
                share_ppm,
                rows: 1,
            }
            .cells()
        };
        // (1 − f)^k ≤ 2^−λ, computed by hand: k = ⌈λ / −log2(1 − f)⌉.
        let cases = [
            (80, 500_000, Ok(80)),
            (128, 500_000, Ok(128)),
            (1, 500_000, Ok(1)),
            (80, 750_000, Ok(40)),
            (80, 100_000, Ok(527)),
            (40, 100_000, Ok(264)),
            (40, 10_000, Ok(2759)),
            (80, 999_999, Ok(5)),
            (80, 1_000, Err(DemandError::Cells)),
        ];
        for (bits, share, expected) in cases {
            assert_eq!(cells(bits, share), expected, "{bits} {share}");
        }
        for (bits, share) in [(0, 500_000), (129, 500_000), (80, 0), (80, 1_000_000)] {
            assert!(matches!(cells(bits, share), Err(DemandError::Range { .. })));
        }
    }

    #[test]
    fn bits_are_never_said_that_are_not_there() {
        for share in [1_000_u32, 90_909, 333_333, 500_000, 900_000] {
            for cells in [1_u32, 7, 64, 80, 500] {
                let exact = -f64::from(cells) * (1.0 - f64::from(share) / 1e6).log2();
                let got = f64::from(bits_of(cells, share));
                assert!(
                    got <= exact + 1e-9 && got > exact - 1.001,
                    "{share} {cells}"
                );
            }
        }
    }

    #[test]
    fn every_part_moves_every_draw() {
        let claim = ClaimDigest::from_bytes([1; 32]);
        let other = ClaimDigest::from_bytes([2; 32]);
        let receipt = Digest::from_bytes([3; 32]);
        let checkpoint = |cosignatures: &[u8]| Challenge::Checkpoint {
            receipt,
            cosignatures: cosignatures.to_vec(),
        };
        let streams = [
            Challenge::Claim.bind(&claim),
            Challenge::Claim.bind(&other),
            Challenge::Auditor([4; 32]).bind(&claim),
            Challenge::Auditor([5; 32]).bind(&claim),
            Challenge::Auditor([4; 32]).bind(&other),
            checkpoint(b"").bind(&claim),
            checkpoint(b"x").bind(&claim),
        ];
        let kinds = [
            Kind::Cell,
            Kind::Entry,
            Kind::Position,
            Kind::Row,
            Kind::Output,
        ];
        let mut seen = std::collections::BTreeSet::new();
        for stream in streams {
            for kind in kinds {
                for index in 0..3 {
                    assert!(seen.insert(stream.draw(kind, index)));
                }
            }
        }
    }

    #[test]
    fn golden_draw() {
        let stream = Challenge::Claim.bind(&ClaimDigest::from_bytes([1; 32]));
        let [first, second] = stream.draw(Kind::Cell, 0);
        assert_eq!((first, second), GOLDEN);
    }

    // Made with another BLAKE3 (Python's), by the recipe of docs/spec/spot.md, section 2.
    const GOLDEN: (u128, u128) = (
        180_420_377_889_364_364_851_203_126_448_202_649_076,
        304_431_880_096_476_237_444_685_651_512_026_808_886,
    );
}
