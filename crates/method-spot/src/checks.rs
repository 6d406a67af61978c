//! All that a spot check looks at, over any source of bytes: the verifier's holds what was opened, the operator's everything.
//!
//! ```text
//! cells by weight ─▶ cells that read the request ─▶ tokens drawn again (language) or values of the output (tensors)
//! ```
//!
//! The operator makes these very checks over its own run and opens what they read. It deliberately reads nothing else.

use credence_claim::{MethodError, Part, Refutation, Scalar};
use credence_commit::tree::CHUNK_LEN;
use credence_exact::NodeId;
use credence_exec::sampling::{Counts, Place as Step, Sampler, SamplingError, Step as Sampling};
use credence_model::{Elements, decode_elements};

use crate::card::Card;
use crate::challenge::{Kind, Stream};
use crate::draw::{Draws, TooLarge, entries_beside};
use crate::layout::{Layout, View};
use crate::relation::{Cell, Missing, RelationError, Relations, read};
use crate::source::Source;
use crate::subject::{LanguageTold, Subject, TensorTold, Told, malformed, wide};

/// Why a check says no.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The claim is false.
    #[error("the claim is false")]
    Refuted(#[source] Refutation),
    /// Bytes that a check reads are not there.
    #[error("the evidence does not open what is asked for")]
    Missing(#[from] Missing),
    /// The run cannot be checked in this way.
    #[error("the run cannot be spot-checked")]
    Relation(#[source] RelationError),
    /// The run is too large.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The parameters do not fit the vocabulary.
    #[error("no token can be drawn with these parameters")]
    Sampling(#[from] SamplingError),
}

impl From<CheckError> for MethodError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Refuted(refutation) => Self::Refuted(refutation),
            CheckError::Missing(missing) => malformed(Part::Evidence, missing),
            CheckError::Sampling(error) => malformed(Part::Params, error),
            CheckError::Relation(_) | CheckError::TooLarge(_) => Self::Failed(Box::new(error)),
        }
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Cells drawn by weight.
    pub cells: u32,
    /// Cells at the border of the request.
    pub entries: u32,
    /// Tokens drawn again.
    pub tokens: u32,
    /// Values of the output compared.
    pub outputs: u32,
}

/// A run under check.
#[derive(Debug)]
pub struct Checks<'a> {
    card: &'a Card,
    subject: &'a Subject,
    layout: &'a Layout<'a>,
    draws: Draws<'a>,
}

impl<'a> Checks<'a> {
    /// Of a run of the card's model.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn new(
        card: &'a Card,
        subject: &'a Subject,
        layout: &'a Layout<'a>,
    ) -> Result<Self, TooLarge> {
        Ok(Self {
            card,
            subject,
            layout,
            draws: Draws::new(card, layout)?,
        })
    }

    /// Its draws.
    #[must_use]
    pub const fn draws(&self) -> &Draws<'a> {
        &self.draws
    }

    /// Checks all that is drawn.
    ///
    /// # Errors
    /// [`CheckError`]: the first check that says no.
    pub fn run(
        &self,
        source: &mut impl Source,
        stream: &Stream,
        (cells, rows): (u32, u32),
    ) -> Result<Looked, CheckError> {
        let mut looked = Looked::default();
        let mut relations = Relations::new(self.layout, self.subject.given());
        for index in 0..cells {
            if let Some(cell) = self.draws.cell(stream, index) {
                self.cell(&mut relations, source, cell)?;
                looked.cells = looked.cells.saturating_add(1);
            }
        }
        for index in 0..entries_beside(cells) {
            for cell in self.draws.entry(stream, index) {
                self.cell(&mut relations, source, cell)?;
                looked.entries = looked.entries.saturating_add(1);
            }
        }
        match &self.subject.told {
            Told::Language(told) => self.rows(told, source, stream, rows, &mut looked)?,
            Told::Tensors(told) => self.outputs(told, source, stream, cells, &mut looked)?,
        }
        Ok(looked)
    }

    /// Checks one cell.
    fn cell(
        &self,
        relations: &mut Relations<'_>,
        source: &mut impl Source,
        cell: Cell,
    ) -> Result<(), CheckError> {
        match relations.check(source, cell) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CheckError::Refuted(Refutation::Cell {
                cell: self.draws.number(cell),
            })),
            Err(RelationError::Missing(missing)) => Err(missing.into()),
            Err(error) => Err(CheckError::Relation(error)),
        }
    }

    fn value(&self, source: &mut impl Source, cell: Cell) -> Result<i64, CheckError> {
        let place = self
            .layout
            .place(cell.node, cell.position, cell.index, View::Own);
        let place = place.ok_or(CheckError::Relation(RelationError::NoCell(cell)))?;
        Ok(read(source, place)?)
    }

    /// Draws the last token again, and as many others as asked for.
    fn rows(
        &self,
        told: &LanguageTold,
        source: &mut impl Source,
        stream: &Stream,
        rows: u32,
        looked: &mut Looked,
    ) -> Result<(), CheckError> {
        let Some(language) = &self.card.program().spec().language else {
            return Ok(());
        };
        let count = u128::try_from(told.drawn.len()).unwrap_or(1);
        let mut sampler = Sampler::new();
        for number in 0..rows {
            let last = told.drawn.len().checked_sub(1);
            let index = if number == 0 {
                last
            } else {
                let [draw, _] = stream.draw(Kind::Row, number);
                let index = draw.checked_rem(count);
                index.and_then(|index| usize::try_from(index).ok())
            };
            let Some(index) = index else { break };
            let position = wide(told.prompt.saturating_sub(1).saturating_add(index));
            let logits = self.logits(source, language.logits, position)?;
            let got = redraw(told, index, &logits, &mut sampler)?;
            let claimed = told.drawn.get(index).copied().unwrap_or(u32::MAX);
            if claimed != got {
                return Err(CheckError::Refuted(Refutation::Token {
                    index: wide(index),
                    claimed,
                    got,
                }));
            }
            looked.tokens = looked.tokens.saturating_add(1);
        }
        Ok(())
    }

    /// All logits of a position, read chunk by chunk.
    fn logits(
        &self,
        source: &mut impl Source,
        node: NodeId,
        position: u64,
    ) -> Result<Vec<i32>, CheckError> {
        let first = Cell {
            position,
            node,
            index: 0,
        };
        let no_cell = || CheckError::Relation(RelationError::NoCell(first));
        let place = self.layout.place(node, position, 0, View::Own);
        let place = place.ok_or_else(no_cell)?;
        let shape = self.card.program().shape(node).ok_or_else(no_cell)?;
        let (mut start, mut left) = (place.start, shape.cells().saturating_mul(4));
        let mut logits = Vec::with_capacity(shape.cells().min(1 << 20));
        while left > 0 {
            let within = start.checked_rem(CHUNK_LEN).unwrap_or(0);
            let rest = usize::try_from(CHUNK_LEN.saturating_sub(within)).unwrap_or(1);
            let len = rest.min(left);
            let missing = Missing {
                tree: place.tree,
                start,
            };
            let bytes = source.bytes(place.tree, start, len).ok_or(missing)?;
            let (cells, _) = bytes.as_chunks::<4>();
            logits.extend(cells.iter().map(|cell| i32::from_le_bytes(*cell)));
            start = start.saturating_add(wide(len));
            left = left.saturating_sub(len);
        }
        Ok(logits)
    }

    /// Compares values of the output with the cells that it shows: all if they are at most as many as `most`, else as many that are drawn.
    fn outputs(
        &self,
        told: &TensorTold,
        source: &mut impl Source,
        stream: &Stream,
        most: u32,
        looked: &mut Looked,
    ) -> Result<(), CheckError> {
        let lengths: Vec<usize> = told.outputs.iter().map(|t| t.elements().len()).collect();
        let total = lengths
            .iter()
            .fold(0_usize, |sum, &n| sum.saturating_add(n));
        let all = u32::try_from(total).ok().filter(|&total| total <= most);
        for number in 0..all.unwrap_or(most) {
            let flat = match all {
                Some(_) => usize::try_from(number).ok(),
                None => {
                    let [draw, _] = stream.draw(Kind::Output, number);
                    let total = u128::try_from(total).unwrap_or(1);
                    let flat = draw.checked_rem(total);
                    flat.and_then(|flat| usize::try_from(flat).ok())
                }
            };
            let Some(mut at) = flat else { break };
            for (output, &length) in lengths.iter().enumerate() {
                if let Some(behind) = at.checked_sub(length) {
                    at = behind;
                    continue;
                }
                self.output(told, source, (output, at))?;
                looked.outputs = looked.outputs.saturating_add(1);
                break;
            }
        }
        Ok(())
    }

    fn output(
        &self,
        told: &TensorTold,
        source: &mut impl Source,
        (output, at): (usize, usize),
    ) -> Result<(), CheckError> {
        let spec = self.card.program().spec().outputs.get(output);
        let tensor = told.outputs.iter().nth(output);
        let shape = spec.and_then(|spec| self.card.program().output_shape(spec));
        let (Some(spec), Some(tensor), Some(shape)) = (spec, tensor, shape) else {
            return Ok(());
        };
        let (position, index) = (at.checked_div(shape.cells()), at.checked_rem(shape.cells()));
        let cell = Cell {
            position: wide(position.unwrap_or(0)),
            node: NodeId(spec.node.0),
            index: index.unwrap_or(0),
        };
        let value = self.value(source, cell)?;
        let claimed = scalar(tensor.elements(), at);
        let shown = decode_elements(&spec.decode, &[value]);
        let got = shown.ok().and_then(|shown| scalar(&shown, 0));
        match (claimed, got) {
            (Some(claimed), Some(got)) if claimed == got => Ok(()),
            (Some(claimed), Some(got)) => Err(CheckError::Refuted(Refutation::OutputValue {
                part: spec.name.clone(),
                index: wide(at),
                claimed,
                got,
            })),
            // A cell that shows no element is no cell of a run.
            _ => Err(CheckError::Refuted(Refutation::Cell {
                cell: self.draws.number(cell),
            })),
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

/// Token `index` of an answer, drawn from its logits.
fn redraw(
    told: &LanguageTold,
    index: usize,
    logits: &[i32],
    sampler: &mut Sampler,
) -> Result<u32, SamplingError> {
    let before = told.drawn.iter().take(index).copied();
    let counts: Counts = before.collect();
    let step = Sampling {
        logits,
        counts: &counts,
        allowed: None,
        place: Step {
            seed: told.seed,
            choice: told.choice,
            step: u32::try_from(index).unwrap_or(u32::MAX),
        },
    };
    sampler.sample(&told.parameters, &step)
}
