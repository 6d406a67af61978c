//! Orthogonal changes of basis that spread outliers (QuaRot, arXiv 2404.00456, section 4): exact on every target, their own inverse.
//!
//! For a width of 2ᵃ·m, m odd, the basis is changed by `Hadamard(2ᵃ)/√2ᵃ ⊗ (I − (2/m)·J)`, J being all ones: both factors are symmetric and
//! orthogonal, so the whole is. Only additions, multiplications and one square root are needed.

/// The change of basis of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rotation {
    /// The power of two.
    size: usize,
    /// The odd factor.
    odd: usize,
}

impl Rotation {
    pub(super) const fn of(width: usize) -> Self {
        let size = 1 << width.trailing_zeros();
        Self {
            size,
            odd: width / size,
        }
    }

    /// Rotates a vector: cell `j·size + i` is cell i of the Hadamard factor and cell j of the other.
    pub(super) fn apply(self, vector: &mut [f64]) {
        for part in vector.chunks_exact_mut(self.size) {
            hadamard(part);
        }
        if self.odd < 2 {
            return;
        }
        let share = 2.0 / count(self.odd);
        for i in 0..self.size {
            let mut sum = 0.0;
            for j in 0..self.odd {
                sum += vector[j * self.size + i];
            }
            for j in 0..self.odd {
                vector[j * self.size + i] -= share * sum;
            }
        }
    }
}

/// A small number as a float.
pub(super) fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// The orthonormal Walsh–Hadamard transform of a vector whose length is a power of two.
pub(super) fn hadamard(vector: &mut [f64]) {
    let mut half = 1;
    while half < vector.len() {
        for block in vector.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let norm = 1.0 / count(vector.len()).sqrt();
    for cell in vector {
        *cell *= norm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_their_own_inverse_and_keep_lengths() {
        for width in [1, 2, 3, 8, 9, 12, 40, 64, 576, 1536] {
            let vector: Vec<f64> = (0..width).map(|i| count(i * i % 37) - 11.0).collect();
            let mut rotated = vector.clone();
            let rotation = Rotation::of(width);
            rotation.apply(&mut rotated);
            let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
            assert!((length(&vector) - length(&rotated)).abs() < 1e-6 * length(&vector));
            rotation.apply(&mut rotated);
            for (a, b) in vector.iter().zip(&rotated) {
                assert!((a - b).abs() < 1e-9, "width {width}: {a} and {b}");
            }
        }
    }
}
