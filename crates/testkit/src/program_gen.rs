//! Random valid programs, their weights and requests: what engines, importers and verifiers are compared on.
//!
//! Every op of the profile occurs, with shapes that no register divides, windows that hang over every edge, weights and inputs at the ends
//! of their types so that sums come near their bounds, and clamps that bite. A seed gives the same program on every machine.
//!
//! ```text
//! seed ─▶ model(seed) ─▶ Model          seed, batch ─▶ request(&model, …) ─▶ Tensors
//! ```
//!
//! It makes programs that are checked successfully; programs that must be refused are the model crate's own tests.

mod language;
mod nodes;
mod random;

use credence_model::{
    BorderType, Elements, Encode, InputSpec, Model, ProgramSpec, Tensor, Tensors,
};

pub use random::Choices;

/// A random model. It has between one and three inputs and up to a few dozen nodes.
///
/// # Panics
/// If a hundred programs in a row are refused: then generator and checker have come apart.
#[must_use]
pub fn model(seed: u64) -> Model {
    first_valid(seed, nodes::program)
}

/// A random language model, of one or two blocks.
///
/// # Panics
/// As [`model`].
#[must_use]
pub fn language_model(seed: u64) -> Model {
    first_valid(seed, language::program)
}

/// A random language model with this vocabulary, context and text, with or without attention.
///
/// # Panics
/// As [`model`].
#[must_use]
pub(crate) fn speaking_model(seed: u64, sizes: (u32, u32), text: &[u8], attends: bool) -> Model {
    first_valid(seed, |choices| {
        language::speaking(choices, sizes, text, attends)
    })
}

/// A random encoder, of one or two blocks: every position sees all.
///
/// # Panics
/// As [`model`].
#[must_use]
pub fn encoder_model(seed: u64) -> Model {
    first_valid(seed, language::encoder)
}

/// A random encoder with this vocabulary, context, width of its embeddings and text.
///
/// # Panics
/// As [`model`].
#[must_use]
pub(crate) fn embedding_model(seed: u64, sizes: (u32, u32, u32), text: &[u8]) -> Model {
    first_valid(seed, |choices| language::embedding(choices, sizes, text))
}

fn first_valid(seed: u64, program: impl Fn(&mut Choices) -> (ProgramSpec, Vec<Vec<u8>>)) -> Model {
    for attempt in 0..100 {
        let mut choices = Choices::new(seed ^ (attempt << 56));
        let (mut spec, params) = program(&mut choices);
        if let Ok(model) = Model::new(spec.clone(), params.clone()) {
            return model;
        }
        // Long chains of values that are not cut read too much for one relation.
        for node in &mut spec.nodes {
            node.cut = true;
        }
        if let Ok(model) = Model::new(spec, params) {
            return model;
        }
    }
    unreachable_seed(seed)
}

#[expect(
    clippy::panic,
    reason = "a test cannot go on without its program, and this crate is for tests alone"
)]
fn unreachable_seed(seed: u64) -> ! {
    panic!("no valid program for seed {seed} in a hundred attempts")
}

/// A random request of a model: everyday values, and in some requests nothing but values at the ends of their range.
///
/// # Panics
/// If a tensor is refused, which the shapes of a checked model never are.
#[must_use]
pub fn request(model: &Model, seed: u64, batch: u32) -> Tensors {
    let mut choices = Choices::new(seed);
    let tensors = model.program().spec().inputs.iter().map(|input| {
        let shape: Vec<u64> = [batch]
            .iter()
            .chain(&input.shape)
            .map(|&d| d.into())
            .collect();
        let cells = shape.iter().product();
        let elements = elements(input, cells, &mut choices);
        Tensor::new(input.name.as_str(), shape, elements)
    });
    let tensors = tensors
        .collect::<Result<Vec<_>, _>>()
        .and_then(Tensors::new);
    tensors.unwrap_or_else(|error| refused(&error))
}

#[expect(
    clippy::panic,
    reason = "a test cannot go on without its request, and this crate is for tests alone"
)]
fn refused(error: &credence_model::TensorError) -> ! {
    panic!("a request was refused: {error}")
}

/// How the elements of one input are chosen.
#[derive(Clone, Copy, Debug)]
enum Style {
    Everyday,
    Ends,
    AllLow,
    AllHigh,
    Zero,
}

const STYLES: [Style; 6] = [
    Style::Everyday,
    Style::Everyday,
    Style::Ends,
    Style::AllLow,
    Style::AllHigh,
    Style::Zero,
];

impl Style {
    fn integer(self, min: i32, max: i32, choices: &mut Choices) -> i32 {
        match self {
            Self::Everyday => choices.int(min, max),
            Self::Ends => *choices.pick(&[min, max]),
            Self::AllLow => min,
            Self::AllHigh => max,
            Self::Zero => 0.clamp(min, max),
        }
    }

    fn float(self, choices: &mut Choices) -> f32 {
        let any = |choices: &mut Choices| {
            let bits = u32::try_from(choices.bits() >> 32).unwrap_or(0);
            let x = f32::from_bits(bits);
            if x.is_finite() { x } else { 0.5 }
        };
        match self {
            Self::Everyday if choices.chance(5) => any(choices),
            Self::Everyday => {
                let thousandths = i16::try_from(choices.int(-9000, 9000)).unwrap_or(0);
                f32::from(thousandths) / 1000.0
            }
            Self::Ends => *choices.pick(&[f32::MIN, f32::MAX, -0.0, f32::MIN_POSITIVE]),
            Self::AllLow => f32::MIN,
            Self::AllHigh => f32::MAX,
            Self::Zero => 0.0,
        }
    }
}

fn elements(input: &InputSpec, cells: u64, choices: &mut Choices) -> Elements {
    let style = *choices.pick(&STYLES);
    let (min, max) = match input.encode {
        Encode::Integer { min, max } => (min, max),
        Encode::Quantise { .. } | Encode::OrderKey {} => (0, 0),
    };
    match input.dtype {
        BorderType::Fp32 => Elements::Fp32((0..cells).map(|_| style.float(choices)).collect()),
        BorderType::Int32 => Elements::Int32(
            (0..cells)
                .map(|_| style.integer(min, max, choices))
                .collect(),
        ),
        BorderType::Int64 => {
            let cells = (0..cells).map(|_| style.integer(min, max, choices).into());
            Elements::Int64(cells.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_op_of_language_models_occurs() {
        let mut ops = BTreeMap::new();
        for seed in 0..100 {
            let model = language_model(seed);
            for (_, node, _) in model.program().nodes() {
                *ops.entry(node.op.name()).or_insert(0) += 1;
            }
        }
        assert_eq!(ops.len(), 16, "{ops:?}");
        assert!(ops.values().all(|&count| count >= 30), "{ops:?}");
    }

    #[test]
    fn every_op_occurs_and_a_seed_is_a_program() {
        let mut ops = BTreeMap::new();
        for seed in 0..300 {
            let model = model(seed);
            for (_, node, _) in model.program().nodes() {
                *ops.entry(node.op.name()).or_insert(0) += 1;
            }
        }
        assert_eq!(ops.len(), 21, "{ops:?}");
        assert!(ops.values().all(|&count| count >= 40), "{ops:?}");
        assert_eq!(model(7).id(), model(7).id());
        assert_eq!(request(&model(7), 1, 2), request(&model(7), 1, 2));
    }
}
