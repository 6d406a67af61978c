//! Rounding with feedback against rounding to the nearest: what it promises, what it gains, and what must not disturb it.

use proptest::prelude::*;

use super::*;
use crate::language::lower::gram::gram;
use crate::language::lower::inputs::Inputs;

/// Inputs that lie near a few directions, as activations do.
fn correlated(width: usize, tokens: usize, seed: u64) -> Inputs {
    let mut numbers = Numbers(seed);
    let directions: Vec<Vec<f64>> = (0..width.div_ceil(4))
        .map(|_| (0..width).map(|_| numbers.next()).collect())
        .collect();
    let mut cells = Vec::new();
    for _ in 0..tokens {
        let shares: Vec<f64> = directions.iter().map(|_| numbers.next()).collect();
        for column in 0..width {
            let terms = shares.iter().zip(&directions);
            let sum: f64 = terms.map(|(share, of)| share * of[column]).sum();
            let cell = round_to(30.0 * sum + 4.0 * numbers.next(), -127, 127);
            cells.push(i8::try_from(cell).unwrap());
        }
    }
    Inputs { width, cells }
}

struct Numbers(u64);

impl Numbers {
    /// In −1 … 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u16::try_from(self.0 >> 48).unwrap()) / 32768.0 - 1.0
    }
}

/// Rows whose first cell is the largest, so that no other is ever clamped.
fn rows(count: usize, width: usize, seed: u64) -> Vec<f64> {
    let mut numbers = Numbers(seed);
    let mut values: Vec<f64> = (0..count * width).map(|_| 0.6 * numbers.next()).collect();
    for row in values.chunks_exact_mut(width) {
        row[0] = 1.0;
    }
    values
}

fn rounded(values: &[f64], width: usize, factor: Option<&Factor>) -> (Vec<i8>, Vec<f64>) {
    let mut weights = vec![0; values.len()];
    let mut scales = vec![0.0; values.len() / width];
    let chunks = values
        .chunks(width * LANES)
        .zip(weights.chunks_mut(width * LANES));
    for ((rows, weights), scales) in chunks.zip(scales.chunks_mut(LANES)) {
        round_rows(rows, width, factor, (weights, scales));
    }
    (weights, scales)
}

/// By row: `Σ (x·δ)²` over the tokens, δ in steps of the row.
fn errors(values: &[f64], (weights, scales): &(Vec<i8>, Vec<f64>), inputs: &Inputs) -> Vec<f64> {
    let width = inputs.width;
    let rows = values.chunks_exact(width).zip(weights.chunks_exact(width));
    rows.zip(scales)
        .map(|((row, out), scale)| {
            let deltas: Vec<f64> = row
                .iter()
                .zip(out)
                .map(|(x, &q)| x / scale - f64::from(q))
                .collect();
            let tokens = inputs.cells.chunks_exact(width);
            let dots = tokens.map(|x| {
                x.iter()
                    .zip(&deltas)
                    .map(|(&x, d)| f64::from(x) * d)
                    .sum::<f64>()
            });
            dots.map(|dot| dot * dot).sum()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Every error is at most half a step once what came before is made good, so the whole is at most a quarter of `Σ D`, which is at most the
    /// damped diagonal of H: 3·(1 + damping) times what the nearest gives on average for inputs that have nothing to do with one another.
    #[test]
    fn a_row_is_never_worse_than_the_bound(width in 1_usize..60, tokens in 1_usize..90, seed: u64) {
        let inputs = correlated(width, tokens, seed);
        let values = rows(5, width, seed ^ 1);
        let factor = Factor::new(&inputs, width);
        let h = gram(&inputs, 0, width);
        let diagonal: f64 = h.iter().filter_map(|row| row.last()).sum();
        let found = rounded(&values, width, Some(&factor));
        for error in errors(&values, &found, &inputs) {
            prop_assert!(error <= diagonal * 1.0501 / 4.0 + 1e-3, "{error} of {diagonal}");
        }
    }

    #[test]
    fn on_correlated_inputs_rows_together_are_better_than_the_nearest(width in 12_usize..60, seed: u64) {
        let inputs = correlated(width, 3 * width, seed);
        let values = rows(48, width, seed ^ 1);
        let factor = Factor::new(&inputs, width);
        let sum = |factor| errors(&values, &rounded(&values, width, factor), &inputs).iter().sum::<f64>();
        let (fed_back, nearest) = (sum(Some(&factor)), sum(None));
        prop_assert!(fed_back < 0.7 * nearest, "{fed_back} for {nearest}");
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it(seed: u64) {
        let inputs = correlated(20, 50, seed);
        let factor = Factor::new(&inputs, 20);
        let values = rows(70, 20, seed);
        let (all, _) = rounded(&values, 20, Some(&factor));
        for (row, expected) in values.chunks_exact(20).zip(all.chunks_exact(20)) {
            prop_assert_eq!(&rounded(row, 20, Some(&factor)).0[..], expected);
        }
    }
}

/// The failing twin: feedback for other inputs is worse than none.
#[test]
fn errors_fed_the_wrong_way_make_it_worse() {
    let inputs = correlated(40, 200, 7);
    let values = rows(64, 40, 8);
    let mut factor = Factor::new(&inputs, 40);
    let sum = |factor: &Factor| {
        let found = rounded(&values, 40, Some(factor));
        errors(&values, &found, &inputs).iter().sum::<f64>()
    };
    let right = sum(&factor);
    for cell in factor
        .spans
        .iter_mut()
        .flat_map(|span| &mut span.rows)
        .flatten()
    {
        *cell = -*cell;
    }
    assert!(sum(&factor) > 2.0 * right);
}

#[test]
fn one_known_case_by_hand() {
    // Two columns that are always equal: the second makes good what the first lost, as far as damping lets it.
    let inputs = Inputs {
        width: 2,
        cells: vec![100, 100, -50, -50],
    };
    let factor = Factor::new(&inputs, 2);
    let share = 1.0 / 1.05;
    assert!((f64::from(factor.spans[0].rows[1][0]) - share).abs() < 1e-6);
    let mut rest = rows(1, 4, 3);
    rest.copy_from_slice(&[127.0, 0.0, 10.4, 20.4]);
    let four = Inputs {
        width: 4,
        cells: vec![0, 0, 9, 9],
    };
    let (nearest, _) = rounded(&rest, 4, None);
    assert_eq!(nearest, [127, 0, 10, 20]);
    let (fed_back, scales) = rounded(&rest, 4, Some(&Factor::new(&four, 4)));
    assert_eq!((fed_back, scales), (vec![127, 0, 10, 21], vec![1.0]));
}

#[test]
fn without_inputs_the_nearest_is_what_feedback_gives() {
    let values = rows(33, 17, 5);
    let factor = Factor::new(&Inputs::default(), 17);
    assert_eq!(
        rounded(&values, 17, Some(&factor)),
        rounded(&values, 17, None)
    );
}

#[test]
fn rows_of_zeros_and_of_huge_or_tiny_cells_are_rounded() {
    let inputs = correlated(8, 30, 1);
    let factor = Factor::new(&inputs, 8);
    for factor in [None, Some(&factor)] {
        let (zeros, scales) = rounded(&[0.0; 8], 8, factor);
        assert_eq!((zeros, scales), (vec![0; 8], vec![0.0]));
        for size in [f64::MAX, 1e300, 1.0, 1e-300] {
            let mut row = vec![size / 4.0; 8];
            row[0] = -size;
            let (weights, _) = rounded(&row, 8, factor);
            assert_eq!(weights[0], -127, "{size}");
            assert!(
                weights[1..].iter().all(|q| (20..45).contains(q)),
                "{size}: {weights:?}"
            );
        }
        // Too small for a scale.
        assert_eq!(rounded(&[f64::from_bits(1); 8], 8, factor).0, [0; 8]);
    }
}
