//! The method: a claim about a model, and a proof as its evidence.
//!
//! ```text
//! evidence = u8 security (100 or 128) ‖ proof        version 1: weights at hand; 2: weights committed, a card at hand
//! Case ─▶ Subject ─▶ Circuit ─▶ outputs at the proof's front, decoded, are the claimed ones ─▶ verify ─▶ Finding
//! Case ─▶ Speech ─▶ Circuit ─▶ verify ─▶ what follows from the logits at the proof's front is the claimed answer ─▶ Finding
//! ```
//!
//! The verifier holds the model with its weights, of which it reads each once, or a card of it and who vouches for that. It deliberately runs nothing.

use std::sync::Arc;

use credence_base::PublicKey;
use credence_claim::{
    Basis, Case, Fact, Finding, Method, MethodError, MethodId, Number, Part, Quantity, Soundness,
};
use credence_model::{
    BorderValueError, Model, Program, Tensor, TensorError, Tensors, decode_elements,
};

use crate::circuit::{CircuitError, Extent};
use crate::known::Known;
use crate::pcs::{Params, ParamsError, Security};
use crate::protocol::Statement;
use crate::public_rows::{self, RowsError};
use crate::reader::{ReadError, Reader};
use crate::relation::Relation;
use crate::run::{PublicError, Publics};
use crate::security;
use crate::speech::Speech;
use crate::subject::{NO_EVIDENCE, Subject, malformed};
use crate::verify::{ProofError, verify};
use crate::weights::{Card, WeightsId};

/// The version of the evidence.
pub const EVIDENCE_VERSION: u32 = 1;

/// The version of the evidence where weights are committed to.
pub const EVIDENCE_VERSION_APART: u32 = 2;

/// The most bytes of evidence that are looked at.
pub const EVIDENCE_BYTES_MAX: usize = 1 << 28;

/// Checks proofs of runs of one model.
#[derive(Debug)]
pub struct Snark {
    source: Source,
    least: Security,
    prepared: Vec<Relation>,
}

/// What is known of the model.
#[derive(Debug)]
enum Source {
    Nothing,
    Model(Arc<Model>),
    Card(Arc<Card>, Voucher),
}

/// Who said that a card's commitment and bounds are those of the model's weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// The key that signed the weights binding.
    pub key: PublicKey,
    /// When, in seconds since 1970-01-01 UTC, by its owner's clock.
    pub time_unix_s: u64,
    /// Whether whoever checks asked for this key, or takes any.
    pub is_expected: bool,
}

/// Why evidence is no proof of the claim.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Longer than is looked at.
    #[error("the evidence has {got} bytes, at most {EVIDENCE_BYTES_MAX} are read")]
    Long {
        /// Its length.
        got: usize,
    },
    /// It ends at once.
    #[error("the evidence cannot be read")]
    Read(#[from] ReadError),
    /// It aims at less than is asked for, or at nothing known.
    #[error("the proof aims at {got} bits, expected 100 or 128 and at least {expected}")]
    Security {
        /// What is asked for.
        expected: u32,
        /// What the proof says.
        got: u8,
    },
    /// The front of the proof.
    #[error("the public values of the proof are refused")]
    Public(#[from] PublicError),
    /// Public values that are not the proof's.
    #[error("what is public of the run cannot be worked out")]
    Rows(#[from] RowsError),
    /// Outputs that cannot be decoded.
    #[error("the proof's cells of output `{output}` cannot be decoded")]
    Decode {
        /// The output.
        output: String,
        /// Why.
        #[source]
        source: BorderValueError,
    },
    /// Outputs that are no tensors.
    #[error("the proof's outputs are no tensors")]
    Tensors(#[from] TensorError),
    /// Other outputs than the claim's.
    #[error("the proof is of another output than the claimed one")]
    Output,
    /// The proof itself.
    #[error("the proof is refused")]
    Proof(#[from] ProofError),
    /// More values than can be committed to.
    #[error("the run is too long for a proof")]
    Params(#[from] ParamsError),
}

impl Snark {
    /// A method that checks proofs about `model` that aim at `least` or more.
    #[must_use]
    pub const fn new(model: Arc<Model>, least: Security) -> Self {
        Self {
            source: Source::Model(model),
            least,
            prepared: Vec::new(),
        }
    }

    /// A method that checks proofs with committed weights by a card, for whose commitment and bounds `voucher` answers.
    #[must_use]
    pub const fn apart(card: Arc<Card>, voucher: Voucher, least: Security) -> Self {
        Self {
            source: Source::Card(card, voucher),
            least,
            prepared: Vec::new(),
        }
    }

    /// A method that knows no model, so that whoever requires it is told which one is missing.
    #[must_use]
    pub const fn without_model() -> Self {
        Self {
            source: Source::Nothing,
            least: Security::Bits100,
            prepared: Vec::new(),
        }
    }

    /// Builds the circuit for claims over so many positions now, instead of once for each claim. No answer depends on it.
    ///
    /// # Errors
    /// [`CircuitError`] if the model's runs cannot be proved.
    pub fn prepare(&mut self, extent: impl Into<Extent>) -> Result<(), CircuitError> {
        let extent = extent.into();
        if self.ready(extent).is_none()
            && let Some(relation) = self.relation(extent)?
        {
            self.prepared.push(relation);
        }
        Ok(())
    }

    fn relation(&self, extent: Extent) -> Result<Option<Relation>, CircuitError> {
        Ok(match &self.source {
            Source::Nothing => None,
            Source::Model(model) => Some(Relation::new(Arc::clone(model), extent)?),
            Source::Card(card, _) => Some(Relation::apart(Arc::clone(card), extent)?),
        })
    }

    fn known(&self) -> Option<&dyn Known> {
        match &self.source {
            Source::Nothing => None,
            Source::Model(model) => Some(model),
            Source::Card(card, _) => Some(card),
        }
    }

    fn ready(&self, extent: Extent) -> Option<&Relation> {
        let mut prepared = self.prepared.iter();
        prepared.find(|relation| relation.circuit().extent() == extent)
    }

    /// The relation of this extent: one that is ready, or `built`.
    fn related<'r>(
        &'r self,
        extent: Extent,
        built: &'r mut Option<Relation>,
    ) -> Result<Option<&'r Relation>, MethodError> {
        if let Some(ready) = self.ready(extent) {
            return Ok(Some(ready));
        }
        let relation = self.relation(extent);
        *built = relation.map_err(|error| MethodError::Failed(Box::new(error)))?;
        Ok(built.as_ref())
    }

    /// Checks a claim about a language model: the proof first, so that what is drawn from its logits is the model's word.
    fn spoken(
        &self,
        known: &dyn Known,
        case: &Case<'_>,
        evidence: &[u8],
    ) -> Result<Finding, MethodError> {
        let speech = Speech::read(known, case)?;
        let mut built = None;
        let relation = self.related(speech.extent(), &mut built)?;
        let relation = relation.ok_or(MethodError::Missing(Fact::Model(known.id())))?;
        let (security, logits) = self
            .logits(relation, &speech, evidence)
            .map_err(|error| malformed(Part::Evidence, error))?;
        speech.check(case, &logits)?;
        let mut finding = self.finding(relation, security)?;
        finding.not_checked.extend(speech.unsaid());
        Ok(finding)
    }

    /// The proved cells of the logits at sampled positions.
    fn logits(
        &self,
        relation: &Relation,
        speech: &Speech<'_>,
        evidence: &[u8],
    ) -> Result<(Security, Vec<i64>), EvidenceError> {
        let (security, mut reader) = self.plausible(evidence)?;
        let (known, circuit) = (relation.known(), relation.circuit());
        let tokens = speech.tokens().iter().map(|&token| token.into());
        let inputs = public_rows::cells(known, circuit, vec![tokens.collect()])?;
        let publics = Publics::read(inputs, circuit, known.program(), &mut reader)?;
        let statement = Statement {
            bound: &speech.bound(),
            security,
        };
        verify(&statement, relation, &publics, reader)?;
        Ok((security, publics.sampled_cells()))
    }

    fn security(&self, code: u8) -> Result<Security, EvidenceError> {
        let known = [Security::Bits100, Security::Bits128];
        let found = known.into_iter().find(|s| s.bits() == u32::from(code));
        let enough = found.filter(|s| s.bits() >= self.least.bits());
        enough.ok_or(EvidenceError::Security {
            expected: self.least.bits(),
            got: code,
        })
    }

    /// What evidence aims at, and the rest of it: looked at before anything is built for it.
    fn plausible<'e>(&self, evidence: &'e [u8]) -> Result<(Security, Reader<'e>), EvidenceError> {
        if evidence.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceError::Long {
                got: evidence.len(),
            });
        }
        let mut reader = Reader::new(evidence);
        let [code] = reader.array()?;
        Ok((self.security(code)?, reader))
    }

    fn proof(
        &self,
        relation: &Relation,
        subject: &mut Subject<'_>,
        evidence: &[u8],
    ) -> Result<Security, EvidenceError> {
        let (security, mut reader) = self.plausible(evidence)?;
        let (program, circuit) = (relation.known().program(), relation.circuit());
        let given = core::mem::take(&mut subject.inputs);
        let inputs = public_rows::cells(relation.known(), circuit, given)?;
        let publics = Publics::read(inputs, circuit, program, &mut reader)?;
        let outputs = decode(program, circuit.positions, &publics)?;
        if outputs.encode() != subject.output() {
            return Err(EvidenceError::Output);
        }
        let statement = Statement {
            bound: &subject.bound(),
            security,
        };
        verify(&statement, relation, &publics, reader)?;
        Ok(security)
    }
}

/// The output tensors of the public cells.
fn decode(
    program: &Program,
    positions: usize,
    publics: &Publics,
) -> Result<Tensors, EvidenceError> {
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let mut tensors = Vec::with_capacity(publics.outputs.len());
    for (output, cells) in program.spec().outputs.iter().zip(&publics.outputs) {
        let decoded = decode_elements(&output.decode, cells);
        let elements = decoded.map_err(|source| EvidenceError::Decode {
            output: output.name.clone(),
            source,
        })?;
        let shape = program.output_shape(output);
        let dims = shape.map(|shape| shape.dims()).unwrap_or_default().iter();
        let shape = core::iter::once(wide(positions)).chain(dims.map(|&n| wide(n)));
        tensors.push(Tensor::new(
            output.name.as_str(),
            shape.collect(),
            elements,
        )?);
    }
    Ok(Tensors::new(tensors)?)
}

impl Method for Snark {
    fn id(&self) -> MethodId {
        MethodId::SNARK
    }

    fn version(&self) -> u32 {
        match &self.source {
            Source::Nothing | Source::Model(_) => EVIDENCE_VERSION,
            Source::Card(..) => EVIDENCE_VERSION_APART,
        }
    }

    fn needs_evidence(&self) -> bool {
        true
    }

    /// Checks, in this order: that the model is the claimed one; the evidence's length and security; what the claim says; the proof's outputs; the proof.
    fn check(&self, case: &Case<'_>, evidence: Option<&[u8]>) -> Result<Finding, MethodError> {
        let claimed = case.claim().fields().model;
        let absent = || MethodError::Missing(Fact::Model(claimed));
        let known = self.known().filter(|known| known.id() == claimed);
        let known = known.ok_or_else(absent)?;
        let evidence = evidence.ok_or(NO_EVIDENCE)?;
        self.plausible(evidence)
            .map_err(|error| malformed(Part::Evidence, error))?;
        if known.program().language().is_some() {
            return self.spoken(known, case, evidence);
        }
        let mut subject = Subject::read(known.program(), case)?;
        let mut built = None;
        let relation = self.related(subject.positions.into(), &mut built)?;
        let relation = relation.ok_or_else(absent)?;
        let security = self
            .proof(relation, &mut subject, evidence)
            .map_err(|error| malformed(Part::Evidence, error))?;
        self.finding(relation, security)
    }
}

impl Snark {
    fn finding(&self, relation: &Relation, security: Security) -> Result<Finding, MethodError> {
        let params = Params::new(relation.circuit().witness_log(), security)
            .map_err(|error| MethodError::Failed(Box::new(error)))?;
        let params = &params;
        let count = |name, n: usize| Number {
            name,
            quantity: Quantity::Count(u64::try_from(n).unwrap_or(u64::MAX)),
        };
        let bits = |name, bits| Number {
            name,
            quantity: Quantity::Bits(bits),
        };
        let circuit = relation.circuit();
        let sizes = security::Sizes {
            log_weights: relation.card().map(|card| card.layout().log_len()),
            ..security::Sizes::of(circuit)
        };
        let total = security::total(sizes, params);
        let mut finding = Finding {
            basis: Basis::Proved,
            shown: vec![
                "the model, run exactly on the opened input, gives exactly the claimed output"
                    .to_owned(),
            ],
            numbers: vec![
                count("positions proved", circuit.positions),
                count("values committed to", circuit.witness_len()),
                count(
                    "lookups proved",
                    circuit.looked_up.len().saturating_mul(circuit.positions),
                ),
                bits("soundness", total),
                bits(
                    "soundness without the prover's proof of work",
                    security::total_without_work(sizes, params),
                ),
            ],
            trusted: vec![
                "BLAKE3: nobody found a collision, and its output is as random as the Fiat–Shamir transform asks"
                    .to_owned(),
            ],
            not_checked: vec![
                "the trace that the claim commits to: a proof makes a commitment of its own"
                    .to_owned(),
                "whether the model is a good one: it was checked that this model gave this output"
                    .to_owned(),
            ],
            soundness: Soundness::Bits(total),
        };
        self.vouched(&mut finding);
        Ok(finding)
    }

    /// Says who read the weights.
    fn vouched(&self, finding: &mut Finding) {
        let Source::Card(card, voucher) = &self.source else {
            let own = "this verifier, which read the model's weights itself";
            finding.trusted.push(own.to_owned());
            return;
        };
        let Voucher {
            key,
            time_unix_s,
            is_expected,
        } = voucher;
        let root = WeightsId::root_of(card.as_ref());
        finding.trusted.push(format!(
            "key {key}, which signed at {time_unix_s} (seconds since 1970) that {} {root} is of the weights of model {}",
            WeightsId::SCHEME,
            card.id()
        ));
        finding.not_checked.push(
            "whether the committed weights and bounds are the model's: whoever has the model derives the card again"
                .to_owned(),
        );
        if !is_expected {
            // Whoever signed may be the liar: then the output may be anything, and no bits bound that.
            finding.soundness = Soundness::None;
            finding.not_checked.push(
                "who vouches for the weights: any key was accepted that signed for them".to_owned(),
            );
        }
    }
}
