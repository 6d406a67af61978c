//! From a file to a language graph: which architecture, its sizes, its positions, and then every tensor.
//!
//! Meanings follow what llama.cpp computes for the same file. Where it ignores a setting, the setting is refused unless it is known to change nothing.

mod rope;

use credence_import::language::{Head, LanguageGraph, LanguageParts, Norm, NormKind, Softcaps};

use crate::blocks::Blocks;
use crate::error::GgufError;
use crate::families::{FAMILIES, Family, Windows};
use crate::file::Gguf;
use crate::matrix::RowOrder;
use crate::number::from_count;
use crate::settings::{Settings, refused};
use crate::tensors::Tensors;
use crate::text::text_source;

/// Of so many blocks, the last one sees everything, where a file does not say.
const PATTERN_DEFAULT: usize = 6;
/// The one model of the Gemma 3 family whose scores are scaled by the width; files do not say so, but it alone has so many blocks.
const GEMMA3_27B_BLOCKS: usize = 62;

/// Names of all architectures that are supported.
#[must_use]
pub fn supported_architectures() -> String {
    FAMILIES.map(|family| family.name).join(", ")
}

/// Sizes that every part hangs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) width: usize,
    pub(crate) context: usize,
    pub(crate) blocks: usize,
    pub(crate) inner: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
}

/// Turns a file into a graph. Matrices keep the file's bytes alive.
///
/// # Errors
/// [`GgufError`]: an architecture, setting or tensor that is not known or missing, or parts that do not fit.
pub fn language_graph(file: &Gguf) -> Result<LanguageGraph, GgufError> {
    let mut settings = Settings::new(file);
    settings.only_text("general.type", "model")?;
    settings.only_count("split.count", 1)?;
    let name = settings.need_text("general.architecture")?;
    let family = FAMILIES.iter().find(|family| family.name == name);
    let family = family.ok_or_else(|| GgufError::Architecture {
        got: name.to_owned(),
        supported: supported_architectures(),
    })?;
    let mut reader = Reader {
        family,
        tensors: Tensors::new(file),
        settings,
    };
    let parts = reader.parts()?;
    let prefix = format!("{}.", family.name);
    reader.settings.finish(&[&prefix, "tokenizer."])?;
    reader.tensors.finish(family.name)?;
    Ok(LanguageGraph::new(parts)?)
}

struct Reader<'a> {
    family: &'static Family,
    settings: Settings<'a>,
    tensors: Tensors<'a>,
}

impl Reader<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.family.name)
    }

    fn parts(&mut self) -> Result<LanguageParts, GgufError> {
        let family = self.family;
        self.neutral()?;
        let sizes = self.sizes()?;
        let vocabulary = self.vocabulary()?;
        let straight = RowOrder::Straight;
        let width = sizes.width;
        let embedding = (self.tensors).matrix("token_embd.weight", vocabulary, width, straight)?;
        let (position, sharper) = self.position(sizes)?;
        let windows = self.windows(sizes)?;
        let mut blocks = Blocks {
            family,
            sizes,
            tensors: &mut self.tensors,
        };
        let built = (0..sizes.blocks).zip(windows);
        let built = built.map(|(index, window)| blocks.block(index, window));
        let blocks = built.collect::<Result<Vec<_>, _>>()?;
        let final_norm = self.final_norm(width)?;
        let head = (self.tensors).maybe_matrix("output.weight", vocabulary, width, straight)?;
        Ok(LanguageParts {
            name: self.name()?,
            vocabulary,
            width,
            context: sizes.context,
            heads: sizes.heads,
            kv_heads: sizes.kv_heads,
            head_width: sizes.head_width,
            attention_scale: self.attention_scale(sizes)? * sharper,
            norm: family.norm,
            epsilon: self.epsilon()?,
            position,
            activation: family.activation,
            gated: family.gated,
            embedding,
            embedding_scale: if family.scaled_embedding {
                from_count(width).sqrt()
            } else {
                1.0
            },
            blocks,
            final_norm,
            head: head.map_or(Head::Tied, Head::Own),
            softcaps: self.softcaps()?,
            text: text_source(&mut self.settings)?,
        })
    }

    fn name(&mut self) -> Result<String, GgufError> {
        let name = self.settings.text("general.name")?;
        Ok(name.unwrap_or(self.family.name).to_owned())
    }

    /// Settings that must not say anything unusual, or say nothing about what is computed.
    fn neutral(&mut self) -> Result<(), GgufError> {
        for key in ["expert_count", "expert_used_count"] {
            let key = self.key(key);
            self.settings.only_count(&key, 0)?;
        }
        let key = self.key("attention.causal");
        self.settings.only_flag(&key, true)?;
        for key in ["rope.scaling.finetuned", "tensor_data_layout"] {
            let key = self.key(key);
            self.settings.ignore(&key);
        }
        Ok(())
    }

    fn sizes(&mut self) -> Result<Sizes, GgufError> {
        let mut need = |key: &str| {
            let key = self.key(key);
            self.settings.need_count(&key)
        };
        let width = need("embedding_length")?;
        let context = need("context_length")?;
        let blocks = need("block_count")?;
        let inner = need("feed_forward_length")?;
        let heads = need("attention.head_count")?;
        // Each block has tensors of its own, so this bounds what is made for a count that is a lie.
        let tensors = self.tensors.count();
        if blocks > tensors {
            let key = self.key("block_count");
            let expected = format!("at most {tensors}, the number of tensors");
            return Err(refused(&key, expected, blocks.to_string()));
        }
        let key = self.key("attention.head_count_kv");
        let kv_heads = self.settings.same_count(&key)?.unwrap_or(heads);
        let key = self.key("attention.key_length");
        let head_width = match self.settings.count(&key)? {
            Some(length) => length,
            None if heads > 0 && width.is_multiple_of(heads) => width / heads,
            None => return Err(GgufError::Missing { key }),
        };
        let key = self.key("attention.value_length");
        self.settings.only_count(&key, head_width)?;
        Ok(Sizes {
            width,
            context,
            blocks,
            inner,
            heads,
            kv_heads,
            head_width,
        })
    }

    /// As many tokens as the embedding has rows.
    fn vocabulary(&mut self) -> Result<usize, GgufError> {
        let embedding = self.tensors.need("token_embd.weight")?;
        let rows = embedding.dims().get(1).copied().unwrap_or(1);
        let key = self.key("vocab_size");
        self.settings.only_count(&key, rows)?;
        Ok(rows)
    }

    fn epsilon(&mut self) -> Result<f32, GgufError> {
        let key = self.key(match self.family.norm {
            NormKind::Rms => "attention.layer_norm_rms_epsilon",
            NormKind::Layer => "attention.layer_norm_epsilon",
        });
        let found = self.settings.number(&key)?;
        found.ok_or(GgufError::Missing { key })
    }

    fn attention_scale(&mut self, sizes: Sizes) -> Result<f32, GgufError> {
        let by_heads = 1.0 / from_count(sizes.head_width).sqrt();
        if self.family.own_scale {
            let key = self.key("attention.scale");
            let own = self.settings.number(&key)?;
            // As elsewhere in the format, 0 says nothing.
            return Ok(own.filter(|&own| own != 0.0).unwrap_or(by_heads));
        }
        let by_width = self.family.windows == Windows::Pattern && sizes.blocks == GEMMA3_27B_BLOCKS;
        Ok(if by_width && sizes.heads > 0 {
            1.0 / from_count(sizes.width / sizes.heads).sqrt()
        } else {
            by_heads
        })
    }

    fn softcaps(&mut self) -> Result<Softcaps, GgufError> {
        if !self.family.logit_softcap {
            return Ok(Softcaps::default());
        }
        let key = self.key("final_logit_softcapping");
        let logits = self.settings.number(&key)?.filter(|&cap| cap != 0.0);
        Ok(Softcaps {
            attention: None,
            logits,
        })
    }

    fn final_norm(&mut self, width: usize) -> Result<Norm, GgufError> {
        let gain = self.tensors.vector("output_norm.weight", width)?;
        let bias = match self.family.norm {
            NormKind::Rms => None,
            NormKind::Layer => Some(self.tensors.vector("output_norm.bias", width)?),
        };
        Ok(Norm { gain, bias })
    }

    /// For each block, its window and which rotation it uses.
    fn windows(&mut self, sizes: Sizes) -> Result<Vec<(Option<usize>, usize)>, GgufError> {
        let key = self.key("attention.sliding_window");
        let window = self.settings.count(&key)?.filter(|&window| window > 0);
        let narrow = window.filter(|&window| window < sizes.context);
        match self.family.windows {
            Windows::Wide => match narrow {
                Some(got) => Err(refused(&key, "no less than the context", got.to_string())),
                None => Ok(vec![(None, 0); sizes.blocks]),
            },
            Windows::All => Ok(vec![(narrow, 0); sizes.blocks]),
            Windows::Pattern => {
                let local = self.pattern(sizes)?;
                let block = |local: bool| match window {
                    Some(window) if local => (Some(window), 1),
                    _ => (None, 0),
                };
                Ok(local.into_iter().map(block).collect())
            }
        }
    }

    /// Whether each block sees a window alone.
    fn pattern(&mut self, sizes: Sizes) -> Result<Vec<bool>, GgufError> {
        let key = self.key("attention.sliding_window_pattern");
        if let Some(flags) = self.settings.flags(&key)? {
            if flags.len() == sizes.blocks {
                return Ok(flags);
            }
            let expected = format!("{} truth values", sizes.blocks);
            return Err(refused(&key, expected, flags.len().to_string()));
        }
        let period = self.settings.count(&key)?.unwrap_or(PATTERN_DEFAULT);
        if period == 0 {
            return Err(refused(&key, "a positive count", "0"));
        }
        Ok((0..sizes.blocks)
            .map(|block| block % period < period - 1)
            .collect())
    }
}
