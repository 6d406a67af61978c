//! Shapes as constants, in which the size of the batch stays open, and constants made of shapes.

use std::sync::Arc;

use super::fold;
use crate::constant::{Constant, Values};
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// Most elements that a constant is made to have.
const CELLS_MAX: usize = 1 << 24;

/// Sizes, the batch open: what `Shape` gives.
pub(crate) fn shape(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["end", "start"])?;
    let sizes = match node.operand(0) {
        Some(Slot::Constant(constant)) => {
            let sizes = constant.shape.iter().map(|&dim| i64::try_from(dim).ok());
            sizes.collect::<Vec<_>>()
        }
        _ => {
            let (x, batch) = node.placed(0)?;
            let mut sizes: Vec<Option<i64>> = t
                .shape(x)
                .iter()
                .map(|&dim| i64::try_from(dim).ok())
                .collect();
            sizes.insert(batch.min(sizes.len()), None);
            sizes
        }
    };
    let rank = i64::try_from(sizes.len()).unwrap_or(0);
    let end = |name: &str, default: i64| {
        let at = attributes.int_or(name, default)?;
        let at = if at < 0 { at + rank } else { at };
        Ok::<_, OnnxError>(usize::try_from(at.clamp(0, rank)).unwrap_or(0))
    };
    let (start, end) = (end("start", 0)?, end("end", rank)?);
    let part = sizes.get(start..end).unwrap_or_default().to_vec();
    Ok(fold::made(node, vec![part.len()], Values::of_sizes(part)))
}

/// One number in every element of a constant shape.
pub(crate) fn constant_of_shape(
    _: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["value"])?;
    let sizes = node.ints(0)?.unwrap_or_default();
    let shape: Option<Vec<usize>> = sizes.iter().map(|&n| usize::try_from(n).ok()).collect();
    let cells = |shape: &Vec<usize>| {
        let cells = shape.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim));
        cells.filter(|&cells| cells <= CELLS_MAX)
    };
    let Some((shape, cells)) = shape.and_then(|shape| {
        let cells = cells(&shape)?;
        Some((shape, cells))
    }) else {
        let expected = "sizes of at most 2^24 elements together";
        return Err(node.operand_error(0, expected, format!("{sizes:?}")));
    };
    let value = attributes.tensor("value")?.map(Constant::new).transpose()?;
    let values = match value.map(|value| value.values) {
        None => Values::Floats(vec![0.0; cells]),
        Some(Values::Floats(one)) if one.len() == 1 => Values::Floats(vec![one[0]; cells]),
        Some(Values::Ints(one)) if one.len() == 1 => Values::Ints(vec![one[0]; cells]),
        Some(_) => return Err(attributes.error("value", "of one element", "of several")),
    };
    Ok(fold::made(node, shape, values))
}

/// `start, start + delta, …` below `limit`, all constant.
pub(crate) fn range(_: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    node.attributes(&[])?;
    let (start, limit, delta) = (node.number(0)?, node.number(1)?, node.number(2)?);
    let count = ((limit - start) / delta).ceil();
    let cells = (0..=CELLS_MAX).find(|&n| fold::real(i64::try_from(n).unwrap_or(0)) >= count);
    let Some(cells) = cells.filter(|_| delta != 0.0 && count.is_finite()) else {
        return Err(node.operand_error(2, "a step that ends within 2^24", delta.to_string()));
    };
    let at = |n: usize| start + delta * fold::real(i64::try_from(n).unwrap_or(0));
    let integers = matches!(node.operand(0), Some(Slot::Constant(c)) if c.ints().is_some());
    let values = (0..cells).map(|n| crate::constant::narrow(at(n)));
    let values = Values::Floats(values.collect());
    let constant = Constant::made(node.name.clone(), vec![cells], values);
    if !integers {
        return Ok(vec![Slot::Constant(Arc::new(constant))]);
    }
    let (start, delta) = (node.ints(0)?, node.ints(2)?);
    let (Some([start]), Some([delta])) = (start, delta) else {
        return Err(node.operand_error(0, "three integers", "others"));
    };
    let all = (0..cells).map(|n| {
        let steps = delta.checked_mul(i64::try_from(n).ok()?)?;
        start.checked_add(steps)
    });
    let all = all.collect::<Option<Vec<i64>>>();
    let all = all.ok_or_else(|| node.operand_error(1, "within 64 bits", "beyond"))?;
    Ok(fold::made(node, vec![cells], Values::Ints(all)))
}
