//! The last step: what is asked of shown bytes, and what they say. Fixed-width integers, bounded work.
//!
//! ```text
//! Asked ─▶ Examiner ──reads──▶ Source: what was shown (referee), or a whole run (operator, who notes what is read and shows it) ─▶ Examined
//! ```
//!
//! Referee and operator use this same code, so an honest operator shows what the referee reads. It deliberately does not know whose turn it is.

use credence_claim::Scalar;
use credence_exact::NodeId;
use credence_method_spot::{Cell, RelationError, Relations, Source, View};
use credence_model::{Elements, decode_elements};

use crate::draw::{Cuts, Drawing};
use crate::message::{Body, Sums};
use crate::subject::Run;
use crate::verdict::Reason;

/// What the operator is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// That a cell is what its relation gives.
    Cell(Cell),
    /// That greedy token `index` is no worse than `better`.
    Greedier {
        /// Number of the answer's token.
        index: u32,
        /// The other token.
        better: u32,
    },
    /// That a token is no likelier than the likeliest.
    Heavier {
        /// Number of the answer's token.
        index: u32,
        /// The largest adjusted logit.
        max: i64,
        /// The token.
        id: u32,
    },
    /// That a block's sums are right.
    Block {
        /// Number of the answer's token.
        index: u32,
        /// The largest adjusted logit.
        max: i64,
        /// What is kept.
        cuts: Cuts,
        /// The block.
        block: u32,
        /// Its sums.
        sums: Sums,
    },
    /// That an element of the output is what its cell shows.
    Output {
        /// Number of the output.
        output: u32,
        /// Flat index.
        at: u64,
    },
}

/// What shown bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Examined {
    /// What was asked for is right.
    Right,
    /// It is wrong.
    Wrong(Reason),
    /// Something that is read is not shown.
    NotShown,
    /// It takes too much work to say.
    TooMuchWork,
}

/// Examines one run.
#[derive(Debug, Clone, Copy)]
pub struct Examiner<'r, 'a>(&'r Run<'a>);

impl<'r, 'a> Examiner<'r, 'a> {
    /// For an opened claim.
    #[must_use]
    pub const fn new(run: &'r Run<'a>) -> Self {
        Self(run)
    }

    /// Whether the claim has what is asked for, so that an operator can show it.
    #[must_use]
    pub fn exists(&self, asked: &Asked) -> bool {
        let run = self.0;
        let token = |index: u32, id: u32, greedy: bool| {
            let drawing = Drawing::of(run, index);
            drawing
                .is_some_and(|drawing| drawing.is_greedy() == greedy && id < drawing.vocabulary())
        };
        match *asked {
            Asked::Cell(cell) => {
                let place = run
                    .layout()
                    .place(cell.node, cell.position, cell.index, View::Own);
                place.is_some()
            }
            Asked::Greedier { index, better } => token(index, better, true),
            Asked::Heavier { index, id, .. } => token(index, id, false),
            Asked::Block { index, block, .. } => Drawing::of(run, index)
                .is_some_and(|drawing| !drawing.is_greedy() && block < drawing.blocks()),
            Asked::Output { output, at } => self.element(output, at).is_some(),
        }
    }

    /// Answers from what the source holds.
    pub fn examine(&self, asked: &Asked, source: &mut impl Source) -> Examined {
        match *asked {
            Asked::Cell(cell) => self.cell(cell, source),
            Asked::Greedier { index, better } => self.greedier(index, better, source),
            Asked::Heavier { index, max, id } => {
                let Some(drawing) = Drawing::of(self.0, index) else {
                    return Examined::NotShown;
                };
                match self.adjusted(&drawing, id, source) {
                    None => Examined::NotShown,
                    Some(x) if x > max => Examined::Wrong(Reason::WrongSums),
                    Some(_) => Examined::Right,
                }
            }
            Asked::Block {
                index,
                max,
                cuts,
                block,
                sums,
            } => {
                let Some(drawing) = Drawing::of(self.0, index) else {
                    return Examined::NotShown;
                };
                let Some(logits) = self.block(&drawing, block, source) else {
                    return Examined::NotShown;
                };
                let first = drawing.ids(block).start;
                if drawing.tally(&cuts, max, (first, &logits)).sums == sums {
                    Examined::Right
                } else {
                    Examined::Wrong(Reason::WrongSums)
                }
            }
            Asked::Output { output, at } => self.output(output, at, source),
        }
    }

    fn cell(&self, cell: Cell, source: &mut impl Source) -> Examined {
        let mut relations = Relations::new(self.0.layout(), self.0.subject().given());
        match relations.check(source, cell) {
            Ok(Ok(())) => Examined::Right,
            Ok(Err(_)) => Examined::Wrong(Reason::WrongCell),
            Err(RelationError::Missing(_) | RelationError::NoCell(_)) => Examined::NotShown,
            // `check` makes a relation without a value a wrong cell.
            Err(RelationError::NoValue(_)) => Examined::Wrong(Reason::WrongCell),
            Err(RelationError::Depth | RelationError::Steps) => Examined::TooMuchWork,
        }
    }

    /// What the run has in a cell.
    fn value(&self, cell: Cell, source: &mut impl Source) -> Option<i64> {
        let relations = Relations::new(self.0.layout(), self.0.subject().given());
        relations.committed(source, cell, View::Own).ok()
    }

    fn adjusted(&self, drawing: &Drawing, id: u32, source: &mut impl Source) -> Option<i64> {
        let logit = self.value(drawing.logit(id), source)?;
        Some(drawing.adjusted(id, logit))
    }

    /// The logits of a block.
    fn block(&self, drawing: &Drawing, block: u32, source: &mut impl Source) -> Option<Vec<i64>> {
        let relations = Relations::new(self.0.layout(), self.0.subject().given());
        let logit = |id| relations.committed(source, drawing.logit(id), View::Own);
        drawing.ids(block).map(logit).collect::<Result<_, _>>().ok()
    }

    fn greedier(&self, index: u32, better: u32, source: &mut impl Source) -> Examined {
        let Some(drawing) = Drawing::of(self.0, index) else {
            return Examined::NotShown;
        };
        let claimed = drawing.claimed();
        let own = self.adjusted(&drawing, claimed, source);
        let other = self.adjusted(&drawing, better, source);
        match own.zip(other) {
            None => Examined::NotShown,
            Some((own, other)) if other > own || (other == own && better < claimed) => {
                Examined::Wrong(Reason::WrongToken)
            }
            Some(_) => Examined::Right,
        }
    }

    /// What the operator says of a draw: the largest adjusted logit and the cuts, if all of it fits together and the token is the claim's.
    ///
    /// # Errors
    /// Why not.
    pub fn weights(
        &self,
        index: u32,
        said: &Body,
        source: &mut impl Source,
    ) -> Result<(i64, Cuts), Examined> {
        let Body::Weights {
            likeliest,
            last_top_k,
            last_top_p,
            sums,
            ..
        } = said
        else {
            return Err(Examined::NotShown);
        };
        let drawing = Drawing::of(self.0, index).ok_or(Examined::NotShown)?;
        let mut shown = |id| self.adjusted(&drawing, id, source);
        let max = shown(*likeliest).ok_or(Examined::NotShown)?;
        let mut last = |id: u32| Some((drawing.weight(max, shown(id)?), id));
        let top_k = match last_top_k {
            None => None,
            Some(id) => Some(last(*id).ok_or(Examined::NotShown)?),
        };
        let top_p = last(*last_top_p).ok_or(Examined::NotShown)?;
        let cuts = Cuts { top_k, top_p };
        let wrong = Examined::Wrong(Reason::WrongSums);
        let blocks = usize::try_from(drawing.blocks()).ok();
        if blocks != Some(sums.len()) || !drawing.fits(&cuts, sums) {
            return Err(wrong);
        }
        let (block, rest) = drawing.falls(sums).ok_or(wrong)?;
        let logits = self.block(&drawing, block, source);
        let logits = logits.ok_or(Examined::NotShown)?;
        let first = drawing.ids(block).start;
        let tally = drawing.tally(&cuts, max, (first, &logits));
        let at = usize::try_from(block).ok();
        if at.and_then(|at| sums.get(at)) != Some(&tally.sums) {
            return Err(wrong);
        }
        if Drawing::token(&tally, rest) != Some(drawing.claimed()) {
            return Err(Examined::Wrong(Reason::WrongToken));
        }
        Ok((max, cuts))
    }

    /// The cell that an element of an output shows.
    #[must_use]
    pub fn element(&self, output: u32, at: u64) -> Option<Cell> {
        let tensors = &self.0.outputs()?.0;
        let number = usize::try_from(output).ok()?;
        let program = self.0.layout().program();
        let spec = program.spec().outputs.get(number)?;
        let shape = program.output_shape(spec)?;
        let at = usize::try_from(at).ok()?;
        if at >= tensors.iter().nth(number)?.elements().len() {
            return None;
        }
        Some(Cell {
            position: u64::try_from(at.checked_div(shape.cells())?).ok()?,
            node: NodeId(spec.node.0),
            index: at.checked_rem(shape.cells())?,
        })
    }

    fn output(&self, output: u32, at: u64, source: &mut impl Source) -> Examined {
        let value = self
            .element(output, at)
            .and_then(|cell| self.value(cell, source));
        let Some(value) = value else {
            return Examined::NotShown;
        };
        let equal = || {
            let number = usize::try_from(output).ok()?;
            let tensors = &self.0.outputs()?.0;
            let claimed = tensors.iter().nth(number)?.elements();
            let claimed = scalar(claimed, usize::try_from(at).ok()?)?;
            let outputs = &self.0.layout().program().spec().outputs;
            let shown = decode_elements(&outputs.get(number)?.decode, &[value]).ok()?;
            Some(scalar(&shown, 0)? == claimed)
        };
        // A cell that shows no element is no cell of a run.
        if equal() == Some(true) {
            Examined::Right
        } else {
            Examined::Wrong(Reason::WrongOutput)
        }
    }
}

fn scalar(elements: &Elements, at: usize) -> Option<Scalar> {
    Some(match elements {
        Elements::Fp32(all) => Scalar::Fp32(all.get(at)?.to_bits()),
        Elements::Int32(all) => Scalar::Integer((*all.get(at)?).into()),
        Elements::Int64(all) => Scalar::Integer(*all.get(at)?),
    })
}
