//! The method itself.

use credence_claim::{
    Basis, Case, Fact, Finding, Method, MethodError, MethodId, Number, Part, Quantity, SeedSource,
    Soundness,
};

use crate::card::Card;
use crate::challenge::{CELLS_MAX, Challenge, Demand, DemandError, Form, bits_of};
use crate::checks::{Checks, Looked};
use crate::evidence::{EVIDENCE_VERSION, Evidence};
use crate::layout::{Layout, Tree};
use crate::subject::{Subject, Told, malformed};
use crate::trees::{TreesError, open_trees, trace_root};

/// Checks opened cells. What it must know for that, how sure to be and where draws come from, it is given.
#[derive(Debug)]
pub struct Spot {
    cards: Vec<Card>,
    demand: Demand,
    cells: u32,
    challenge: Challenge,
}

/// Why evidence does not convince.
#[derive(Debug, thiserror::Error)]
enum Unconvincing {
    #[error("the evidence answers a challenge of form {got:?}, expected {expected:?}")]
    Form { expected: Form, got: Form },
    #[error("the evidence opens {got} cells; {expected} are needed")]
    Cells { expected: u32, got: u32 },
    #[error("the evidence draws {got} tokens again; {expected} are needed")]
    Rows { expected: u32, got: u32 },
    #[error("more of {0:?} is opened than any check reads")]
    Unread(Tree),
    #[error("the evidence opens the trees of a run that no run of this model is")]
    Layout(#[source] crate::layout::LayoutError),
}

impl Spot {
    /// A method that meets `demand`, draws from `challenge`, and knows the models of these cards; others' evidence must bring its card.
    ///
    /// # Errors
    /// [`DemandError`] if the demand cannot be met.
    pub fn new(
        cards: Vec<Card>,
        demand: Demand,
        challenge: Challenge,
    ) -> Result<Self, DemandError> {
        Ok(Self {
            cards,
            cells: demand.cells()?,
            demand,
            challenge,
        })
    }

    /// As [`Self::new`], for just so many cells, however many bits that gives against a share of `share_ppm`.
    ///
    /// # Errors
    /// [`DemandError`] if a number is out of its range.
    pub fn drawing(
        cards: Vec<Card>,
        (cells, rows): (u32, u32),
        share_ppm: u32,
        challenge: Challenge,
    ) -> Result<Self, DemandError> {
        let demand = Demand {
            bits: 1,
            share_ppm,
            rows,
        };
        demand.cells()?;
        let (min, max, got) = (1, CELLS_MAX, cells);
        if !(min..=max).contains(&got) {
            let name = "cells";
            return Err(DemandError::Range {
                name,
                min,
                max,
                got,
            });
        }
        Ok(Self {
            cards,
            cells,
            demand,
            challenge,
        })
    }

    /// Refuses evidence of another form, or with fewer cells or rows than are needed. To a challenge that the operator did not make there is one answer:
    /// with more cells or rows than were asked for, it could choose among many how far its luck went.
    fn check_demand(&self, evidence: &Evidence, language: bool) -> Result<(), MethodError> {
        let no = |reason| Err(malformed(Part::Evidence, reason));
        let (expected, got) = (self.challenge.form(), evidence.form);
        if expected != got {
            return no(Unconvincing::Form { expected, got });
        }
        let is_own = self.challenge.form() == Form::Claim;
        let fits = |expected: u32, got: u32| got == expected || (is_own && got > expected);
        let (expected, got) = (self.cells, evidence.cells);
        if !fits(expected, got) {
            return no(Unconvincing::Cells { expected, got });
        }
        let (expected, got) = (self.demand.rows, evidence.rows);
        // A tensor model draws nothing, so there is one way to say so.
        let few = if language {
            !fits(expected, got)
        } else {
            got != 0
        };
        if few {
            let expected = if language { expected } else { 0 };
            return no(Unconvincing::Rows { expected, got });
        }
        Ok(())
    }

    fn check_with(
        &self,
        card: &Card,
        case: &Case<'_>,
        evidence: &Evidence,
    ) -> Result<Finding, MethodError> {
        self.check_demand(evidence, card.program().language().is_some())?;
        let subject = Subject::read(card, case)?;
        let layout = Layout::new(card.program(), subject.extent())
            .map_err(|e| malformed(Part::Output, Unconvincing::Layout(e)))?;
        let no = |error: TreesError| malformed(Part::Evidence, error);
        let root = trace_root(&layout, &evidence.trees).map_err(no)?;
        match case.check_trace(&root) {
            // The claim's trace may be right: these are not its sections.
            Err(MethodError::Refuted(_)) => return Err(no(TreesError::TraceRoot)),
            other => other?,
        }
        let mut source = open_trees(&layout, card.weights_root(), &evidence.trees).map_err(no)?;
        let failed = |e| MethodError::Failed(Box::new(e));
        let checks = Checks::new(card, &subject, &layout).map_err(failed)?;
        let stream = self.challenge.bind(&case.claim().digest());
        let asked = (evidence.cells, evidence.rows);
        let looked = checks.run(&mut source, &stream, asked)?;
        if let Some(tree) = source.unread() {
            return Err(malformed(Part::Evidence, Unconvincing::Unread(tree)));
        }
        Ok(self.finding(case, &subject, looked))
    }

    fn finding(&self, case: &Case<'_>, subject: &Subject, looked: Looked) -> Finding {
        let number = |name, quantity| Number { name, quantity };
        let count = |name, n: u32| number(name, Quantity::Count(n.into()));
        let share = self.demand.share_ppm;
        let mut numbers = vec![
            count("cells checked, drawn by their work", looked.cells),
            count("cells checked at the border of the request", looked.entries),
            number(
                "wrong share of the work that would be noticed",
                Quantity::PartsPerMillion(share),
            ),
            number(
                "chance to miss that share",
                Quantity::Bits(bits_of(looked.cells, share)),
            ),
        ];
        let mut shown = vec![
            "the cells drawn of the run that the claim commits to are what the model gives"
                .to_owned(),
            "the run is over the claimed request, wherever that was drawn".to_owned(),
        ];
        let mut not_checked = vec![
            "every other cell: what is wrong in a few cells only, one changed weight say, is for a replay to find".to_owned(),
        ];
        match &subject.told {
            Told::Tensors(_) => {
                numbers.push(count("output values compared", looked.outputs));
                shown.push("the output values compared are those of the run".to_owned());
            }
            Told::Language(told) => {
                numbers.push(count("tokens drawn again", looked.tokens));
                shown.push(
                    "the last token, and others that were drawn, follow from the run's logits"
                        .to_owned(),
                );
                if told.text_checked {
                    shown.push("prompt and answer have the words that their tokens stand for, and the answer ends as claimed".to_owned());
                } else {
                    not_checked.push("whether words and tokens belong together, and why the answer ends: the model's text was not at hand".to_owned());
                }
            }
        }
        if self.challenge.form() == Form::Claim {
            not_checked.push("how many claims the operator made before it liked the draws: the bits say what that costs it".to_owned());
        }
        match case.claim().fields().seed {
            SeedSource::Operator => not_checked.push("how the operator chose the seed: it may have tried many until it liked the answer (send a nonce or a seed)".to_owned()),
            SeedSource::Client => not_checked.push("whether the seed is the one that the client sent, as the claim says".to_owned()),
            SeedSource::Derived | SeedSource::Nothing => {}
        }
        let mut trusted = vec!["BLAKE3: nobody found a collision".to_owned()];
        match &self.challenge {
            Challenge::Claim => {}
            Challenge::Auditor(_) => trusted.push(
                "the auditor drew its 32 bytes at random, and after the receipt was made"
                    .to_owned(),
            ),
            Challenge::Checkpoint { .. } => trusted.push(
                "the witnesses did not help the operator to choose their cosignatures".to_owned(),
            ),
        }
        Finding {
            basis: Basis::SpotChecked,
            shown,
            numbers,
            trusted,
            not_checked,
            soundness: Soundness::None,
        }
    }
}

impl Method for Spot {
    fn id(&self) -> MethodId {
        MethodId::SPOT
    }

    fn version(&self) -> u32 {
        EVIDENCE_VERSION.into()
    }

    fn needs_evidence(&self) -> bool {
        true
    }

    /// Checks, in this order: the evidence's form; the model's card; how many cells; what the claim says of itself; that the sections are the claim's and all
    /// opened bytes are under their roots; each cell, token and value drawn; and that nothing else is opened.
    fn check(&self, case: &Case<'_>, evidence: Option<&[u8]>) -> Result<Finding, MethodError> {
        let bytes = evidence.ok_or(MethodError::Missing(Fact::Evidence))?;
        let evidence = Evidence::decode(bytes).map_err(|e| malformed(Part::Evidence, e))?;
        let model = case.claim().fields().model;
        let known = self.cards.iter().find(|card| card.id() == model);
        match (known, &evidence.card) {
            (Some(card), None) => self.check_with(card, case, &evidence),
            // It is not needed, but nothing that travels is left unchecked.
            (Some(card), Some(bytes)) => {
                Card::decode(model, bytes).map_err(|e| malformed(Part::Evidence, e))?;
                self.check_with(card, case, &evidence)
            }
            (None, Some(bytes)) => {
                let card = Card::decode(model, bytes).map_err(|e| malformed(Part::Evidence, e))?;
                self.check_with(&card, case, &evidence)
            }
            (None, None) => Err(MethodError::Missing(Fact::Model(model))),
        }
    }
}
