//! Where a claimed output first differs from the one that was computed.
//!
//! This is for the reader of a refusal. Whether there is a difference at all is decided over the bytes
//! ([`Case::check_output`](credence_claim::Case::check_output)), not here.

use credence_claim::{Refutation, Scalar};
use credence_model::{Elements, Tensors};

/// The first element, in order, that is another; `None` when names, shapes or types differ, or nothing does.
pub(crate) fn first_difference(claimed: &Tensors, got: &Tensors) -> Option<Refutation> {
    for (claimed, got) in claimed.iter().zip(got.iter()) {
        if claimed.name() != got.name() || claimed.shape() != got.shape() {
            return None;
        }
        let types = (
            claimed.elements().border_type(),
            got.elements().border_type(),
        );
        if types.0 != types.1 {
            return None;
        }
        let pairs = scalars(claimed.elements()).zip(scalars(got.elements()));
        for (index, (claimed, computed)) in (0_u64..).zip(pairs) {
            if claimed != computed {
                return Some(Refutation::OutputValue {
                    part: got.name().to_owned(),
                    index,
                    claimed,
                    got: computed,
                });
            }
        }
    }
    None
}

fn scalars(elements: &Elements) -> Box<dyn Iterator<Item = Scalar> + '_> {
    match elements {
        // Bits, not values: NaN equals itself, and −0 is not 0.
        Elements::Fp32(all) => Box::new(all.iter().map(|x| Scalar::Fp32(x.to_bits()))),
        Elements::Int32(all) => Box::new(all.iter().map(|x| Scalar::Integer(i64::from(*x)))),
        Elements::Int64(all) => Box::new(all.iter().map(|x| Scalar::Integer(*x))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_model::Tensor;

    fn one(name: &str, elements: Elements) -> Tensors {
        let len = u64::try_from(elements.len()).unwrap();
        Tensors::new(vec![Tensor::new(name, vec![len], elements).unwrap()]).unwrap()
    }

    #[test]
    fn the_first_difference_is_named() {
        let fp32 = |all: &[f32]| Elements::Fp32(all.to_vec());
        let value = |index, claimed, got| {
            Some(Refutation::OutputValue {
                part: "y".to_owned(),
                index,
                claimed,
                got,
            })
        };
        let bits = |x: f32| Scalar::Fp32(x.to_bits());
        let cases = [
            (fp32(&[1.0, 2.0]), fp32(&[1.0, 2.0]), None),
            (
                fp32(&[1.0, 2.0, 9.0]),
                fp32(&[1.0, 3.0, 8.0]),
                value(1, bits(2.0), bits(3.0)),
            ),
            (fp32(&[0.0]), fp32(&[-0.0]), value(0, bits(0.0), bits(-0.0))),
            (fp32(&[f32::NAN]), fp32(&[f32::NAN]), None),
            (
                Elements::Int64(vec![i64::MIN]),
                Elements::Int64(vec![7]),
                value(0, Scalar::Integer(i64::MIN), Scalar::Integer(7)),
            ),
            (Elements::Int32(vec![1]), Elements::Int64(vec![2]), None),
            (fp32(&[1.0]), fp32(&[2.0, 3.0]), None),
        ];
        for (claimed, got, expected) in cases {
            assert_eq!(
                first_difference(&one("y", claimed), &one("y", got)),
                expected
            );
        }
        let other_name = first_difference(&one("x", fp32(&[1.0])), &one("y", fp32(&[2.0])));
        assert_eq!(other_name, None);
    }
}
