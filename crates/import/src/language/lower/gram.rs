//! How the inputs of a product go together: `H = Σ q·qᵀ` over the tokens of the calibration, in exact integers.
//!
//! Not here: damping and what is made of H (`factor`).

use rayon::prelude::*;

use super::inputs::Inputs;

/// Tokens that are summed in 32 bits, and whose columns stay in the second cache.
const TOKENS: usize = 512;
/// Rows of H that one task makes.
const ROWS: usize = 16;

/// The lower half of H for the columns `first .. first + size`: row r has r + 1 cells. Integers below 2⁵³, so that no order of sums matters.
pub(super) fn gram(inputs: &Inputs, first: usize, size: usize) -> Vec<Vec<f64>> {
    let mut sums: Vec<Vec<f64>> = (0..size).map(|row| vec![0.0; row + 1]).collect();
    let width = inputs.width.max(1);
    for tokens in inputs.cells.chunks(TOKENS * width) {
        let columns: Vec<Vec<i16>> = (first..first + size)
            .into_par_iter()
            .map(|column| {
                let cells = tokens.iter().skip(column).step_by(width);
                cells.map(|&cell| i16::from(cell)).collect()
            })
            .collect();
        let tasks = sums.par_chunks_mut(ROWS).enumerate();
        tasks.for_each(|(task, rows)| add(rows, task * ROWS, &columns));
    }
    sums
}

/// Adds what some tokens bring to the rows from `start` on.
fn add(rows: &mut [Vec<f64>], start: usize, columns: &[Vec<i16>]) {
    for (at, other) in columns.iter().enumerate() {
        for (row, own) in rows.iter_mut().zip(&columns[start..]) {
            if let Some(cell) = row.get_mut(at) {
                *cell += f64::from(dot(own, other));
            }
        }
    }
}

fn dot(a: &[i16], b: &[i16]) -> i32 {
    let terms = a.iter().zip(b);
    terms.map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_plain_loops_at_odd_sizes() {
        for (tokens, width, first, size) in [(1, 1, 0, 1), (3, 5, 1, 3), (1100, 40, 3, 37)] {
            let cells = (0..tokens * width).map(|at| i8::try_from(at * 7919 % 127).unwrap() - 60);
            let inputs = Inputs {
                width,
                cells: cells.collect(),
            };
            let h = gram(&inputs, first, size);
            assert_eq!(h.len(), size);
            for (r, row) in h.iter().enumerate() {
                assert_eq!(row.len(), r + 1);
                for (c, &got) in row.iter().enumerate() {
                    let rows = inputs.cells.chunks_exact(width);
                    let terms = rows.map(|x| i32::from(x[first + r]) * i32::from(x[first + c]));
                    assert_eq!(got, f64::from(terms.sum::<i32>()), "{width}: {r}, {c}");
                }
            }
        }
    }

    #[test]
    fn the_largest_cells_do_not_overflow() {
        let inputs = Inputs {
            width: 2,
            cells: vec![-127; 2 * 3000],
        };
        let h = gram(&inputs, 0, 2);
        assert_eq!(h[1], [f64::from(127 * 127 * 3000); 2]);
    }
}
