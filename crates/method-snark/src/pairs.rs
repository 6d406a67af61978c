//! Products of two values, checked by one sumcheck for all of a run (Thaler, CRYPTO 2013, section 5).
//!
//! ```text
//! points over heads, rows, columns, positions ─▶ Σ_i λ^i·y_i = Σ_x Σ_i λ^i·W_i(x)·A_i(x)·B_i(x) ──rounds──▶ r, and each A_i(r), B_i(r): claims about operands
//! ```
//!
//! A product's x are its heads, what it sums over and, if both operands are of one position, the position. Shorter ones stand at the end of the point: the coordinates before theirs weigh them by
//! `1 − r`. Operands are read at three weightings of positions: the point of the lookup argument, the point over keys, and the last coordinates of r. It deliberately proves nothing:
//! claims about operands are part of the one linear claim.

use crate::circuit::Circuit;
use crate::circuit::log2_ceil;
use crate::circuit::pairs::{Kind, Pair};
use crate::extension::K;
use crate::functional::Functional;
use crate::mle::{eq, eq_table};
use crate::reader::{ReadError, Reader};
use crate::sumcheck::{self, SumcheckError};
use crate::transcript::Transcript;

/// The degree of the sumcheck.
pub const DEGREE: usize = 3;

/// Coordinates of a point over heads, rows or columns of any product.
pub const VARIABLES: usize = 32;

/// Why products of two values are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The claims cannot be read.
    #[error("the claims about products of two values cannot be read: send a proof that is whole")]
    Read(#[from] ReadError),
    /// A round cannot be read.
    #[error("the sumcheck of products of two values is refused")]
    Sumcheck(#[from] SumcheckError),
    /// The operands do not give the results.
    #[error("the products of two values are not those of their operands")]
    Products,
}

/// The random points at which products are compared.
#[derive(Debug, Clone, Default)]
pub struct PairPoints {
    /// Over heads, or matrices.
    pub outer: Vec<K>,
    /// Over rows.
    pub rows: Vec<K>,
    /// Over columns that are no positions.
    pub columns: Vec<K>,
    /// Over positions that are columns.
    pub keys: Vec<K>,
    /// Over positions: of the lookup argument.
    pub positions: Vec<K>,
    /// Joins the products.
    pub lambda: K,
}

/// What is left to be checked of a run's products.
#[derive(Debug, Clone, Default)]
pub struct PairClaims {
    /// The points.
    pub points: PairPoints,
    /// What the results sum to.
    pub sum: K,
    /// Where the operands are evaluated.
    pub at: Vec<K>,
    /// The two operands of each product there.
    pub values: Vec<[K; 2]>,
}

/// Weights of slots at other positions than the point of the lookup argument.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    /// Weights of positions.
    pub positions: Vec<K>,
    /// Slots, all of them committed, and their weights.
    pub slots: Vec<(u32, K)>,
}

fn variables(len: usize) -> usize {
    usize::try_from(log2_ceil(len)).unwrap_or(usize::MAX)
}

/// The first `len` of `eq(point, ·)`, over as many coordinates as `len` needs.
#[must_use]
pub fn some_of(point: &[K], len: usize) -> Vec<K> {
    let mut table = eq_table(point.get(..variables(len)).unwrap_or_default(), K::ONE);
    table.truncate(len);
    table
}

/// How many variables a product's sum has: heads, what is summed over, positions.
#[must_use]
pub fn sizes(pair: &Pair, circuit: &Circuit) -> [usize; 3] {
    let log = usize::try_from(circuit.log_positions).unwrap_or(usize::MAX);
    match pair.kind {
        Kind::Within => [variables(pair.outer), variables(pair.inner), log],
        Kind::Keys => [variables(pair.outer), variables(pair.inner), 0],
        Kind::Mix => [variables(pair.outer), log, 0],
    }
}

/// The variables of the sumcheck of all products.
#[must_use]
pub fn rounds(circuit: &Circuit) -> usize {
    let all = circuit.pairs.iter();
    let all = all.map(|pair| {
        sizes(pair, circuit)
            .into_iter()
            .fold(0, usize::saturating_add)
    });
    all.max().unwrap_or(0)
}

/// Draws the points behind the lookup argument, whose point over positions is the last.
pub fn points(circuit: &Circuit, leaves: &[K], transcript: &mut Transcript) -> PairPoints {
    let log = usize::try_from(circuit.log_positions).unwrap_or(usize::MAX);
    let positions = leaves.get(leaves.len().saturating_sub(log)..);
    // A wrong product is right at these points with a chance of at most (coordinates) / |K|, and products cancel with one of at most (their number) / |K|.
    PairPoints {
        outer: transcript.challenge_ks("pair heads", VARIABLES),
        rows: transcript.challenge_ks("pair rows", VARIABLES),
        columns: transcript.challenge_ks("pair columns", VARIABLES),
        keys: transcript.challenge_ks("pair keys", log),
        positions: positions.unwrap_or_default().to_vec(),
        lambda: transcript.challenge_k("pairs"),
    }
}

/// Absorbs what the results sum to.
pub fn absorb_sum(sum: K, transcript: &mut Transcript) {
    transcript.absorb_k("pair sum", sum);
}

/// Absorbs the operands' values.
pub fn absorb_values(values: &[[K; 2]], transcript: &mut Transcript) {
    transcript.absorb_ks("pair values", values.as_flattened());
}

/// Follows the argument; nothing is read if there are no products.
///
/// # Errors
/// [`PairError`].
pub fn verify(
    circuit: &Circuit,
    leaves: &[K],
    reader: &mut Reader<'_>,
    transcript: &mut Transcript,
) -> Result<PairClaims, PairError> {
    if circuit.pairs.is_empty() {
        return Ok(PairClaims::default());
    }
    let points = points(circuit, leaves, transcript);
    let sum = reader.k()?;
    absorb_sum(sum, transcript);
    let rounds = rounds(circuit);
    let reduced = sumcheck::verify(rounds, DEGREE, sum, reader, transcript)?;
    let mut values = Vec::new();
    let mut total = K::ZERO;
    let mut scale = K::ONE;
    for pair in &circuit.pairs {
        let own @ [a, b] = [reader.k()?, reader.k()?];
        let (asleep, at) = split(&reduced.point, sizes(pair, circuit));
        let weight = weight(pair, &points, at);
        total += scale * asleep * weight * a * b;
        scale *= points.lambda;
        values.push(own);
    }
    if total != reduced.value {
        return Err(PairError::Products);
    }
    absorb_values(&values, transcript);
    Ok(PairClaims {
        points,
        sum,
        at: reduced.point,
        values,
    })
}

/// What the coordinates before a product's weigh it by, and its own: heads, sums, positions.
fn split(point: &[K], sizes: [usize; 3]) -> (K, [&[K]; 3]) {
    let own = sizes.into_iter().fold(0, usize::saturating_add);
    let before = point.len().saturating_sub(own);
    let (asleep, own) = point.split_at_checked(before).unwrap_or((point, &[]));
    let [outer, inner, _] = sizes;
    let (outer, rest) = own.split_at_checked(outer).unwrap_or((own, &[]));
    let (inner, positions) = rest.split_at_checked(inner).unwrap_or((rest, &[]));
    let asleep = asleep.iter().map(|r| K::ONE - *r).product();
    (asleep, [outer, inner, positions])
}

/// `W(r)`.
fn weight(pair: &Pair, points: &PairPoints, [outer, _, positions]: [&[K]; 3]) -> K {
    let heads = eq(&points.outer, outer);
    match pair.kind {
        Kind::Within => heads * eq(&points.positions, positions),
        Kind::Keys | Kind::Mix => heads,
    }
}

/// For each group, the sum of the weights of its heads.
fn grouped(pair: &Pair, heads: &[K]) -> Vec<K> {
    let mut groups = vec![K::ZERO; pair.groups];
    for (head, weight) in heads.iter().enumerate() {
        if let Some(own) = groups.get_mut(pair.group(head)) {
            *own += *weight;
        }
    }
    groups
}

/// The weights of cells whose index counts through three axes.
fn outer_product<'w>(
    first: &'w [K],
    second: &'w [K],
    third: &'w [K],
    scale: K,
) -> impl Iterator<Item = K> + 'w {
    first.iter().flat_map(move |a| {
        let a = *a * scale;
        second.iter().flat_map(move |b| {
            let b = a * *b;
            third.iter().map(move |c| b * *c)
        })
    })
}

/// Adds all claims to the functional, joined by powers of `batch` from `first` on; gives the sum of what they claim, and what is read at other positions.
pub fn combine(
    circuit: &Circuit,
    claims: &PairClaims,
    (first, batch): (K, K),
    functional: &mut Functional,
) -> (K, [Elsewhere; 2]) {
    let log = usize::try_from(circuit.log_positions).unwrap_or(usize::MAX);
    let last = claims.at.get(claims.at.len().saturating_sub(log)..);
    let [mut keys, mut values] =
        [claims.points.keys.as_slice(), last.unwrap_or_default()].map(|point| Elsewhere {
            positions: some_of(point, circuit.positions),
            slots: Vec::new(),
        });
    if circuit.pairs.is_empty() {
        return (K::ZERO, [keys, values]);
    }
    let mut sum = first * claims.sum;
    let (mut result, mut scale) = (first, first);
    let one = [K::ONE];
    for (pair, [a, b]) in circuit.pairs.iter().zip(&claims.values) {
        let points = &claims.points;
        let heads = some_of(&points.outer, pair.outer);
        let columns = match pair.kind {
            Kind::Within | Kind::Mix => some_of(&points.columns, pair.columns),
            Kind::Keys => some_of(&points.keys, pair.columns),
        };
        let rows = some_of(&points.rows, pair.rows);
        let weights = outer_product(&heads, &rows, &columns, result);
        for (slot, weight) in (pair.y.start..).zip(weights) {
            functional.add(slot, weight);
        }
        result *= points.lambda;
        let (_, [outer, inner, _]) = split(&claims.at, sizes(pair, circuit));
        let heads = some_of(outer, pair.outer);
        let inner = some_of(inner, pair.inner);
        scale *= batch;
        sum += scale * *a;
        let weights = outer_product(&heads, &rows, &inner, scale);
        let weights = pair.a.iter().copied().zip(weights);
        match pair.kind {
            Kind::Within => values.slots.extend(weights),
            Kind::Keys | Kind::Mix => {
                weights.for_each(|(slot, weight)| functional.add(slot, weight))
            }
        }
        scale *= batch;
        sum += scale * *b;
        let groups = grouped(pair, &heads);
        let second = pair.b.iter().copied();
        match pair.kind {
            Kind::Within => {
                let weights = outer_product(&groups, &inner, &columns, scale);
                values.slots.extend(second.zip(weights));
            }
            Kind::Keys => {
                let weights = outer_product(&groups, &one, &inner, scale);
                keys.slots.extend(second.zip(weights));
            }
            Kind::Mix => {
                let weights = outer_product(&groups, &one, &columns, scale);
                values.slots.extend(second.zip(weights));
            }
        }
    }
    (sum, [keys, values])
}
