//! Proofs as bytes from a stranger: every byte changed, every truncation, anything behind the end, proofs of other runs.
//!
//! It deliberately tells no lie that has sense; `attacks.rs` does.

use crate::common::{Run, STATEMENT};
use crate::small;
use credence_method_snark::lookup::LookupError;
use credence_method_snark::pcs::Security;
use credence_method_snark::protocol::Statement;
use credence_method_snark::run::Publics;
use credence_method_snark::{K, ProofError, ReadError, Reader, Transcript, lookup};
use credence_testkit::program_gen::{Choices, request};

fn runs() -> Vec<(&'static str, Run)> {
    let programs = small::programs().into_iter();
    programs
        .map(|(name, model, inputs)| (name, Run::new(model, &inputs)))
        .collect()
}

#[test]
fn no_byte_of_a_proof_can_be_another() {
    for (name, run) in runs() {
        let proof = run.prove();
        run.verify(&proof).unwrap();
        // Every byte of the front, the commitment and the arguments; values in clear are many: a part of them.
        let dense = 2_000.min(proof.len());
        let places = (0..dense).chain((dense..proof.len()).step_by(37));
        for at in places {
            let mut other = proof.clone();
            other[at] ^= 1 << (at % 8);
            assert!(run.verify(&other).is_err(), "{name}: byte {at}");
        }
    }
}

#[test]
fn a_proof_ends_where_it_ends() {
    for (name, run) in runs() {
        let proof = run.prove();
        for length in (0..proof.len()).step_by(7).chain([proof.len() - 1]) {
            assert!(run.verify(&proof[..length]).is_err(), "{name}: {length}");
        }
        let longer = [proof.as_slice(), &[0]].concat();
        let result = run.verify(&longer);
        let trailing = matches!(
            result,
            Err(ProofError::Read(ReadError::Trailing { got: 1 }))
        );
        assert!(trailing, "{name}: {result:?}");
    }
}

#[test]
fn a_proof_is_of_one_run_and_one_statement() {
    let runs = runs();
    for (a, run) in &runs {
        let proof = run.prove();
        for (b, other) in &runs {
            assert_eq!(other.verify(&proof).is_ok(), a == b, "{a} for {b}");
        }
        // Another request, another number of positions, another claim, another security.
        for batch in [1, 2, 3] {
            let inputs = request(&run.model, 99, batch);
            let other = Run::new(small::again(&run.model), &inputs);
            assert!(other.verify(&proof).is_err(), "{a}: {batch}");
        }
        let other = |bound: &[(&str, &[u8])], security| {
            let mut reader = Reader::new(&proof);
            let inputs = run.witness.publics.inputs.clone();
            let program = run.model.program();
            let publics = Publics::read(inputs, &run.circuit, program, &mut reader).unwrap();
            let statement = Statement { bound, security };
            run.check(&statement, &publics, reader)
        };
        assert!(other(STATEMENT.bound, Security::Bits100).is_ok());
        assert!(other(STATEMENT.bound, Security::Bits128).is_err());
        assert!(other(&[], Security::Bits100).is_err());
        assert!(other(&[("claim", b"another")], Security::Bits100).is_err());
        assert!(other(&[("input", b"a claim")], Security::Bits100).is_err());
    }
}

#[test]
fn public_values_have_the_sizes_of_the_circuit() {
    let (_, run) = runs().remove(0);
    let proof = run.prove();
    for edit in [0, 1, 2] {
        let mut reader = Reader::new(&proof);
        let inputs = run.witness.publics.inputs.clone();
        let program = run.model.program();
        let mut publics = Publics::read(inputs, &run.circuit, program, &mut reader).unwrap();
        match edit {
            0 => publics.inputs[0].push(0),
            1 => drop(publics.outputs.pop()),
            _ => publics.inputs.push(Vec::new()),
        }
        let result = run.check(&STATEMENT, &publics, reader);
        assert!(matches!(result, Err(ProofError::Sizes)), "{result:?}");
    }
}

/// The root of the fractions, by hand: a sum that is no fraction, and one that is not 0.
#[test]
fn the_sum_of_all_lookups_is_a_fraction_and_is_0() {
    let check = |root: [K; 4]| {
        let mut bytes = Vec::new();
        for value in root {
            value.write(&mut bytes);
        }
        bytes.resize(10_000, 0);
        lookup::verify(
            4,
            false,
            &mut Reader::new(&bytes),
            &mut Transcript::new("test"),
        )
    };
    let (zero, one) = (K::ZERO, K::ONE);
    assert_eq!(check([one, one, zero, zero]), Err(LookupError::Denominator));
    assert_eq!(check([one, -one, one, zero]), Err(LookupError::Sum));
    assert_eq!(check([one, one, one, one]), Err(LookupError::Sum));
    // 1/1 − 1/1 is 0, but no layer of zeros gives it.
    let layer = matches!(
        check([one, -one, one, one]),
        Err(LookupError::Layer {
            layer: 1,
            layers: 4,
            ..
        })
    );
    assert!(layer);
}

/// Bytes at random, and proofs with runs of bytes changed, cut out, doubled: refused, and nothing panics.
#[test]
fn nothing_that_a_stranger_sends_is_more_than_refused() {
    let mut choices = Choices::new(5);
    for (name, run) in runs() {
        let proof = run.prove();
        for _ in 0..150 {
            let place = |choices: &mut Choices, len: usize| {
                usize::try_from(choices.size(0, u32::try_from(len).unwrap())).unwrap()
            };
            let (a, b) = (
                place(&mut choices, proof.len()),
                place(&mut choices, proof.len()),
            );
            let (from, to) = (a.min(b), a.max(b));
            let mut other = proof.clone();
            match choices.size(0, 3) {
                0 => other.iter_mut().for_each(|byte| {
                    *byte = u8::try_from(choices.size(0, 255)).unwrap();
                }),
                1 => other[from..to].fill(0xff),
                2 => drop(other.drain(from..to)),
                _ => other.extend_from_within(from..to),
            }
            if other != proof {
                assert!(run.verify(&other).is_err(), "{name}");
            }
        }
    }
}
