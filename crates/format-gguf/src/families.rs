//! The architectures this version knows, as one table: what each has that the others have not.

use credence_import::language::{Activation, NormKind};

/// Whether a part is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Never,
    Maybe,
    Always,
}

/// What `attention.sliding_window` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Windows {
    /// It may be there, but must not narrow anything.
    Wide,
    /// All blocks have it.
    All,
    /// Some blocks have it, and rotate by a base of their own.
    Pattern,
}

/// One architecture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    /// `general.architecture`.
    pub(crate) name: &'static str,
    pub(crate) norm: NormKind,
    pub(crate) activation: Activation,
    pub(crate) gated: bool,
    /// Positions are learned, not rotated.
    pub(crate) learned: bool,
    /// Queries and keys lie in pairs, not in halves.
    pub(crate) pairs: bool,
    /// Queries, keys and values are one tensor.
    pub(crate) fused: bool,
    /// Biases of queries, keys and values.
    pub(crate) qkv_bias: Presence,
    /// Biases of attention's output.
    pub(crate) out_bias: Presence,
    /// Biases of the feed-forward part.
    pub(crate) feed_bias: Presence,
    /// Queries and keys are normalised.
    pub(crate) head_norms: bool,
    /// Results are normalised before they are added.
    pub(crate) post_norms: bool,
    /// Embeddings are multiplied by the square root of the width.
    pub(crate) scaled_embedding: bool,
    /// `rope_freqs.weight` may be there.
    pub(crate) frequency_factors: bool,
    /// `attention.scale` may be there.
    pub(crate) own_scale: bool,
    /// `final_logit_softcapping` may be there.
    pub(crate) logit_softcap: bool,
    pub(crate) windows: Windows,
}

/// Llama, Mistral, and what else is converted as `llama`.
const LLAMA: Family = Family {
    name: "llama",
    norm: NormKind::Rms,
    activation: Activation::Silu,
    gated: true,
    learned: false,
    pairs: true,
    fused: false,
    qkv_bias: Presence::Maybe,
    out_bias: Presence::Maybe,
    feed_bias: Presence::Maybe,
    head_norms: false,
    post_norms: false,
    scaled_embedding: false,
    frequency_factors: true,
    own_scale: true,
    logit_softcap: false,
    windows: Windows::All,
};

const QWEN2: Family = Family {
    name: "qwen2",
    pairs: false,
    out_bias: Presence::Never,
    feed_bias: Presence::Never,
    frequency_factors: false,
    own_scale: false,
    windows: Windows::Wide,
    ..LLAMA
};

const QWEN3: Family = Family {
    name: "qwen3",
    head_norms: true,
    ..QWEN2
};

const GEMMA3: Family = Family {
    name: "gemma3",
    activation: Activation::GeluTanh,
    qkv_bias: Presence::Never,
    head_norms: true,
    post_norms: true,
    scaled_embedding: true,
    logit_softcap: true,
    windows: Windows::Pattern,
    ..QWEN2
};

const GPT2: Family = Family {
    name: "gpt2",
    norm: NormKind::Layer,
    activation: Activation::GeluTanh,
    gated: false,
    learned: true,
    fused: true,
    qkv_bias: Presence::Always,
    out_bias: Presence::Always,
    feed_bias: Presence::Always,
    ..QWEN2
};

/// All of them.
pub(crate) const FAMILIES: [Family; 5] = [LLAMA, QWEN2, QWEN3, GEMMA3, GPT2];
