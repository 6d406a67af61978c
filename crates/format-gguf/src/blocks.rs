//! The tensors of one block, by their names in the file.

use credence_import::language::{Attention, Block, Feed, Linear, Norm, NormKind};

use crate::architecture::Sizes;
use crate::error::GgufError;
use crate::families::{Family, Presence};
use crate::matrix::RowOrder;
use crate::tensors::Tensors;

/// Makes blocks of one file.
pub(crate) struct Blocks<'b, 'a> {
    pub(crate) family: &'static Family,
    pub(crate) sizes: Sizes,
    pub(crate) tensors: &'b mut Tensors<'a>,
}

/// One product of a block.
struct Shape {
    rows: usize,
    columns: usize,
    order: RowOrder,
    bias: Presence,
}

impl Blocks<'_, '_> {
    /// Block `index`, with its window and rotation.
    pub(crate) fn block(
        &mut self,
        index: usize,
        (window, rope): (Option<usize>, usize),
    ) -> Result<Block, GgufError> {
        let name = |part: &str| format!("blk.{index}.{part}");
        let (family, sizes) = (self.family, self.sizes);
        let queries = sizes.heads.saturating_mul(sizes.head_width);
        let [q, k, v] = self.qkv(&name)?;
        let mut maybe = |part: &str, there: bool, length: usize| match there {
            true => self.tensors.vector(&name(part), length).map(Some),
            false => Ok(None),
        };
        let head = sizes.head_width;
        let q_norm = maybe("attn_q_norm.weight", family.head_norms, head)?;
        let k_norm = maybe("attn_k_norm.weight", family.head_norms, head)?;
        let attention = Attention {
            norm: self.norm(&name("attn_norm"))?,
            q,
            k,
            v,
            out: self.plain(&name("attn_output"), sizes.width, queries, family.out_bias)?,
            q_norm,
            k_norm,
            post_norm: self.post_norm(&name("post_attention_norm"))?,
            window,
            rope,
        };
        let (width, inner, bias) = (sizes.width, sizes.inner, family.feed_bias);
        let gate = match family.gated {
            true => Some(self.plain(&name("ffn_gate"), inner, width, bias)?),
            false => None,
        };
        let feed = Feed {
            norm: self.norm(&name("ffn_norm"))?,
            gate,
            up: self.plain(&name("ffn_up"), inner, width, bias)?,
            down: self.plain(&name("ffn_down"), width, inner, bias)?,
            post_norm: self.post_norm(&name("post_ffw_norm"))?,
        };
        Ok(Block { attention, feed })
    }

    fn norm(&mut self, name: &str) -> Result<Norm, GgufError> {
        let width = self.sizes.width;
        let gain = self.tensors.vector(&format!("{name}.weight"), width)?;
        let bias = match self.family.norm {
            NormKind::Rms => None,
            NormKind::Layer => Some(self.tensors.vector(&format!("{name}.bias"), width)?),
        };
        Ok(Norm { gain, bias })
    }

    fn post_norm(&mut self, name: &str) -> Result<Option<Norm>, GgufError> {
        if self.family.post_norms {
            self.norm(name).map(Some)
        } else {
            Ok(None)
        }
    }

    fn plain(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
        bias: Presence,
    ) -> Result<Linear, GgufError> {
        let order = RowOrder::Straight;
        let shape = Shape {
            rows,
            columns,
            order,
            bias,
        };
        self.linear(name, &shape)
    }

    fn linear(&mut self, name: &str, shape: &Shape) -> Result<Linear, GgufError> {
        let weight = format!("{name}.weight");
        let weight = (self.tensors).matrix(&weight, shape.rows, shape.columns, shape.order)?;
        let bias = self.bias(&format!("{name}.bias"), shape.rows, shape.bias)?;
        let bias = bias.map(|bias| reorder(&bias, shape.order));
        Ok(Linear { weight, bias })
    }

    fn bias(
        &mut self,
        name: &str,
        length: usize,
        presence: Presence,
    ) -> Result<Option<Vec<f32>>, GgufError> {
        match presence {
            Presence::Never => Ok(None),
            Presence::Maybe => self.tensors.maybe_vector(name, length),
            Presence::Always => self.tensors.vector(name, length).map(Some),
        }
    }

    fn qkv(&mut self, name: &impl Fn(&str) -> String) -> Result<[Linear; 3], GgufError> {
        let (family, sizes) = (self.family, self.sizes);
        let queries = sizes.heads.saturating_mul(sizes.head_width);
        let keys = sizes.kv_heads.saturating_mul(sizes.head_width);
        if family.fused {
            return self.fused(&name("attn_qkv"), queries, keys);
        }
        let turned = match family.pairs {
            true => RowOrder::Pairs(sizes.head_width),
            false => RowOrder::Straight,
        };
        let shape = |rows: usize, order: RowOrder| Shape {
            rows,
            columns: sizes.width,
            order,
            bias: family.qkv_bias,
        };
        Ok([
            self.linear(&name("attn_q"), &shape(queries, turned))?,
            self.linear(&name("attn_k"), &shape(keys, turned))?,
            self.linear(&name("attn_v"), &shape(keys, RowOrder::Straight))?,
        ])
    }

    /// Queries, keys and values one below the other in one tensor.
    fn fused(&mut self, name: &str, queries: usize, keys: usize) -> Result<[Linear; 3], GgufError> {
        let rows = keys.saturating_mul(2).saturating_add(queries);
        let weight = format!("{name}.weight");
        let order = RowOrder::Straight;
        // The whole, for the check of its shape.
        (self.tensors).matrix(&weight, rows, self.sizes.width, order)?;
        let tensor = self.tensors.need(&weight)?;
        let bias = self.bias(&format!("{name}.bias"), rows, self.family.qkv_bias)?;
        let ends = [0, queries, queries.saturating_add(keys), rows];
        let part = |at: usize| {
            let range = ends[at]..ends[at + 1];
            Linear {
                weight: self.tensors.view(tensor, range.clone(), order),
                bias: bias.as_ref().map(|bias| bias[range].to_vec()),
            }
        };
        Ok([part(0), part(1), part(2)])
    }
}

/// Elements of a bias in the order in which rows are read.
fn reorder(bias: &[f32], order: RowOrder) -> Vec<f32> {
    let at = |row: usize| bias.get(order.place(row)).copied().unwrap_or(f32::NAN);
    (0..bias.len()).map(at).collect()
}
