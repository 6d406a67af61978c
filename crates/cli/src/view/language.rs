//! Language models: how faithful one is, and what there is to say of its program.

use credence_exact::{NodeId, Op};
use credence_import::language::{EncoderFidelity, LanguageFidelity};
use credence_model::{LanguageLayout, LanguageSpec, Model, Provenance};
use credence_text::TextSpec;
use serde::Serialize;

/// How faithful an exact language model is.
#[derive(Debug, Serialize)]
pub(crate) struct LanguageFidelityView {
    /// Positions compared.
    positions: u64,
    float_perplexity: f64,
    exact_perplexity: f64,
    /// Mean Kullback–Leibler divergence, nats.
    divergence: f64,
    divergence_max: f64,
    /// Share of positions with the same likeliest token.
    agreement: f64,
}

impl LanguageFidelityView {
    pub(crate) const fn new(fidelity: &LanguageFidelity) -> Self {
        Self {
            positions: fidelity.positions,
            float_perplexity: fidelity.float_perplexity,
            exact_perplexity: fidelity.exact_perplexity,
            divergence: fidelity.divergence,
            divergence_max: fidelity.divergence_max,
            agreement: fidelity.agreement,
        }
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        let Self {
            positions,
            float_perplexity,
            exact_perplexity,
            divergence,
            divergence_max,
            agreement,
        } = self;
        format!(
            "fidelity over {positions} positions of a built-in text, compared with our own float run of the file:\n\n\
             perplexity       {exact_perplexity:.4} exact, {float_perplexity:.4} float\n\
             divergence       {divergence:.5} nats on average, {divergence_max:.5} at most\n\
             top-1 agreement  {:.2} %",
            agreement * 100.0
        )
    }
}

/// How faithful an exact encoder is.
#[derive(Debug, Serialize)]
pub(crate) struct EncoderFidelityView {
    /// Texts compared.
    texts: usize,
    /// Cosines between the exact and the float embedding of a text.
    cosine_mean: f64,
    cosine_min: f64,
}

impl EncoderFidelityView {
    pub(crate) const fn new(fidelity: &EncoderFidelity) -> Self {
        Self {
            texts: fidelity.texts,
            cosine_mean: fidelity.cosine_mean,
            cosine_min: fidelity.cosine_min,
        }
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        let Self {
            texts,
            cosine_mean,
            cosine_min,
        } = self;
        format!(
            "fidelity over {texts} sentences, compared with our own float run of the folder:\n\n\
             cosine           {cosine_mean:.6} on average, {cosine_min:.6} at least"
        )
    }
}

/// Where the importer notes the units of each block.
const UNITS: &str = "importer.units";

/// What `model show` says of a language model beside its program.
#[derive(Debug, Serialize)]
pub(crate) struct LanguageView {
    vocabulary: u32,
    /// Most tokens of a run.
    context: u32,
    /// Cells of the residual stream.
    width: u64,
    blocks: usize,
    /// Heads of queries, and of keys and values.
    heads: u64,
    kv_heads: u64,
    head_width: u64,
    /// Cells of the hidden layer of a block.
    hidden: Option<u64>,
    /// Fraction bits of each block's 16-bit values, as the importer noted them: queries, keys, values, gates, factors, products.
    units: Option<String>,
    /// What a run commits to for one token: the first, and the last of a full context.
    trace_bytes_first_token: usize,
    trace_bytes_last_token: usize,
    /// And beside it where a token is drawn, at most.
    trace_bytes_drawn_token: usize,
    /// Null if the text specification cannot be read.
    text: Option<TextView>,
}

/// The tokenizer.
#[derive(Debug, Serialize)]
struct TextView {
    kind: String,
    pre_tokenizer: Option<String>,
    tokens: usize,
    begins_with: Option<u32>,
    ends: Vec<u32>,
    chat_template: bool,
}

impl LanguageView {
    /// `None` for a model of tensors.
    pub(crate) fn new(model: &Model, provenance: &Provenance) -> Option<Self> {
        let program = model.program();
        let spec = program.spec().language.as_ref()?;
        let layout = program.language()?;
        let dims = |node: NodeId| program.shape(node).map_or(&[][..], |shape| shape.dims());
        let dim = |node: NodeId, at: usize| {
            let dim = dims(node).get(at).copied().unwrap_or(0);
            u64::try_from(dim).unwrap_or(u64::MAX)
        };
        let embedding = program
            .nodes()
            .find(|(_, node, _)| matches!(node.op, Op::Embed(_)));
        let scores = program.nodes().filter_map(|(id, node, _)| match &node.op {
            Op::Scores(op) => Some((id, op.k)),
            _ => None,
        });
        let scores: Vec<(NodeId, NodeId)> = scores.collect();
        let blocks = program.nodes().filter(|(_, node, _)| {
            matches!(node.op, Op::Scores(_)) && node.name.starts_with("block.")
        });
        let blocks: Vec<NodeId> = blocks.map(|(id, ..)| id).collect();
        let first = scores.first().copied();
        let product = program
            .nodes()
            .find(|(_, node, _)| node.name == "block.0.product");
        let last = usize::try_from(spec.context)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        Some(Self {
            vocabulary: spec.vocabulary,
            context: spec.context,
            width: embedding.map_or(0, |(id, ..)| dim(id, 0)),
            blocks: blocks.len(),
            heads: first.map_or(0, |(scores, _)| dim(scores, 0)),
            kv_heads: first.map_or(0, |(_, keys)| dim(keys, 0)),
            head_width: first.map_or(0, |(_, keys)| dim(keys, 1)),
            hidden: product.map(|(id, ..)| dim(id, 0)),
            units: provenance.get(UNITS).cloned(),
            trace_bytes_first_token: token_bytes(model, layout, 0),
            trace_bytes_last_token: token_bytes(model, layout, last),
            trace_bytes_drawn_token: layout.sampled().block_bytes(last),
            text: text(model, spec),
        })
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        let hidden = self
            .hidden
            .map_or_else(String::new, |n| format!(", {n} hidden"));
        let tokenizer = match &self.text {
            None => "unreadable".to_owned(),
            Some(text) => {
                let pre = text.pre_tokenizer.as_ref();
                format!(
                    "{}{}, {} tokens; {}",
                    text.kind,
                    pre.map_or_else(String::new, |pre| format!(" ({pre})")),
                    text.tokens,
                    if text.chat_template {
                        "has a chat template"
                    } else {
                        "has no chat template"
                    }
                )
            }
        };
        format!(
            "language  {} tokens of vocabulary, runs of at most {}\n\
             blocks    {} of width {}{hidden}; {} heads of {}, {} of keys and values\n\
             trace     {} to {} bytes for a token, and {} where one is drawn\n\
             text      {tokenizer}",
            self.vocabulary,
            self.context,
            self.blocks,
            self.width,
            self.heads,
            self.head_width,
            self.kv_heads,
            self.trace_bytes_first_token,
            self.trace_bytes_last_token,
            self.trace_bytes_drawn_token,
        )
    }
}

/// Bytes of the trace that a token at a position adds: its block, and what later positions remember of it.
fn token_bytes(model: &Model, layout: &LanguageLayout, position: usize) -> usize {
    let program = model.program();
    let remembered = layout.keys().iter().chain(layout.values()).map(|&node| {
        let cells = program.shape(node).map_or(0, credence_exact::Shape::cells);
        cells * program.node(node).map_or(0, |node| node.dtype.width())
    });
    layout.positions().block_bytes(position) + remembered.sum::<usize>()
}

fn text(model: &Model, language: &LanguageSpec) -> Option<TextView> {
    let spec = TextSpec::from_bytes(model.param(language.text)?.bytes()).ok()?;
    Some(TextView {
        tokens: spec.tokens.len(),
        begins_with: spec.special.bos.filter(|_| spec.add_bos),
        chat_template: spec.chat_template.is_some(),
        kind: spec.kind,
        pre_tokenizer: spec.pre,
        ends: spec.ends,
    })
}
