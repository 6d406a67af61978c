//! Whether the parts of a language model fit together. It reads sizes, vectors and numbers, and deliberately no element of a matrix.

use super::graph::{Attention, Block, Feed, Head, LanguageParts, Linear, Norm, Position, Rope};
use super::graph_error::LanguageError;
use super::graph_rows::Rows;

/// Most of anything that is counted: tokens, elements, positions.
const COUNT_MAX: usize = 1 << 24;
/// Most blocks.
const BLOCKS_MAX: usize = 1 << 12;

/// Checks everything.
pub(super) fn check(parts: &LanguageParts) -> Result<(), LanguageError> {
    sizes(parts)?;
    numbers(parts)?;
    matrix(
        "the embedding",
        &*parts.embedding,
        parts.vocabulary,
        parts.width,
    )?;
    position(parts)?;
    for (index, block) in parts.blocks.iter().enumerate() {
        Checker { parts, index }.block(block)?;
    }
    norm("the final norm", &parts.final_norm, parts.width)?;
    if let Head::Own(head) = &parts.head {
        matrix("the head", &**head, parts.vocabulary, parts.width)?;
    }
    text(parts)
}

fn size(what: &'static str, got: usize, max: usize) -> Result<(), LanguageError> {
    if (1..=max).contains(&got) {
        Ok(())
    } else {
        Err(LanguageError::Size {
            what,
            min: 1,
            max,
            got,
        })
    }
}

fn sizes(parts: &LanguageParts) -> Result<(), LanguageError> {
    size("vocabulary", parts.vocabulary, COUNT_MAX)?;
    size("width", parts.width, COUNT_MAX)?;
    size("context", parts.context, COUNT_MAX)?;
    size("number of heads", parts.heads, COUNT_MAX)?;
    size("number of key heads", parts.kv_heads, parts.heads)?;
    size("head width", parts.head_width, COUNT_MAX)?;
    size(
        "width of all heads",
        parts.heads.saturating_mul(parts.head_width),
        COUNT_MAX,
    )?;
    size("number of blocks", parts.blocks.len(), BLOCKS_MAX)?;
    if parts.heads.is_multiple_of(parts.kv_heads) {
        Ok(())
    } else {
        Err(LanguageError::Multiple {
            what: "number of heads",
            of: parts.kv_heads,
            got: parts.heads,
        })
    }
}

fn positive(what: &'static str, got: f32) -> Result<(), LanguageError> {
    if got.is_finite() && got > 0.0 {
        Ok(())
    } else {
        Err(LanguageError::Number { what, got })
    }
}

fn numbers(parts: &LanguageParts) -> Result<(), LanguageError> {
    positive("attention scale", parts.attention_scale)?;
    positive("embedding scale", parts.embedding_scale)?;
    positive("norm epsilon", parts.epsilon)?;
    for (what, cap) in [
        ("soft limit on scores", parts.softcaps.attention),
        ("soft limit on logits", parts.softcaps.logits),
    ] {
        cap.map_or(Ok(()), |cap| positive(what, cap))?;
    }
    Ok(())
}

fn position(parts: &LanguageParts) -> Result<(), LanguageError> {
    match &parts.position {
        Position::Learned(table) => matrix(
            "the table of positions",
            &**table,
            parts.context,
            parts.width,
        ),
        Position::Rope(ropes) => ropes.iter().try_for_each(|rope| rotation(parts, rope)),
    }
}

fn rotation(parts: &LanguageParts, rope: &Rope) -> Result<(), LanguageError> {
    positive("base of the rotation", rope.base)?;
    positive("scale of the rotation", rope.linear)?;
    size("number of rotated elements", rope.dims, parts.head_width)?;
    if !rope.dims.is_multiple_of(2) {
        return Err(LanguageError::Multiple {
            what: "number of rotated elements",
            of: 2,
            got: rope.dims,
        });
    }
    let Some(factors) = &rope.factors else {
        return Ok(());
    };
    length("the factors of the rotation", factors, rope.dims / 2)?;
    factors
        .iter()
        .try_for_each(|&factor| positive("factor of a rotation's frequency", factor))
}

fn matrix(part: &str, matrix: &dyn Rows, rows: usize, columns: usize) -> Result<(), LanguageError> {
    if (matrix.rows(), matrix.columns()) == (rows, columns) {
        Ok(())
    } else {
        Err(LanguageError::Shape {
            part: part.to_owned(),
            rows,
            columns,
            got_rows: matrix.rows(),
            got_columns: matrix.columns(),
        })
    }
}

fn length<T>(part: &str, values: &[T], expected: usize) -> Result<(), LanguageError> {
    if values.len() == expected {
        Ok(())
    } else {
        Err(LanguageError::Length {
            part: part.to_owned(),
            expected,
            got: values.len(),
        })
    }
}

fn vector(part: &str, values: &[f32], expected: usize) -> Result<(), LanguageError> {
    length(part, values, expected)?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(element) => Err(LanguageError::NotFinite {
            part: part.to_owned(),
            element,
            got: values[element],
        }),
        None => Ok(()),
    }
}

fn norm(part: &str, norm: &Norm, width: usize) -> Result<(), LanguageError> {
    vector(part, &norm.gain, width)?;
    norm.bias.as_ref().map_or(Ok(()), |bias| {
        vector(&format!("{part}'s bias"), bias, width)
    })
}

struct Checker<'a> {
    parts: &'a LanguageParts,
    index: usize,
}

impl Checker<'_> {
    fn name(&self, part: &str) -> String {
        format!("block {}: {part}", self.index)
    }

    fn linear(
        &self,
        part: &str,
        linear: &Linear,
        rows: usize,
        columns: usize,
    ) -> Result<(), LanguageError> {
        matrix(&self.name(part), &*linear.weight, rows, columns)?;
        linear.bias.as_ref().map_or(Ok(()), |bias| {
            vector(&self.name(&format!("{part}'s bias")), bias, rows)
        })
    }

    fn block(&self, block: &Block) -> Result<(), LanguageError> {
        self.attention(&block.attention)?;
        self.feed(&block.feed)
    }

    fn attention(&self, attention: &Attention) -> Result<(), LanguageError> {
        let parts = self.parts;
        let (width, head) = (parts.width, parts.head_width);
        let (queries, keys) = (parts.heads * head, parts.kv_heads * head);
        norm(&self.name("the norm of attention"), &attention.norm, width)?;
        self.linear("q", &attention.q, queries, width)?;
        self.linear("k", &attention.k, keys, width)?;
        self.linear("v", &attention.v, keys, width)?;
        self.linear("out", &attention.out, width, queries)?;
        for (part, gain) in [
            ("the norm of q", &attention.q_norm),
            ("the norm of k", &attention.k_norm),
        ] {
            gain.as_ref()
                .map_or(Ok(()), |gain| vector(&self.name(part), gain, head))?;
        }
        if let Some(post) = &attention.post_norm {
            norm(&self.name("the norm after attention"), post, width)?;
        }
        if let Some(window) = attention.window {
            size("window of attention", window, COUNT_MAX)?;
        }
        let count = match &parts.position {
            Position::Rope(ropes) => ropes.len(),
            Position::Learned(_) => 1,
        };
        if attention.rope < count {
            Ok(())
        } else {
            Err(LanguageError::Rope {
                block: self.index,
                got: attention.rope,
                count,
            })
        }
    }

    fn feed(&self, feed: &Feed) -> Result<(), LanguageError> {
        let width = self.parts.width;
        let inner = feed.up.weight.rows();
        size("width of the feed-forward part", inner, COUNT_MAX)?;
        norm(
            &self.name("the norm of the feed-forward part"),
            &feed.norm,
            width,
        )?;
        let said = |there: bool| if there { "there" } else { "absent" };
        if feed.gate.is_some() != self.parts.gated {
            return Err(LanguageError::Gate {
                block: self.index,
                expected: said(self.parts.gated),
                got: said(feed.gate.is_some()),
            });
        }
        if let Some(gate) = &feed.gate {
            self.linear("gate", gate, inner, width)?;
        }
        self.linear("up", &feed.up, inner, width)?;
        self.linear("down", &feed.down, width, inner)?;
        feed.post_norm.as_ref().map_or(Ok(()), |post| {
            norm(
                &self.name("the norm after the feed-forward part"),
                post,
                width,
            )
        })
    }
}

fn text(parts: &LanguageParts) -> Result<(), LanguageError> {
    let text = &parts.text;
    let count = parts.vocabulary;
    length("the list of tokens", &text.tokens, count)?;
    if !text.types.is_empty() {
        length("the list of token types", &text.types, count)?;
    }
    if !text.scores.is_empty() {
        vector("the list of token scores", &text.scores, count)?;
    }
    for (role, id) in text.special.all() {
        let Some(got) = id else { continue };
        if usize::try_from(got).map_or(true, |id| id >= count) {
            return Err(LanguageError::Special { role, got, count });
        }
    }
    Ok(())
}
