//! All lookups and products of a run in one argument: a sum of fractions, layer by layer (Papini and Haböck, eprint 2023/1284; Thaler's GKR for products of sums).
//!
//! ```text
//! Σ over lookups of 1/(α − value) = Σ over tables of count/(α − entry)
//! layer k has 2^k fractions p/q, each the sum of fractions i and i + 2^k of layer k+1;  layer 0 is 0/q, q ≠ 0;  the last layer is the lookups, the tables and 0/1
//! ```
//!
//! One sumcheck a layer leads from a claim about p and q at a point to one about the next layer's. The last one also proves the products `A·B − C = 0`, at the point that the layers before it
//! drew, so that all claims about values of the run are at the same positions. Deviations from the paper: fractions are paired by the highest bit, not by the lowest. It deliberately does not know
//! what the leaves are: its caller compares p and q at the last point with them.

use crate::extension::K;
use crate::mle::eq;
use crate::reader::{ReadError, Reader};
use crate::sumcheck::{self, SumcheckError};
use crate::transcript::Transcript;

/// The degree of a layer's sumcheck.
pub const DEGREE: usize = 3;

/// Why the argument is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The proof cannot be read.
    #[error("the claims of layer {layer} cannot be read: send a proof that is whole")]
    Read {
        /// The layer, from 0.
        layer: u32,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The sum of all fractions is not 0: something is looked up that is in no table, or counted wrongly.
    #[error("the lookups do not add up to the counted entries of their tables")]
    Sum,
    /// The sum's denominator is 0, so it is no fraction.
    #[error("the sum of all lookups has denominator 0")]
    Denominator,
    /// A round cannot be read.
    #[error("the sumcheck of layer {layer} is refused")]
    Sumcheck {
        /// The layer, from 0.
        layer: u32,
        /// Why.
        #[source]
        source: SumcheckError,
    },
    /// A layer is not the sum of the next one's fractions, or a product does not hold.
    #[error("layer {layer} of {layers} does not follow from the next: {what}")]
    Layer {
        /// The layer, from 0.
        layer: u32,
        /// How many there are.
        layers: u32,
        /// What was to follow.
        what: &'static str,
    },
}

/// What is left to be checked against the leaves and the products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafClaims {
    /// A point over all leaves.
    pub point: Vec<K>,
    /// Numerators there.
    pub p: K,
    /// Denominators there.
    pub q: K,
    /// A, B and C of the products at the point without its first coordinate; 0 where there are none.
    pub products: [K; 3],
}

/// The two halves of a layer at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halves {
    /// Numerators of the halves.
    pub p: [K; 2],
    /// Denominators of the halves.
    pub q: [K; 2],
}

impl Halves {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        let [p0, p1, q0, q1] = [reader.k()?, reader.k()?, reader.k()?, reader.k()?];
        Ok(Self {
            p: [p0, p1],
            q: [q0, q1],
        })
    }

    /// In the order of the proof.
    #[must_use]
    pub const fn all(&self) -> [K; 4] {
        let Self {
            p: [p0, p1],
            q: [q0, q1],
        } = *self;
        [p0, p1, q0, q1]
    }

    /// The sum of both fractions: numerator and denominator.
    #[must_use]
    pub fn sum(&self) -> (K, K) {
        let [p0, p1, q0, q1] = self.all();
        (p0 * q1 + p1 * q0, q0 * q1)
    }

    /// Both at a value of the highest coordinate.
    #[must_use]
    pub fn at(&self, coordinate: K) -> (K, K) {
        let [p0, p1, q0, q1] = self.all();
        (p0 + coordinate * (p1 - p0), q0 + coordinate * (q1 - q0))
    }
}

/// Follows the argument over `2^log_leaves` leaves, at least 4. `products` says whether there are any.
///
/// # Errors
/// [`LookupError`].
pub fn verify(
    log_leaves: u32,
    products: bool,
    reader: &mut Reader<'_>,
    transcript: &mut Transcript,
) -> Result<LeafClaims, LookupError> {
    let read = |layer| move |source| LookupError::Read { layer, source };
    let halves = Halves::read(reader).map_err(read(0))?;
    let (sum, denominator) = halves.sum();
    if sum != K::ZERO {
        return Err(LookupError::Sum);
    }
    if denominator == K::ZERO {
        return Err(LookupError::Denominator);
    }
    transcript.absorb_ks("lookup layer", &halves.all());
    let coordinate = transcript.challenge_k("lookup half");
    let (p, q) = halves.at(coordinate);
    let mut claims = LeafClaims {
        point: vec![coordinate],
        p,
        q,
        products: [K::ZERO; 3],
    };
    for layer in 1..log_leaves {
        let last = layer.saturating_add(1) == log_leaves && products;
        // Two claims become one with a chance of at most 1/|K| to hide a wrong one; the products are one more.
        let mix = transcript.challenge_k("lookup mix");
        let weigh = if last {
            transcript.challenge_k("products")
        } else {
            K::ZERO
        };
        let claim = claims.p + mix * claims.q;
        let rounds = claims.point.len();
        let reduced = sumcheck::verify(rounds, DEGREE, claim, reader, transcript)
            .map_err(|source| LookupError::Sumcheck { layer, source })?;
        let halves = Halves::read(reader).map_err(read(layer))?;
        if last {
            claims.products = [
                reader.k().map_err(read(layer))?,
                reader.k().map_err(read(layer))?,
                reader.k().map_err(read(layer))?,
            ];
        }
        let [a, b, c] = claims.products;
        let (sum, denominator) = halves.sum();
        let all = sum + mix * denominator + weigh * (a * b - c);
        if eq(&claims.point, &reduced.point) * all != reduced.value {
            return Err(LookupError::Layer {
                layer,
                layers: log_leaves,
                what: if last {
                    "its sums, and the products of the run"
                } else {
                    "its sums"
                },
            });
        }
        transcript.absorb_ks("lookup layer", &halves.all());
        if last {
            transcript.absorb_ks("products", &claims.products);
        }
        let coordinate = transcript.challenge_k("lookup half");
        (claims.p, claims.q) = halves.at(coordinate);
        claims.point = reduced.point;
        claims.point.insert(0, coordinate);
    }
    Ok(claims)
}
