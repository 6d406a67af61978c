//! From a request's elements to cells, and from cells to an answer's elements.
//!
//! Floats are multiplied here, in f64, where `docs/spec/arithmetic.md` speaks of rationals; [`Encoding::Quantise`] argues
//! why the integers are the same, and tests compare them with the bit-wise definition.

use credence_model::{BorderType, BorderValueError, Decode, Elements, Encode};

use super::{Place, Refused, Surroundings, Tile};
use crate::Isa;
use crate::cells::{CHUNK, Cells, CellsMut, low32, row};
use crate::kernel::{Work, vectorise};

/// Encodes one input.
pub(crate) struct Input {
    /// Index among the program's inputs.
    pub(crate) input: usize,
    pub(crate) y: Place,
    pub(crate) encoding: Encoding,
}

/// From an element to an integer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    /// `clamp(⌊x·scale + ½⌋, min, max)` in f64, with scale = multiplier·2^−shift.
    ///
    /// This is exact. x has 24 significant bits and scale has 24, so the product p has at most 48, and its exponent is far inside
    /// f64's range (between 2^−275 and 2^278, subnormal x included): p is exact. For p + ½ there are three cases. If
    /// |p| ≥ 2³², the sum is rounded, but stays beyond every clamp. If 2^−6 ≤ |p| < 2³², then with 2^e ≤ |p| < 2^(e+1) all bits
    /// of the sum lie between 2^min(e−47, −1) and 2^max(e+1, 0): at most 53 bits, exact. If |p| < 2^−6, the sum may be
    /// rounded, but stays between 0.48 and 0.52, and its floor is 0, which is right. Floor, clamp and conversion of an
    /// integer of at most 2³¹ are exact.
    Quantise { scale: f64, min: f64, max: f64 },
    /// The i32 that orders floats.
    OrderKey,
    /// The element itself.
    Integer { min: i32, max: i32 },
}

impl Encoding {
    pub(crate) fn new(encode: &Encode) -> Self {
        match *encode {
            Encode::Quantise {
                multiplier,
                shift,
                min,
                max,
            } => Self::Quantise {
                scale: f64::from(multiplier) * 2_f64.powi(-shift),
                min: min.into(),
                max: max.into(),
            },
            Encode::OrderKey {} => Self::OrderKey,
            Encode::Integer { min, max } => Self::Integer { min, max },
        }
    }
}

impl Input {
    /// Encodes the elements of a tile's positions.
    ///
    /// # Errors
    /// [`Refused`], naming the first element that has no integer.
    pub(crate) fn run(&self, tile: &mut Tile<'_>, around: Surroundings<'_>) -> Result<(), Refused> {
        let elements = around.inputs[self.input];
        for number in 0..tile.positions() {
            let first = (tile.first + number) * self.y.cells;
            let mut position = tile.position(number);
            let (mut y, _) = position.write(self.y);
            let mut ok = true;
            vectorise(
                around.isa,
                EncodeCells {
                    encoding: self.encoding,
                    elements,
                    first,
                    y: &mut y,
                    ok: &mut ok,
                },
            );
            if !ok {
                let source = self.refusal(elements, first);
                return Err(Refused {
                    input: self.input,
                    source,
                });
            }
        }
        Ok(())
    }

    /// The first refused element from `first` on, one of which is known to be there.
    fn refusal(&self, elements: &Elements, first: usize) -> BorderValueError {
        let not_finite = |x: &f32| !x.is_finite();
        let outside = |got: i64| match self.encoding {
            Encoding::Integer { min, max } if !(min.into()..=max.into()).contains(&got) => {
                Some((got, min, max))
            }
            _ => None,
        };
        let range = |(index, (got, min, max))| BorderValueError::Range {
            index,
            got,
            min,
            max,
        };
        let found = match elements {
            Elements::Fp32(x) => {
                let at = x[first..].iter().position(not_finite);
                at.map(|at| BorderValueError::NotFinite { index: first + at })
            }
            Elements::Int32(x) => {
                let mut all = x.iter().enumerate().skip(first);
                all.find_map(|(at, &x)| Some((at, outside(x.into())?)))
                    .map(range)
            }
            Elements::Int64(x) => {
                let mut all = x.iter().enumerate().skip(first);
                all.find_map(|(at, &x)| Some((at, outside(x)?))).map(range)
            }
        };
        let got = elements.border_type();
        found.unwrap_or(BorderValueError::Type { got })
    }
}

struct EncodeCells<'a, 'y> {
    encoding: Encoding,
    elements: &'a Elements,
    first: usize,
    y: &'a mut CellsMut<'y>,
    ok: &'a mut bool,
}

impl Work for EncodeCells<'_, '_> {
    #[inline(always)]
    fn run(self) {
        let mut chunk = [0_i32; CHUNK];
        let mut ok = true;
        let cells = self.y.len();
        for at in (0..cells).step_by(CHUNK) {
            let len = CHUNK.min(cells - at);
            let (out, from) = (&mut chunk[..len], self.first + at);
            ok &= match (self.encoding, self.elements) {
                (Encoding::Quantise { scale, min, max }, Elements::Fp32(x)) => {
                    quantise(&x[from..][..len], (scale, min, max), out)
                }
                (Encoding::OrderKey, Elements::Fp32(x)) => order_keys(&x[from..][..len], out),
                (Encoding::Integer { min, max }, Elements::Int32(x)) => {
                    let x = x[from..][..len].iter().map(|&x| i64::from(x));
                    integers(x, (min, max), out)
                }
                (Encoding::Integer { min, max }, Elements::Int64(x)) => {
                    integers(x[from..][..len].iter().copied(), (min, max), out)
                }
                _ => false,
            };
            self.y.narrow(at, out);
        }
        *self.ok = ok;
    }
}

/// Bits of +∞: those of every finite number's magnitude are below, those of ∞ and NaN are not.
const INFINITY: u32 = 0x7f80_0000;

#[inline(always)]
fn quantise(x: &[f32], (scale, min, max): (f64, f64, f64), out: &mut [i32]) -> bool {
    // Added to an integer v of magnitude below 2^51, it leaves v modulo 2^32 in the low bits of the sum's significand.
    const LOW_BITS: f64 = 6_755_399_441_055_744.0;
    let mut largest = 0;
    for (out, x) in out.iter_mut().zip(x) {
        largest = largest.max(x.to_bits() & 0x7fff_ffff);
        let value = (f64::from(*x) * scale + 0.5).floor();
        // Not `f64::max` and `min`, which take care of NaN: here it becomes an end, and is refused.
        let value = if value > min { value } else { min };
        let value = if value < max { value } else { max };
        *out = low32((value + LOW_BITS).to_bits().cast_signed());
    }
    largest < INFINITY
}

#[inline(always)]
fn order_keys(x: &[f32], out: &mut [i32]) -> bool {
    let mut largest = 0;
    for (out, x) in out.iter_mut().zip(x) {
        let bits = x.to_bits();
        let magnitude = bits & 0x7fff_ffff;
        largest = largest.max(magnitude);
        // All ones for a negative number: −m is the complement of m − 1.
        let sign = bits.cast_signed() >> 31;
        *out = (magnitude.cast_signed() ^ sign).wrapping_sub(sign);
    }
    largest < INFINITY
}

#[inline(always)]
fn integers(x: impl Iterator<Item = i64>, (min, max): (i32, i32), out: &mut [i32]) -> bool {
    let mut ok = true;
    for (out, x) in out.iter_mut().zip(x) {
        ok &= x >= min.into() && x <= max.into();
        *out = low32(x);
    }
    ok
}

/// Appends the elements of one position's cells.
///
/// # Errors
/// [`BorderValueError`], which a checked model never gives.
pub(crate) fn decode(
    isa: Isa,
    decode: &Decode,
    cells: Cells<'_>,
    elements: &mut Elements,
) -> Result<(), BorderValueError> {
    let all = (0..cells.len()).map(|at| cells.get(at));
    match (decode, elements) {
        (Decode::Scale { multiplier, shift }, Elements::Fp32(out)) => {
            let multiplier = (*multiplier).into();
            let scale = 2_f32.powi(-shift);
            vectorise(
                isa,
                DecodeCells {
                    multiplier,
                    scale,
                    cells,
                    out,
                },
            );
        }
        (Decode::Integer {}, Elements::Int64(out)) => out.extend(all.map(i64::from)),
        (Decode::Lookup { values }, Elements::Int64(out)) => {
            for q in all {
                let value = values.get(row(q)).copied();
                out.push(value.ok_or(BorderValueError::Lookup { got: q.into() })?);
            }
        }
        (_, elements) => {
            return Err(BorderValueError::Type {
                got: elements.border_type(),
            });
        }
    }
    Ok(())
}

/// `q·multiplier·scale` for each cell q, scale a power of two between 2^−126 and 1.
///
/// The product is an integer below 2⁶², which the conversion rounds to the nearest f32, ties to even. Its magnitude is 0 or between 1 and
/// 2⁶², so multiplying by the scale gives zero or a normal number and rounds nothing: the result is the nearest f32.
struct DecodeCells<'a, 'c> {
    multiplier: i64,
    scale: f32,
    cells: Cells<'c>,
    out: &'a mut Vec<f32>,
}

impl Work for DecodeCells<'_, '_> {
    #[inline(always)]
    #[expect(
        clippy::cast_precision_loss,
        reason = "the conversion's rounding is the one that the specification has"
    )]
    fn run(self) {
        let (mut chunk, mut floats) = ([0_i32; CHUNK], [0_f32; CHUNK]);
        for at in (0..self.cells.len()).step_by(CHUNK) {
            let len = CHUNK.min(self.cells.len() - at);
            self.cells.widen(at, &mut chunk[..len]);
            for (float, q) in floats[..len].iter_mut().zip(&chunk) {
                *float = (i64::from(*q) * self.multiplier) as f32 * self.scale;
            }
            self.out.extend_from_slice(&floats[..len]);
        }
    }
}

/// Elements of a type, none yet.
pub(crate) fn no_elements(border_type: BorderType, capacity: usize) -> Elements {
    match border_type {
        BorderType::Fp32 => Elements::Fp32(Vec::with_capacity(capacity)),
        BorderType::Int32 => Elements::Int32(Vec::with_capacity(capacity)),
        BorderType::Int64 => Elements::Int64(Vec::with_capacity(capacity)),
    }
}

#[cfg(test)]
mod tests {
    use credence_exact::border;
    use proptest::prelude::*;

    use super::*;

    /// Floats of every exponent, subnormals and the largest included.
    fn floats() -> impl Strategy<Value = f32> {
        prop_oneof![
            any::<u32>().prop_map(f32::from_bits),
            (any::<u32>()).prop_map(|bits| f32::from_bits(bits & 0x80ff_ffff)),
            -300.0_f32..300.0,
            Just(f32::MAX),
            Just(f32::MIN),
            Just(-0.0_f32),
        ]
    }

    /// What every instruction set makes of an element, which must be the same.
    fn encode(encoding: Encoding, x: f32) -> Option<i32> {
        let all = Isa::available().into_iter().map(|isa| {
            // As many elements as a register has, and some behind it.
            let (mut cells, mut ok) = ([0_i32; 19], true);
            let mut y = CellsMut::I32(&mut cells);
            let elements = Elements::Fp32(vec![x; 19]);
            vectorise(
                isa,
                EncodeCells {
                    encoding,
                    elements: &elements,
                    first: 0,
                    y: &mut y,
                    ok: &mut ok,
                },
            );
            assert!(!ok || cells.iter().all(|&cell| cell == cells[0]), "{isa}");
            ok.then_some(cells[0])
        });
        let all: Vec<Option<i32>> = all.collect();
        assert!(all.iter().all(|got| *got == all[0]), "{x}: {all:?}");
        all[0]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn quantise_is_the_definition(
            x in floats(), multiplier in prop_oneof![1_i32..1 << 24, Just((1 << 24) - 1)], shift in -126_i32..=126,
            ends in (any::<i32>(), any::<i32>()), narrow in any::<bool>(),
        ) {
            let (min, max) = if narrow { (-128, 127) } else { (ends.0.min(ends.1), ends.0.max(ends.1)) };
            let encoding = Encoding::new(&Encode::Quantise { multiplier, shift, min, max });
            let expected = border::quantise(x.to_bits(), multiplier, shift, min, max).ok();
            prop_assert_eq!(encode(encoding, x).map(i64::from), expected);
        }

        #[test]
        fn quantise_near_halves_is_the_definition(
            whole in -200_i32..200, multiplier in 1_i32..1 << 24, shift in 0_i32..40, ulps in -3_i32..=3,
        ) {
            // The float nearest to (whole + ½)/scale, and its neighbours.
            let target = (f64::from(whole) + 0.5) / (f64::from(multiplier) * 2_f64.powi(-shift));
            #[expect(clippy::cast_possible_truncation, reason = "the float nearest to the target is wanted")]
            let x = f32::from_bits((target as f32).to_bits().wrapping_add_signed(ulps));
            let encoding = Encoding::new(&Encode::Quantise { multiplier, shift, min: -128, max: 127 });
            let expected = border::quantise(x.to_bits(), multiplier, shift, -128, 127).ok();
            prop_assert_eq!(encode(encoding, x).map(i64::from), expected);
        }

        #[test]
        fn scale_is_the_definition(
            q in prop_oneof![any::<i32>(), -300_i32..300, Just(i32::MIN)], multiplier in prop_oneof![1_i32..=i32::MAX, 1_i32..9],
            shift in 0_i32..=126,
        ) {
            for isa in Isa::available() {
                let mut elements = no_elements(BorderType::Fp32, 1);
                decode(isa, &Decode::Scale { multiplier, shift }, Cells::I32(&[q]), &mut elements).unwrap();
                let Elements::Fp32(got) = elements else { panic!("{elements:?}") };
                prop_assert_eq!(got[0].to_bits(), border::to_fp32(q.into(), multiplier, shift));
            }
        }

        #[test]
        fn order_key_is_the_definition(x in floats()) {
            prop_assert_eq!(encode(Encoding::OrderKey, x).map(i64::from), border::order_key(x.to_bits()).ok());
        }
    }
}
