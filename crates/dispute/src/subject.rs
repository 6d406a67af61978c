//! What the operator's first message opens: the claim's contents, and the roots of its trace, held together with the claim.
//!
//! ```text
//! Opening ─commitments─▶ contents ─Subject::read─▶ tokens or tensors, extent ─▶ Layout ─▶ lengths of sections ‖ roots ─salt─▶ the claim's trace
//! ```
//!
//! Lengths come from the program and the counts that the contents give, never from the operator. It deliberately draws nothing and evaluates nothing.

use credence_base::wire::Writer;
use credence_base::{Digest, PublicKey, TraceRoot, domain};
use credence_claim::seed::{Request, derive};
use credence_claim::{Case, Claim, SeedSource, commitment};
use credence_commit::tree;
use credence_exec::sampling::Parameters;
use credence_generate::{Output, Prompt};
use credence_method_spot::{CONTENT_BYTES_MAX, Card, Layout, Subject, Tree};
use credence_model::{TensorLimits, Tensors};

use crate::message::Opening;
use crate::verdict::Reason;

/// The tokens of an answer, and what each was drawn with.
#[derive(Debug, Clone)]
pub struct Draws {
    /// The request's parameters.
    pub parameters: Parameters,
    /// The seed of all draws.
    pub seed: [u8; 32],
    /// The number of this answer among those of its request.
    pub choice: u32,
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens of the answer.
    pub drawn: Vec<u32>,
}

/// The output of a tensor model.
#[derive(Debug, Clone)]
pub struct Outputs(pub Tensors);

/// What came out.
#[derive(Debug)]
pub(crate) enum Told {
    Tokens(Draws),
    Values(Outputs),
}

/// An opened claim.
#[derive(Debug)]
pub struct Run<'a> {
    layout: Layout<'a>,
    subject: Subject,
    told: Told,
    roots: [Digest; 5],
}

impl<'a> Run<'a> {
    /// Reads what an operator opens.
    ///
    /// # Errors
    /// The reason for which the operator loses.
    pub(crate) fn read(
        card: &'a Card,
        (claim, operator): (&Claim, &PublicKey),
        opening: &Opening,
    ) -> Result<Self, Reason> {
        let openings = opening.openings();
        let case = Case::check(claim, operator, &openings).map_err(|_| Reason::Openings)?;
        let subject = Subject::read(card, &case).map_err(|_| Reason::Contradiction)?;
        let layout = Layout::new(card.program(), subject.extent());
        let layout = layout.map_err(|_| Reason::Contradiction)?;
        let root = trace_root(&layout, &opening.sections).ok_or(Reason::Sections)?;
        case.check_trace(&root).map_err(|_| Reason::Sections)?;
        let mut roots = [Digest::from_bytes([0; 32]); 5];
        let all = core::iter::once(card.weights_root()).chain(&opening.sections);
        for (slot, root) in roots.iter_mut().zip(all) {
            *slot = *root;
        }
        let told = told(card, &case).ok_or(Reason::Contradiction)?;
        Ok(Self {
            layout,
            subject,
            told,
            roots,
        })
    }

    /// Where everything stands.
    #[must_use]
    pub const fn layout(&self) -> &Layout<'a> {
        &self.layout
    }

    /// What the request brings in.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The roots of all trees, in the order of [`Tree::ALL`].
    #[must_use]
    pub const fn roots(&self) -> &[Digest; 5] {
        &self.roots
    }

    /// The answer of a language model.
    #[must_use]
    pub const fn draws(&self) -> Option<&Draws> {
        match &self.told {
            Told::Tokens(draws) => Some(draws),
            Told::Values(_) => None,
        }
    }

    /// The output of a tensor model.
    #[must_use]
    pub const fn outputs(&self) -> Option<&Outputs> {
        match &self.told {
            Told::Tokens(_) => None,
            Told::Values(outputs) => Some(outputs),
        }
    }
}

/// The trace root over roots of sections with the lengths that the layout gives. None unless there are exactly these sections, and empty ones have the root of
/// nothing: no step of a dispute leads into them.
fn trace_root(layout: &Layout<'_>, roots: &[Digest]) -> Option<TraceRoot> {
    let sections = layout.sections();
    if sections.len() != roots.len() {
        return None;
    }
    let mut list = Writer::new();
    list.count(sections.len()).ok()?;
    for (section, root) in sections.iter().zip(roots) {
        let len = layout.len(*section);
        if len == 0 && *root != tree::root(domain::TRACE_SECTION, &[]) {
            return None;
        }
        list.u8(section.kind()?).u64(len).digest(root);
    }
    let root = tree::root(domain::TRACE_ROOT, &list.finish());
    Some(TraceRoot::from_digest(root))
}

fn told(card: &Card, case: &Case<'_>) -> Option<Told> {
    if card.program().language().is_none() {
        let limits = TensorLimits {
            bytes_max: CONTENT_BYTES_MAX,
        };
        let tensors = Tensors::decode(case.output().ok()?, limits).ok()?;
        return Some(Told::Values(Outputs(tensors)));
    }
    let (input, params) = (case.input().ok()?, case.params().ok()?);
    let prompt = Prompt::decode(input).ok()?;
    let parameters = Parameters::decode(params).ok()?;
    let output = Output::decode(case.output().ok()?).ok()?;
    let fields = case.claim().fields();
    // That seed, nonce and source agree is checked by `Subject::read`.
    let seed = match fields.seed {
        SeedSource::Nothing => [0; 32],
        SeedSource::Derived => derive(&Request {
            nonce: fields.nonce?,
            model: fields.model,
            input_root: commitment::input_root(input),
            params_root: commitment::params_root(params),
        }),
        SeedSource::Client | SeedSource::Operator => parameters.settings().seed?,
    };
    Some(Told::Tokens(Draws {
        parameters,
        seed,
        choice: prompt.choice(),
        prompt: u64::try_from(prompt.ids().len()).ok()?,
        drawn: output.tokens,
    }))
}

/// The tree of a section's kind, if this run has it and it is not empty.
pub(crate) fn section_of(layout: &Layout<'_>, kind: u8) -> Option<Tree> {
    let mut all = layout.sections().iter().copied();
    all.find(|section| section.kind() == Some(kind) && layout.len(*section) > 0)
}
