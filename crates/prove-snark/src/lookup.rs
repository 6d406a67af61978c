//! The prover of the lookup argument: fractions added up in a tree, then proved from its root (`method-snark`'s `lookup.rs` says what is checked).
//!
//! A layer's sum is over `eq(point, x)` times a polynomial of degree 2; the factor of the variable in question is taken out of each round, so that only the values at 0 and the leading coefficients are summed, and
//! the value at 1 follows from the claim. It deliberately knows no circuit.

use credence_method_snark::lookup::{DEGREE, Halves, LeafClaims};
use credence_method_snark::{K, Transcript};
use rayon::prelude::*;

use crate::sumcheck::{Rounds, prove};
use crate::vector::{self, eq_table};

/// Fractions, numerators and denominators apart.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Numerators.
    pub p: Vec<K>,
    /// Denominators.
    pub q: Vec<K>,
}

/// Products `a·b − c`, for the first so many points; all else is 0.
#[derive(Clone, Debug, Default)]
pub struct Products {
    /// First factors.
    pub a: Vec<K>,
    /// Second factors.
    pub b: Vec<K>,
    /// Products.
    pub c: Vec<K>,
}

/// Points below which a loop stays on its thread.
const SPLIT_MIN: usize = 1 << 11;

impl Layer {
    /// The sums of fractions i and i + half.
    fn add_up(&self) -> Self {
        let (p, q) = vector::add_fractions(&self.p, &self.q);
        Self { p, q }
    }
}

/// Proves that the leaves add up to 0, if they do, and that the products hold.
pub fn prove_lookups(
    leaves: Layer,
    products: Products,
    transcript: &mut Transcript,
    out: &mut Vec<u8>,
) -> LeafClaims {
    let mut layers = vec![leaves];
    while let Some(last) = layers.last()
        && last.p.len() > 2
    {
        let next = last.add_up();
        layers.push(next);
    }
    let top = layers.pop().unwrap_or(Layer {
        p: vec![K::ZERO; 2],
        q: vec![K::ONE; 2],
    });
    let halves = Halves {
        p: [top.p[0], top.p[1]],
        q: [top.q[0], top.q[1]],
    };
    let mut claims = LeafClaims {
        point: Vec::new(),
        p: K::ZERO,
        q: K::ZERO,
        products: [K::ZERO; 3],
    };
    next_point(&mut claims, halves, Vec::new(), transcript, out);
    let mut products = Some(products).filter(|products| !products.a.is_empty());
    while let Some(layer) = layers.pop() {
        let mix = transcript.challenge_k("lookup mix");
        let own = if layers.is_empty() {
            products.take()
        } else {
            None
        };
        let weigh = match own {
            Some(_) => transcript.challenge_k("products"),
            None => K::ZERO,
        };
        let proved = own.is_some();
        let mut sum = LayerSum::new(layer, own.unwrap_or_default(), &claims.point, (mix, weigh));
        let claim = claims.p + mix * claims.q;
        let reduced = prove(&mut sum, claim, transcript, out);
        let halves = sum.halves(mix);
        for value in halves.all() {
            value.write(out);
        }
        transcript.absorb_ks("lookup layer", &halves.all());
        if proved {
            claims.products = sum.products();
            for value in claims.products {
                value.write(out);
            }
            transcript.absorb_ks("products", &claims.products);
        }
        let coordinate = transcript.challenge_k("lookup half");
        (claims.p, claims.q) = halves.at(coordinate);
        claims.point = reduced.point;
        claims.point.insert(0, coordinate);
    }
    claims
}

/// Sends the root's halves.
fn next_point(
    claims: &mut LeafClaims,
    halves: Halves,
    rest: Vec<K>,
    transcript: &mut Transcript,
    out: &mut Vec<u8>,
) {
    for value in halves.all() {
        value.write(out);
    }
    transcript.absorb_ks("lookup layer", &halves.all());
    let coordinate = transcript.challenge_k("lookup half");
    (claims.p, claims.q) = halves.at(coordinate);
    claims.point = rest;
    claims.point.insert(0, coordinate);
}

/// `Σ eq(point, x)·(q1·(p0 + mix·q0) + p1·q0 + weigh·(a·b − c))`.
struct LayerSum {
    /// `p0 + mix·q0`.
    s0: Vec<K>,
    p1: Vec<K>,
    q0: Vec<K>,
    q1: Vec<K>,
    products: Products,
    weigh: K,
    /// Coordinates left, the next one last.
    point: Vec<K>,
    /// `eq` of the coordinates behind the next one, over their points.
    rest: Vec<K>,
    /// `eq` of the coordinates that are set.
    done: K,
}

impl LayerSum {
    fn new(layer: Layer, products: Products, point: &[K], factors: (K, K)) -> Self {
        let (mix, weigh) = factors;
        let half = layer.p.len() / 2;
        let Layer {
            p: mut s0,
            q: mut q0,
        } = layer;
        let p1 = s0.split_off(half);
        let q1 = q0.split_off(half);
        vector::add_scaled(&mut s0, mix, &q0);
        let rest = eq_table(point.get(1..).unwrap_or_default(), K::ONE);
        let mut point = point.to_vec();
        point.reverse();
        Self {
            s0,
            p1,
            q0,
            q1,
            products,
            weigh,
            point,
            rest,
            done: K::ONE,
        }
    }

    fn halves(&self, mix: K) -> Halves {
        let (q0, q1) = (self.q0[0], self.q1[0]);
        Halves {
            p: [self.s0[0] - mix * q0, self.p1[0]],
            q: [q0, q1],
        }
    }

    fn products(&self) -> [K; 3] {
        let Products { a, b, c } = &self.products;
        [a, b, c].map(|values| values.first().copied().unwrap_or(K::ZERO))
    }

    /// The sums of the factor beside `eq` of the next variable: its value at 0 and its leading coefficient.
    fn sums(&self) -> (K, K) {
        let half = self.s0.len() / 2;
        let tables = (self.p1.as_slice(), self.q0.as_slice());
        let layer = vector::fraction_sums(&self.s0, &self.q1, tables, &self.rest);
        if self.products.a.is_empty() {
            return layer.into();
        }
        let Products { a, b, c } = &self.products;
        let value = |values: &[K], i: usize| values.get(i).copied().unwrap_or(K::ZERO);
        let one = |i: usize| {
            let zero = a[i] * b[i] - c[i];
            let lead = (value(a, i + half) - a[i]) * (value(b, i + half) - b[i]);
            (self.rest[i] * zero, self.rest[i] * lead)
        };
        let products = (0..half.min(a.len()))
            .into_par_iter()
            .with_min_len(SPLIT_MIN)
            .map(one)
            .reduce(|| (K::ZERO, K::ZERO), |a, b| (a.0 + b.0, a.1 + b.1));
        let [zero, lead] = layer;
        (
            zero + self.weigh * products.0,
            lead + self.weigh * products.1,
        )
    }
}

impl Rounds for LayerSum {
    fn variables(&self) -> usize {
        self.point.len()
    }

    fn degree(&self) -> usize {
        DEGREE
    }

    fn message(&mut self, claim: K) -> Vec<K> {
        let (zero, lead) = self.sums();
        let next = self.point.last().copied().unwrap_or(K::ZERO);
        let at_zero = self.done * (K::ONE - next);
        let at_one = self.done * next;
        // claim = at_zero·zero + at_one·one; at_one is 0 only if a challenge was.
        let one = (claim - at_zero * zero) * at_one.inverse();
        let linear = one - zero - lead;
        let (two, three) = (K::TWO, K::TWO + K::ONE);
        let value = |x: K| {
            let factor = at_zero + x * (at_one - at_zero);
            factor * (zero + x * (linear + x * lead))
        };
        vec![at_zero * zero, value(two), value(three)]
    }

    fn bind(&mut self, challenge: K) {
        let next = self.point.pop().unwrap_or(K::ZERO);
        self.done *= challenge * next + (K::ONE - challenge) * (K::ONE - next);
        let half = self.s0.len() / 2;
        for table in [&mut self.s0, &mut self.p1, &mut self.q0, &mut self.q1] {
            vector::fold(table, challenge);
        }
        let Products { a, b, c } = &mut self.products;
        for table in [a, b, c] {
            fold_short(table, half, challenge);
        }
        let quarter = self.rest.len() / 2;
        if quarter > 0 {
            let (low, high) = self.rest.split_at_mut(quarter);
            for (low, high) in low.iter_mut().zip(high) {
                *low += *high;
            }
            self.rest.truncate(quarter);
        }
    }
}

/// Sets the highest variable of a table of `2·half` values of which those behind its end are 0.
fn fold_short(values: &mut Vec<K>, half: usize, challenge: K) {
    let len = values.len();
    let ones: Vec<K> = values.split_off(half.min(len));
    let opposite = K::ONE - challenge;
    for (i, zero) in values.iter_mut().enumerate() {
        *zero = match ones.get(i) {
            Some(one) => *zero + challenge * (*one - *zero),
            None => *zero * opposite,
        };
    }
}
