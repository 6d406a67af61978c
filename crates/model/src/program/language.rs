//! What is asked of a program because it is, or is not, a language model's.

use std::collections::BTreeSet;

use credence_exact::{Dtype, NodeId, Op, Shape};

use super::{ProgramError, at};
use crate::language::{LanguageLayout, LanguageSpec};
use crate::spec::{Decode, ProgramSpec};

/// Largest vocabulary, and largest context.
const LANGUAGE_MAX: u32 = 1 << 20;

fn refuse<T>(reason: &'static str) -> Result<T, ProgramError> {
    Err(ProgramError::Language { reason })
}

/// Checks what does not need shapes: before they are inferred.
pub(super) fn check_form(spec: &ProgramSpec) -> Result<(), ProgramError> {
    let Some(language) = &spec.language else {
        return Ok(());
    };
    if !spec.inputs.is_empty() || !spec.outputs.is_empty() {
        return refuse("it takes tokens and gives logits, so it has no inputs and no outputs");
    }
    let limited = |n: u32| (1..=LANGUAGE_MAX).contains(&n);
    if !limited(language.vocabulary) || !limited(language.context) {
        return refuse("vocabulary and context are in 1..=2^20");
    }
    if let Some(encoder) = &language.encoder {
        let Decode::Scale { multiplier, shift } = encoder.decode else {
            return refuse("an encoder's embedding is decoded by a scale");
        };
        if multiplier < 1 || !(0..=126).contains(&shift) {
            return refuse("an embedding's scale has a multiplier above 0 and a shift in 0..=126");
        }
    }
    let mut attended = BTreeSet::new();
    for node in &spec.nodes {
        let remembered = node.op.remembered().and_then(|id| spec.nodes.get(at(id.0)));
        if remembered.is_some_and(|node| !node.cut) {
            return refuse("keys and values that later positions read are cut");
        }
        let scores = |id: &NodeId| {
            let read = spec.nodes.get(at(id.0)).map(|node| &node.op);
            matches!(read, Some(Op::Scores(_)))
        };
        if matches!(node.op, Op::Scores(_)) && !node.cut {
            return refuse("scores are cut");
        }
        if let Op::Scores(op) = &node.op
            && op.q == op.k
        {
            return refuse("queries and keys are two nodes");
        }
        if let Op::Scores(op) = &node.op
            && op.ahead != language.encoder.is_some()
        {
            return refuse("an encoder's positions see all others, and no other model's do");
        }
        if let Op::Attend(op) = &node.op {
            if node.dtype != Dtype::I16 {
                return refuse("`attend` gives values of i16");
            }
            if scores(&op.v) {
                return refuse("`attend` means values, not scores");
            }
            if !attended.insert(op.scores) {
                return refuse("scores are read by one `attend`");
            }
        }
        if !matches!(node.op, Op::Attend(_)) && node.op.operands().iter().any(scores) {
            return refuse("scores are read by `attend` alone");
        }
    }
    let text = spec.params.get(at(language.text.0));
    if !text.is_some_and(|text| text.dtype == Dtype::I8 && text.shape.len() == 1) {
        return refuse("its text is a parameter of i8 with one axis");
    }
    Ok(())
}

/// Checks the logits and lays out the trace.
pub(super) fn lay_out(
    spec: &ProgramSpec,
    language: &LanguageSpec,
    shapes: &[Shape],
) -> Result<LanguageLayout, ProgramError> {
    let logits = at(language.logits.0);
    let node = spec.nodes.get(logits).zip(shapes.get(logits));
    let fits = node.is_some_and(|(node, shape)| {
        let sized = match &language.encoder {
            Some(_) => shape.dims().len() == 1,
            None => shape.dims() == [at(language.vocabulary)],
        };
        node.cut && node.dtype == Dtype::I32 && sized
    });
    if !fits {
        return refuse(
            "its logits are a cut node of i32 with a cell for each token id, or an encoder's embedding one with one axis",
        );
    }
    let Some(layout) = LanguageLayout::new(spec, shapes) else {
        return refuse("its trace is too large");
    };
    if layout.is_carried(language.logits) {
        return refuse("no key and no value depends on the logits");
    }
    Ok(layout)
}
