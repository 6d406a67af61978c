//! Tensors where they stand in the file: rows are made in f32 when they are read.

use core::ops::Range;

use credence_import::language::Rows;
use safetensors::Dtype;

use crate::folder::Bytes;

/// Element types that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F16,
    Bf16,
}

impl Element {
    pub(crate) const fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    fn read(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*bytes);
                }
            }
            Self::Bf16 => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *out = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                }
            }
            Self::F16 => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *out = half(u16::from_le_bytes(*bytes));
                }
            }
        }
    }
}

/// IEEE 754 binary16 as binary32, exactly.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10) & 0x1f, u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // Subnormal: units of 2⁻²⁴.
        0 => f32::from(bits & 0x3ff) * f32::from_bits(103 << 23),
        0x1f => f32::from_bits(0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(((exponent + 112) << 23) | (fraction << 13)),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

/// A matrix in a file; a vector is one row.
pub(crate) struct Matrix {
    pub(crate) bytes: Bytes,
    pub(crate) at: Range<usize>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) element: Element,
}

impl Matrix {
    fn row(&self, row: usize) -> Option<&[u8]> {
        let bytes = self.columns.checked_mul(self.element.bytes())?;
        let start = row.checked_mul(bytes)?;
        let whole = (*self.bytes).as_ref().get(self.at.clone())?;
        whole.get(start..start.checked_add(bytes)?)
    }
}

impl Rows for Matrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn read(&self, row: usize, out: &mut [f32]) {
        let wanted = row < self.rows && out.len() == self.columns;
        match self.row(row).filter(|_| wanted) {
            Some(bytes) => self.element.read(bytes, out),
            None => out.fill(f32::NAN),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn halves_are_exact() {
        for (bits, expected) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(half(bits).to_bits(), f32::to_bits(expected), "{bits:#x}");
        }
        assert_eq!(half(0x8000).to_bits(), (-0.0_f32).to_bits());
        assert!(half(0x7e00).is_nan() && half(0xfc00) == f32::NEG_INFINITY);
    }

    #[test]
    fn rows_are_where_they_stand_and_others_are_not_numbers() {
        let bytes: Vec<u8> = [9.0_f32, 1.0, 2.0, 3.0, 4.0, 9.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let matrix = Matrix {
            bytes: Arc::new(bytes),
            at: 4..20,
            rows: 2,
            columns: 2,
            element: Element::F32,
        };
        let mut out = [0.0; 2];
        matrix.read(1, &mut out);
        assert_eq!(out, [3.0, 4.0]);
        matrix.read(2, &mut out);
        assert!(out.iter().all(|x| x.is_nan()));
        let mut three = [0.0; 3];
        matrix.read(0, &mut three);
        assert!(three.iter().all(|x| x.is_nan()));
        let mut out = [0.0];
        Element::Bf16.read(&[0x80, 0x3f], &mut out);
        assert_eq!(out, [1.0]);
    }
}
