//! What products read on the calibration text: 8-bit cells, kept as the integer program made them. A token's cells are divided by its own largest
//! magnitude, so every token counts alike. All of it is in memory at once: a byte for each token and cell.

use std::sync::Arc;

use credence_exact::NodeId;
use credence_exec::{Append, Engine};
use credence_model::Model;

use super::{LanguageLowerError, LanguageOptions};

/// Products of a block that read inputs of their own.
pub(super) const PRODUCTS: usize = 4;
/// Names of these inputs' nodes behind `block.N.`: of queries, keys and values; of the output; of gate and up; of the last product.
const NAMES: [&str; PRODUCTS] = ["attention.q", "mean.q", "feed.q", "spread.q"];
/// The input of the head.
const HEAD: &str = "head.q";

/// The inputs of one product, token by token.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    pub(super) width: usize,
    pub(super) cells: Vec<i8>,
}

/// The inputs of all products.
#[derive(Debug)]
pub(super) struct Collected {
    /// By block, in the order of the block's products.
    pub(super) blocks: Vec<[Inputs; PRODUCTS]>,
    pub(super) head: Inputs,
}

/// Runs the calibration.
pub(super) fn collect(
    model: &Arc<Model>,
    options: &LanguageOptions,
    blocks: usize,
) -> Result<Collected, LanguageLowerError> {
    let engine = Engine::new(Arc::clone(model), options.exec)?;
    let nodes = model.program().nodes();
    let places: Vec<Option<Place>> = nodes.map(|(_, node, _)| place(&node.name)).collect();
    let place = |node: NodeId| {
        let at = usize::try_from(node.0).unwrap_or(usize::MAX);
        places.get(at).copied().flatten()
    };
    let mut collected = Collected {
        blocks: vec![Default::default(); blocks],
        head: Inputs::default(),
    };
    let texts = options.calibration.iter();
    for tokens in texts.filter(|tokens| !tokens.is_empty()) {
        let mut session = engine.session()?;
        let mut appends = [Append {
            session: &mut session,
            tokens,
            sampled: tokens.len(),
        }];
        let mut observer = |node: NodeId, _: usize, _: usize, cells: &[i64]| {
            let inputs = match place(node) {
                Some(Place::Head) => Some(&mut collected.head),
                Some(Place::Block(block, product)) => {
                    let own = collected.blocks.get_mut(block);
                    own.and_then(|own| own.get_mut(product))
                }
                None => None,
            };
            if let Some(inputs) = inputs {
                let narrow = |&cell: &i64| i8::try_from(cell).unwrap_or(0);
                inputs.width = cells.len();
                inputs.cells.extend(cells.iter().map(narrow));
            }
        };
        let wanted = |node: NodeId| place(node).is_some();
        engine.advance_watching(&mut appends, &mut |_, _, _| {}, &wanted, &mut observer)?;
    }
    Ok(collected)
}

/// Whose input a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Of a block's product.
    Block(usize, usize),
    Head,
}

fn place(name: &str) -> Option<Place> {
    if name == HEAD {
        return Some(Place::Head);
    }
    let (block, part) = name.strip_prefix("block.")?.split_once('.')?;
    let product = NAMES.iter().position(|name| *name == part)?;
    Some(Place::Block(block.parse().ok()?, product))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_known_by_name() {
        assert_eq!(place("block.12.spread.q"), Some(Place::Block(12, 3)));
        assert_eq!(place("block.0.attention.q"), Some(Place::Block(0, 0)));
        assert_eq!(place("head.q"), Some(Place::Head));
        for other in [
            "block.0.q",
            "block.x.mean.q",
            "block.0.queries.norm.q",
            "logits",
        ] {
            assert_eq!(place(other), None, "{other}");
        }
    }
}
