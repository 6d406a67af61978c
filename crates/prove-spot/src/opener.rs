//! The opener of one model, and a rerun of one claim.

use core::ops::Deref;
use std::sync::Arc;

use credence_base::{ClaimDigest, Digest, TraceRoot, domain};
use credence_claim::{Case, MethodError};
use credence_commit::{OpeningError, opening};
use credence_exec::{Append, Engine, Options, PlanError, RunError, SessionError};
use credence_method_spot::{
    Card, CardError, CardParts, Challenge, CheckError, Checks, Evidence, Layout, LayoutError,
    Recorder, Subject, TooLarge, Tree, TreesError, root_of, show, text_range,
};
use credence_model::{Model, TensorLimits, Tensors, program_bytes};

/// Bytes at a multiple of which a parameter begins in the tree of weights.
const PARAM_ALIGN: usize = 64;

const LIMITS: TensorLimits = TensorLimits {
    bytes_max: credence_method_spot::CONTENT_BYTES_MAX,
};

/// Why nothing is opened.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The model cannot be run on this machine.
    #[error("the model cannot be run on this machine")]
    Plan(#[from] PlanError),
    /// The model's card cannot be made.
    #[error("the model's card cannot be made")]
    Card(#[from] CardError),
    /// The model's text cannot be opened.
    #[error("the model's text cannot be opened")]
    Text(#[from] OpeningError),
    /// Something is too long to be written.
    #[error("the evidence cannot be written")]
    Wire(#[from] credence_base::wire::WireError),
    /// The program cannot be written.
    #[error("the program cannot be written")]
    Json(#[from] credence_base::json::JsonError),
    /// The claim is of another model.
    #[error("the claim is of another model than the one at hand")]
    Model,
    /// The claim cannot be read, or contradicts itself.
    #[error("the claim cannot be run again")]
    Claim(#[source] MethodError),
    /// Its length is not that of a run.
    #[error("the claim's run cannot be laid out")]
    Layout(#[from] LayoutError),
    /// A tensor model's request is refused.
    #[error("the request cannot be run again")]
    Run(#[from] RunError),
    /// A language model's tokens are refused.
    #[error("the tokens cannot be run again")]
    Session(#[from] SessionError),
    /// The session kept nothing, which one that records does.
    #[error("the run was not recorded; please report this")]
    NotRecorded,
    /// Run again, the request has another trace.
    #[error(
        "run again, the request has another trace than the claim commits to: the claim is not this model's"
    )]
    Trace(#[source] MethodError),
    /// The run is too large to draw from.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A check says no to this very run.
    #[error("a check says no to the run")]
    Check(#[from] CheckError),
    /// Bytes cannot be opened.
    #[error("the run cannot be opened")]
    Trees(#[from] TreesError),
}

/// Whether the model's card travels with the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// Whoever checks has it.
    Nothing,
    /// The program, for whoever has only the id.
    Program,
    /// The program, and tokeniser and template.
    ProgramAndText,
}

/// Opens runs of one model.
pub struct Opener {
    engine: Engine,
    card: Card,
    program: Vec<u8>,
    weights: Vec<u8>,
    weights_root: Digest,
}

impl core::fmt::Debug for Opener {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Opener({})", self.card.id())
    }
}

/// The tree of weights: every parameter, filled up.
fn weights(model: &Model) -> Vec<u8> {
    let padded = |len: usize| len.next_multiple_of(PARAM_ALIGN);
    let sizes = model.params().iter().map(|bytes| padded(bytes.len()));
    let mut all = Vec::with_capacity(sizes.sum());
    for bytes in model.params() {
        all.extend_from_slice(bytes);
        all.resize(padded(all.len()), 0);
    }
    all
}

impl Opener {
    /// Prepares a model: copies its weights into the order of their tree and hashes them.
    ///
    /// # Errors
    /// [`ProveError`] if it cannot be run here.
    pub fn new(model: &Arc<Model>, options: Options) -> Result<Self, ProveError> {
        let engine = Engine::new(Arc::clone(model), options)?;
        let program = program_bytes(model.program().spec())?;
        let weights = weights(model);
        let weights_root = root_of(Tree::Weights, &weights);
        let parts = Parts {
            model,
            program: &program,
            weights: (&weights, weights_root),
        };
        let card = Card::decode(model.id(), &parts.card(true)?)?;
        Ok(Self {
            engine,
            card,
            program,
            weights,
            weights_root,
        })
    }

    /// The model's card.
    ///
    /// # Errors
    /// [`ProveError`] if it is too long to be written.
    pub fn card(&self, with_text: bool) -> Result<Vec<u8>, ProveError> {
        Parts {
            model: self.engine.model(),
            program: &self.program,
            weights: (&self.weights, self.weights_root),
        }
        .card(with_text)
    }

    /// Runs a claim's request again.
    ///
    /// # Errors
    /// [`ProveError`] if the claim is of another model or has no sense, or its trace is another.
    pub fn rerun(&self, case: &Case<'_>) -> Result<Rerun<&Self>, ProveError> {
        Ok(Rerun {
            run: self.run_again(case)?,
            opener: self,
        })
    }

    /// The same, to be kept for as long as anyone asks.
    ///
    /// # Errors
    /// As [`Self::rerun`].
    pub fn rerun_kept(self: &Arc<Self>, case: &Case<'_>) -> Result<Rerun<Arc<Self>>, ProveError> {
        Ok(Rerun {
            run: self.run_again(case)?,
            opener: Arc::clone(self),
        })
    }

    fn run_again(&self, case: &Case<'_>) -> Result<Run, ProveError> {
        if case.claim().fields().model != self.card.id() {
            return Err(ProveError::Model);
        }
        let subject = Subject::read(&self.card, case).map_err(ProveError::Claim)?;
        let (sections, root) = self.run(&subject, case)?;
        case.check_trace(&root).map_err(ProveError::Trace)?;
        let roots = core::array::from_fn(|at| {
            let tree = Tree::SECTIONS.get(at).copied().unwrap_or(Tree::Positions);
            root_of(tree, sections.get(at).map_or(&[], Vec::as_slice))
        });
        Ok(Run {
            claim: case.claim().digest(),
            subject,
            sections,
            roots,
        })
    }

    /// The sections of the trace, and its root.
    fn run(
        &self,
        subject: &Subject,
        case: &Case<'_>,
    ) -> Result<([Vec<u8>; 4], TraceRoot), ProveError> {
        let Some((tokens, sampled)) = subject.tokens() else {
            let input = case.input().map_err(ProveError::Claim)?;
            let inputs = Tensors::decode(input, LIMITS).map_err(RunError::from)?;
            let execution = self.engine.run(&inputs)?;
            let bytes = execution.trace.bytes().to_vec();
            let sections = [bytes, Vec::new(), Vec::new(), Vec::new()];
            return Ok((sections, execution.trace.root()));
        };
        let mut session = self.engine.recording_session()?;
        let mut appends = [Append {
            session: &mut session,
            tokens,
            sampled,
        }];
        self.engine.advance(&mut appends, &mut |_, _, _| {})?;
        let sections = session.sections().ok_or(ProveError::NotRecorded)?;
        Ok((sections, session.trace_root()))
    }
}

/// What a card is made of.
struct Parts<'a> {
    model: &'a Model,
    program: &'a [u8],
    weights: (&'a [u8], Digest),
}

impl Parts<'_> {
    fn card(&self, with_text: bool) -> Result<Vec<u8>, ProveError> {
        let (bytes, root) = self.weights;
        let range = text_range(self.model.program()).filter(|_| with_text);
        let text = range.map(|range| opening::open(domain::WEIGHTS, bytes, &[range]));
        let text = text.transpose()?;
        let parts = CardParts {
            program: self.program,
            weights_len: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            weights_root: &root,
            text: text.as_ref(),
        };
        Ok(parts.encode()?)
    }
}

/// A claim's run.
#[derive(Debug)]
struct Run {
    claim: ClaimDigest,
    subject: Subject,
    sections: [Vec<u8>; 4],
    roots: [Digest; 4],
}

/// A claim's run, in memory, and whoever opens it: it answers any number of challenges.
#[derive(Debug)]
pub struct Rerun<O> {
    opener: O,
    run: Run,
}

impl<O: Deref<Target = Opener>> Rerun<O> {
    /// The claim that was run again.
    #[must_use]
    pub const fn claim(&self) -> ClaimDigest {
        self.run.claim
    }

    /// Bytes of the trace that it holds.
    #[must_use]
    pub fn trace_bytes(&self) -> usize {
        self.run.sections.iter().map(Vec::len).sum()
    }

    /// Answers a challenge: opens what `cells` draws and `rows` tokens (none for a tensor model) take.
    ///
    /// # Errors
    /// [`ProveError`] if the run is too large, or a check says no to it.
    pub fn prove(
        &self,
        challenge: &Challenge,
        (cells, rows): (u32, u32),
        carry: Carry,
    ) -> Result<Vec<u8>, ProveError> {
        Ok(self.evidence(challenge, (cells, rows), carry)?.encode()?)
    }

    /// As [`Self::prove`], not yet encoded.
    ///
    /// # Errors
    /// As [`Self::prove`].
    pub fn evidence(
        &self,
        challenge: &Challenge,
        (cells, rows): (u32, u32),
        carry: Carry,
    ) -> Result<Evidence, ProveError> {
        let card = &self.opener.card;
        let rows = self.run.subject.tokens().map_or(0, |_| rows);
        let layout = Layout::new(card.program(), self.run.subject.extent())?;
        let checks = Checks::new(card, &self.run.subject, &layout)?;
        let [positions, keys, values, sampled] = &self.run.sections;
        let contents: [&[u8]; 5] = [&self.opener.weights, positions, keys, values, sampled];
        let mut source = Recorder::new(contents);
        checks.run(&mut source, &challenge.bind(&self.run.claim), (cells, rows))?;
        let mut trees = Vec::new();
        let roots = core::iter::once(&self.opener.weights_root).chain(&self.run.roots);
        for ((tree, content), &root) in Tree::ALL.into_iter().zip(contents).zip(roots) {
            let runs = source.runs(tree);
            let listed = match tree {
                Tree::Weights => !runs.is_empty(),
                Tree::Positions | Tree::Keys | Tree::Values | Tree::Sampled => !content.is_empty(),
            };
            if listed {
                trees.push(show(tree, (content, root), &runs)?);
            }
        }
        let card = match carry {
            Carry::Nothing => None,
            Carry::Program => Some(self.opener.card(false)?),
            Carry::ProgramAndText => Some(self.opener.card(true)?),
        };
        Ok(Evidence {
            form: challenge.form(),
            cells,
            rows,
            card,
            trees,
        })
    }
}
