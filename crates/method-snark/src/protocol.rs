//! The steps that prover and verifier take alike: what is absorbed, which challenges are drawn, and the one linear claim that everything comes to.
//!
//! ```text
//! statement, public values, commitment ─▶ γ, α ─lookup.rs─▶ leaf claims ─▶ points, β ─▶ Claim { functional, sum } ─sumcheck─▶ the commitment at one point
//! ```
//!
//! Specification: `docs/spec/snark.md`, section 5. It deliberately neither proves nor refuses: that is the prover's and `verify.rs`'s to do.

use std::collections::BTreeMap;

use crate::circuit::{Circuit, ONE};
use crate::extension::K;
use crate::functional::{Functional, PullBackError, TIE_VARIABLES, TiePoints, times};
use crate::grid::Grid;
use crate::known::Known;
use crate::lookup::LeafClaims;
use crate::mle::eq_table;
use crate::pairs::{self, Elsewhere, PairClaims};
use crate::pcs::Security;
use crate::rows::{Factors, add_all};
use crate::run::{Publics, weigh_tables};
use crate::transcript::Transcript;
use crate::weights::{Apart, forwards};

/// The protocol's name and version, the first that a transcript absorbs.
const PROTOCOL: &str = "snark/1";

/// The same where weights are committed to.
const PROTOCOL_APART: &str = "snark/1, weights committed";

/// What is proved, apart from public values.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// Everything that the proof is bound to, each with its label: the claim, the operator's key, what is opened.
    pub bound: &'a [(&'a str, &'a [u8])],
    /// The security that is aimed at.
    pub security: Security,
}

/// The challenges of the lookup argument.
#[derive(Debug, Clone, Copy)]
pub struct LookupChallenges {
    /// Compresses tuples.
    pub gamma: K,
    /// Is looked up from: a fraction is `1/(α − value)`.
    pub alpha: K,
}

/// What the arguments before leave to be checked.
#[derive(Debug)]
pub struct Claims {
    /// About lookups and products of one position.
    pub leaves: LeafClaims,
    /// About products of two values.
    pub pairs: PairClaims,
}

/// Weights of committed rows at positions that are weighted by something else than the point over leaves.
#[derive(Debug)]
struct Beside {
    positions: Vec<K>,
    /// Rows and their weights.
    rows: Vec<(usize, K)>,
}

/// A linear claim about the committed values.
#[derive(Debug)]
pub struct LinearClaim {
    /// Weights of committed values of one position.
    rows: Vec<K>,
    /// The point over positions.
    leaves: Grid,
    /// First row of leaves behind the lookups.
    first_entry: usize,
    /// What weights of counts are multiplied by.
    counts: K,
    /// What is weighted at other positions.
    beside: Vec<Beside>,
    /// What the weighted values must sum to.
    pub sum: K,
    /// Maps whose weights were not at hand: what they add stands neither in the weights nor in the sum.
    pub apart: Vec<Apart>,
}

/// Starts the transcript: statement, model, sizes and public values.
#[must_use]
pub fn start(
    statement: &Statement<'_>,
    model: &dyn Known,
    circuit: &Circuit,
    publics: &Publics,
) -> Transcript {
    let protocol = match model.weights() {
        None => PROTOCOL,
        Some(_) => PROTOCOL_APART,
    };
    let mut transcript = Transcript::new(protocol);
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    transcript.absorb_u64("security", statement.security.bits().into());
    transcript.absorb_digest("model", &model.id().digest());
    if let Some(weights) = model.weights() {
        transcript.absorb_digest("weights", &weights.root);
    }
    transcript.absorb_u64("positions", number(circuit.positions));
    if circuit.sampled > 0 {
        transcript.absorb_u64("sampled", number(circuit.sampled));
    }
    transcript.absorb_u64("bound", number(statement.bound.len()));
    for (label, bytes) in statement.bound {
        transcript.absorb_bytes(label, bytes);
    }
    for cells in &publics.inputs {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_le_bytes()).collect();
        transcript.absorb_bytes("encoded input", &bytes);
    }
    transcript.absorb_bytes("public values", &publics.front());
    transcript
}

/// Draws the challenges of the lookup argument, behind the commitment.
pub fn lookup_challenges(transcript: &mut Transcript) -> LookupChallenges {
    // Lookups that are in no table add up to the tables' counts with a chance of at most (leaves · most components) / |K|.
    LookupChallenges {
        gamma: transcript.challenge_k("tuple"),
        alpha: transcript.challenge_k("lookup"),
    }
}

/// Draws what combines all claims, and combines them.
///
/// # Errors
/// [`PullBackError`]: the circuit is not of this model.
pub fn combine(
    circuit: &Circuit,
    model: &dyn Known,
    publics: &Publics,
    challenges: LookupChallenges,
    claims: &Claims,
    transcript: &mut Transcript,
) -> Result<LinearClaim, PullBackError> {
    let Claims {
        leaves: claims,
        pairs,
    } = claims;
    // A wrong equation or tie is right at these points with a chance of at most (coordinates) / |K|.
    let points = TiePoints {
        rows: transcript.challenge_ks("tie rows", TIE_VARIABLES),
        columns: transcript.challenge_ks("tie columns", TIE_VARIABLES),
    };
    let zeros = transcript.challenge_ks("equations", TIE_VARIABLES);
    // Wrong claims cancel with a chance of at most (number of claims) / |K|.
    let batch = transcript.challenge_k("batch");

    let leaves = Grid::new(&claims.point, circuit.log_positions, circuit.positions);
    let (_, point) = claims.point.split_first().unwrap_or((&K::ZERO, &[]));
    let gates = Grid::new(point, circuit.log_positions, circuit.positions);
    let LookupChallenges { gamma, alpha } = challenges;
    let squared = batch * batch;
    let products = [squared, squared * batch, squared * squared];
    let factors = Factors {
        gamma,
        count: batch,
        products,
    };
    let (mut functional, rows) = add_all(circuit, (&leaves, &gates), factors);

    // Denominators: α − value where there is a leaf, 1 where there is none. Numerators: 1 for a lookup, minus its count for an entry.
    let mut scale = batch;
    let ones = rows.all - rows.counted;
    let first_entry = circuit.looked_up.len();
    let entries = || leaves.list(first_entry).take(circuit.entries());
    let entry_weights: K = entries().sum();
    let real = rows.all * leaves.real() + entry_weights;
    let listed = weigh_tables(circuit, entries(), gamma);
    let mut sum = alpha * real + (K::ONE - real) - listed - claims.q;
    sum += scale * (ones * leaves.real() - claims.p);
    let counts = scale;

    for (factor, claim) in products.into_iter().zip(claims.products) {
        scale = factor;
        sum += scale * claim;
    }

    scale *= batch;
    let variables = usize::try_from(crate::circuit::log2_ceil(circuit.zeros.len()));
    let zeros = zeros.get(..variables.unwrap_or(usize::MAX));
    let zeros = zeros.ok_or(PullBackError::Slots)?;
    let weights = eq_table(zeros, scale);
    functional.add_rows(&circuit.zeros, &weights);

    let ties = circuit.steps.iter().filter(|step| step.tied);
    let behind = ties.fold(scale * batch, |scale, _| scale * batch);
    let (claimed, elsewhere) = pairs::combine(circuit, pairs, (behind, batch), &mut functional);
    sum += claimed;
    functional.pull_back(circuit, model, &points, (scale * batch, batch))?;
    sum -= publics.weigh(circuit, &functional, &leaves);
    let (moved, beside) = beside(circuit, &functional, &leaves, elsewhere)?;
    sum -= moved;
    let rows = circuit.committed.iter().map(|&slot| functional.get(slot));
    Ok(LinearClaim {
        rows: rows.collect(),
        first_entry,
        counts,
        beside,
        sum,
        leaves,
        apart: functional.into_apart(),
    })
}

/// What is weighted at other positions, by committed rows; and what that gives of constants.
fn beside(
    circuit: &Circuit,
    functional: &Functional,
    leaves: &Grid,
    elsewhere: [Elsewhere; 2],
) -> Result<(K, Vec<Beside>), PullBackError> {
    let mut sum = K::ZERO;
    let mut all = Vec::new();
    if circuit.pairs.is_empty() && circuit.columns.is_empty() {
        return Ok((sum, all));
    }
    let mut row_of = BTreeMap::new();
    row_of.extend(circuit.committed.iter().copied().zip(0_usize..));
    let row = |slot: u32| row_of.get(&slot).copied().ok_or(PullBackError::Slots);
    for own in elsewhere {
        let rows = own.slots.iter();
        let rows = rows.map(|&(slot, weight)| Ok((row(slot)?, weight)));
        all.push(Beside {
            positions: own.positions,
            rows: rows.collect::<Result<_, PullBackError>>()?,
        });
    }
    let mut columns: Vec<Vec<(usize, K)>> = vec![Vec::new(); circuit.columns.len()];
    let mut ones = vec![K::ZERO; circuit.columns.len()];
    for moved in functional.moved() {
        let at = usize::try_from(moved.column).unwrap_or(usize::MAX);
        if moved.slot == ONE {
            *ones.get_mut(at).ok_or(PullBackError::Slots)? += moved.weight;
        } else {
            let own = columns.get_mut(at).ok_or(PullBackError::Slots)?;
            own.push((row(moved.slot)?, moved.weight));
        }
    }
    for ((column, rows), one) in circuit.columns.iter().zip(columns).zip(ones) {
        let positions = leaves.positions().iter().zip(&column.values);
        let positions: Vec<K> = positions.map(|(p, &value)| times(*p, value)).collect();
        sum += one * positions.iter().copied().sum::<K>();
        all.push(Beside { positions, rows });
    }
    Ok((sum, all))
}

impl LinearClaim {
    /// The weight of every committed value, in order: what a prover sums over. Filled with zeros to `len`.
    #[must_use]
    pub fn weights(&self, circuit: &Circuit, len: usize) -> Vec<K> {
        let width = circuit.width();
        let mut weights = Vec::with_capacity(len);
        for row in &self.rows {
            let start = weights.len();
            weights.extend(self.leaves.positions().iter().map(|p| *row * *p));
            weights.resize(start.saturating_add(width), K::ZERO);
        }
        let entries = self.leaves.list(self.first_entry).take(circuit.entries());
        weights.extend(entries.map(|weight| self.counts * weight));
        weights.resize(len, K::ZERO);
        for own in &self.beside {
            for (row, weight) in &own.rows {
                let start = row.saturating_mul(width);
                let cells = weights.get_mut(start..).unwrap_or_default();
                for (cell, position) in cells.iter_mut().zip(&own.positions) {
                    *cell += *weight * *position;
                }
            }
        }
        weights
    }

    /// What public slots add to the maps that are kept apart: each slot's value, weighted by position, derived slots by those before them.
    #[must_use]
    pub fn public_values(&self, circuit: &Circuit, publics: &Publics) -> Vec<K> {
        let mut values = publics.weighted(circuit, &self.leaves);
        forwards(circuit, &mut values);
        values
    }

    /// What committed slots add to them at a point over the committed values: the weight that the point gives to each slot.
    #[must_use]
    pub fn committed_values(&self, circuit: &Circuit, point: &[K]) -> Vec<K> {
        let grid = Grid::new(point, circuit.log_positions, circuit.positions);
        let ours = self.leaves.positions().iter();
        let positions: K = ours.zip(grid.positions()).map(|(a, b)| *a * *b).sum();
        let mut values = vec![K::ZERO; usize::try_from(circuit.slots).unwrap_or(0)];
        for (&slot, row) in circuit.committed.iter().zip(grid.rows(0)) {
            if let Some(value) = values.get_mut(usize::try_from(slot).unwrap_or(usize::MAX)) {
                *value = row * positions;
            }
        }
        forwards(circuit, &mut values);
        values
    }

    /// The weights' multilinear polynomial at a point over the committed values.
    #[must_use]
    pub fn weights_at(&self, circuit: &Circuit, point: &[K]) -> K {
        let grid = Grid::new(point, circuit.log_positions, circuit.positions);
        let rows: K = grid
            .blocks(self.rows.len())
            .map(|block| {
                let own = self.rows.get(block.first..).unwrap_or_default();
                block.high * K::dot(own, block.low)
            })
            .sum();
        let ours = self.leaves.positions().iter();
        let positions: K = ours.zip(grid.positions()).map(|(a, b)| *a * *b).sum();
        let beside = self.beside_at(&grid);
        let entries = self.leaves.list(self.first_entry).take(circuit.entries());
        let entries: K = entries
            .zip(grid.list(self.rows.len()))
            .map(|(a, b)| a * b)
            .sum();
        rows * positions + self.counts * entries + beside
    }

    fn beside_at(&self, grid: &Grid) -> K {
        if self.beside.is_empty() {
            return K::ZERO;
        }
        let rows: Vec<K> = grid.rows(0).take(self.rows.len()).collect();
        let each = self.beside.iter().map(|own| {
            let weights = own.rows.iter();
            let weights = weights.map(|(row, w)| *w * rows.get(*row).copied().unwrap_or(K::ZERO));
            let weights: K = weights.sum();
            let positions = own.positions.iter().zip(grid.positions());
            weights * positions.map(|(a, b)| *a * *b).sum::<K>()
        });
        each.sum()
    }
}
