//! The challenger's side: from its own run of the request, names the first difference at every step.
//!
//! ```text
//! first section whose root differs ─▶ first node that differs ─▶ first byte ─▶ a value read that differs
//! all roots equal ─▶ first token that is not drawn, first output value that is not its cell's ─▶ concede if there is none
//! ```
//!
//! Why an honest one wins is in `docs/spec/dispute.md`, section 5. It deliberately names nothing that does not differ: it gives up instead.

use credence_dispute::{
    Asked, At, Body, Cuts, Drawing, Examined, Examiner, Question, ReadPlace, Referee, Run, Site,
    Status, Sums, may_be_named, site,
};
use credence_method_spot::{Cell, Tree, root_of};

use crate::contents::Contents;
use crate::operator::logits;
use crate::player::Sections;

/// A challenger in one dispute.
#[derive(Debug, Clone, Copy)]
pub struct Challenger<'a> {
    weights: &'a [u8],
    sections: &'a Sections,
}

impl<'a> Challenger<'a> {
    /// With its own run of the claim's request.
    #[must_use]
    pub const fn new(weights: &'a [u8], sections: &'a Sections) -> Self {
        Self { weights, sections }
    }

    /// The answer to what is asked: to give up if nothing differs. None if nothing is asked of the challenger.
    #[must_use]
    pub fn answer(&self, referee: &Referee<'_>) -> Option<Body> {
        let Status::Awaiting { question, .. } = referee.status() else {
            return None;
        };
        let run = referee.run()?;
        let named = match question {
            Question::Accuse => self.section(run).or_else(|| self.outcome(run)),
            Question::Child(below) => self.child(below),
            Question::Byte {
                section,
                start,
                bytes,
            } => self.byte(*section, *start, bytes),
            Question::Read { cell, places } => self.read(run, *cell, places),
            Question::Object {
                index,
                max,
                cuts,
                sums,
            } => self.object(run, *index, (*max, cuts), sums),
            Question::Open
            | Question::Split(_)
            | Question::Chunk(_)
            | Question::Show(_)
            | Question::Weights(_) => return None,
        };
        Some(named.unwrap_or(Body::Concede))
    }

    fn contents(&self) -> Contents<'a> {
        Contents::new(self.weights, self.sections)
    }

    fn section(&self, run: &Run<'_>) -> Option<Body> {
        for (&tree, bytes) in run.layout().sections().iter().zip(self.sections) {
            if run.roots().get(tree.index()) != Some(&root_of(tree, bytes)) {
                return tree.kind().map(Body::Section);
            }
        }
        None
    }

    /// What of the output does not follow from the trace.
    fn outcome(&self, run: &Run<'_>) -> Option<Body> {
        if let Some(draws) = run.draws() {
            let drawn = u32::try_from(draws.drawn.len()).ok()?;
            return (0..drawn).find_map(|index| self.token(run, index));
        }
        let examiner = Examiner::new(run);
        for (output, tensor) in (0_u32..).zip(run.outputs()?.0.iter()) {
            let elements = u64::try_from(tensor.elements().len()).ok()?;
            for at in 0..elements {
                let asked = Asked::Output { output, at };
                if let Examined::Wrong(_) = examiner.examine(&asked, &mut self.contents()) {
                    return Some(Body::Output { output, at });
                }
            }
        }
        None
    }

    fn token(&self, run: &Run<'_>, index: u32) -> Option<Body> {
        let drawing = Drawing::of(run, index)?;
        let row = logits(run, &drawing, &self.contents())?;
        if drawing.is_greedy() {
            let x = (0_u32..).zip(&row);
            let x: Vec<i64> = x.map(|(id, &logit)| drawing.adjusted(id, logit)).collect();
            let max = x.iter().max()?;
            let better = u32::try_from(x.iter().position(|x| x == max)?).ok()?;
            return (better != drawing.claimed()).then_some(Body::Greedier { index, better });
        }
        let (likeliest, cuts, sums) = drawing.sums_of(&row)?;
        let at = usize::try_from(likeliest).ok()?;
        let max = drawing.adjusted(likeliest, *row.get(at)?);
        let (block, rest) = drawing.falls(&sums)?;
        let ids = drawing.ids(block);
        let start = usize::try_from(ids.start).ok()?;
        let logits = row.get(start..usize::try_from(ids.end).ok()?)?;
        let tally = drawing.tally(&cuts, max, (ids.start, logits));
        let token = Drawing::token(&tally, rest)?;
        (token != drawing.claimed()).then_some(Body::Draw(index))
    }

    fn child(&self, below: &[At]) -> Option<Body> {
        let contents = self.contents();
        let differs = |at: &At| contents.value(at.section, &at.node) != Some(at.value);
        let number = below.iter().position(differs)?;
        Some(Body::Child(u8::try_from(number).ok()?))
    }

    fn byte(&self, section: Tree, start: u64, bytes: &[u8]) -> Option<Body> {
        let kind = usize::from(section.kind()?);
        let own = self
            .sections
            .get(kind)?
            .get(usize::try_from(start).ok()?..)?;
        let at = bytes.iter().zip(own).position(|(a, b)| a != b)?;
        Some(Body::Byte(u16::try_from(at).ok()?))
    }

    fn read(&self, run: &Run<'_>, shown: Cell, places: &[ReadPlace]) -> Option<Body> {
        let named = places.iter().find_map(|place| {
            let kind = usize::from(place.tree.kind()?);
            let own = self.sections.get(kind)?;
            let Some(Site::Cell(cell)) = site(run.layout(), place.tree, place.start) else {
                return None;
            };
            let width = run.layout().program().node(cell.node)?.dtype.width();
            let own = own
                .get(usize::try_from(place.start).ok()?..)?
                .get(..width)?;
            let differs = own != place.raw.get(..width)?;
            (differs && may_be_named(run.layout(), cell, shown)).then_some(cell)
        });
        named.map(Body::Cell)
    }

    fn object(
        &self,
        run: &Run<'_>,
        index: u32,
        (max, cuts): (i64, &Cuts),
        sums: &[Sums],
    ) -> Option<Body> {
        let drawing = Drawing::of(run, index)?;
        let row = logits(run, &drawing, &self.contents())?;
        let heavier = (0_u32..)
            .zip(&row)
            .find(|&(id, &logit)| drawing.adjusted(id, logit) > max);
        if let Some((id, _)) = heavier {
            return Some(Body::Heavier(id));
        }
        for (block, said) in (0..drawing.blocks()).zip(sums) {
            let ids = drawing.ids(block);
            let start = usize::try_from(ids.start).ok()?;
            let logits = row.get(start..usize::try_from(ids.end).ok()?)?;
            if drawing.tally(cuts, max, (ids.start, logits)).sums != *said {
                return Some(Body::Block(block));
            }
        }
        None
    }
}
