//! The operator's side: opens whatever it is asked for.
//!
//! It decides nothing: an operator whose run is right wins by answering. It deliberately does not look whether the run is right; whoever lies answers by the same code.

use credence_base::Digest;
use credence_claim::Openings;
use credence_dispute::{
    Asked, At, Body, Drawing, Examiner, Opening, Question, Referee, Run, SPLIT_LEVELS, Status,
};
use credence_method_spot::{Source as _, Tree, root_of};

use crate::contents::Contents;
use crate::player::{PlayError, Sections};

/// An operator in one dispute.
#[derive(Debug)]
pub struct Operator<'a> {
    weights: &'a [u8],
    sections: &'a Sections,
    opening: Opening,
}

impl<'a> Operator<'a> {
    /// With all that the claim commits to. A tensor model's trace has one section, a language model's four.
    ///
    /// # Errors
    /// [`PlayError::Openings`] if a content or a salt is missing.
    pub fn new(
        openings: &Openings,
        is_language: bool,
        (weights, sections): (&'a [u8], &'a Sections),
    ) -> Result<Self, PlayError> {
        let Openings {
            input: Some(input),
            params: Some(params),
            output: Some(output),
            trace: Some(trace),
        } = openings.clone()
        else {
            return Err(PlayError::Openings);
        };
        let count = if is_language { 4 } else { 1 };
        let roots = sections.iter().take(count);
        let roots: Vec<Digest> = roots.map(|bytes| root_of(Tree::Positions, bytes)).collect();
        Ok(Self {
            weights,
            sections,
            opening: Opening {
                input,
                params,
                output,
                trace,
                sections: roots,
            },
        })
    }

    /// The answer to what is asked. None if nothing is asked of the operator.
    ///
    /// # Errors
    /// [`PlayError`] if the run at hand has not what is asked for.
    pub fn answer(&self, referee: &Referee<'_>) -> Result<Option<Body>, PlayError> {
        let Status::Awaiting { question, .. } = referee.status() else {
            return Ok(None);
        };
        let mut contents = Contents::new(self.weights, self.sections);
        Ok(match question {
            Question::Open => Some(Body::Open(Box::new(self.opening.clone()))),
            Question::Split(at) => Some(split(&contents, at)?),
            Question::Chunk(at) => {
                let bytes = contents.below(at.section, &at.node);
                Some(Body::Chunk(bytes.ok_or(PlayError::Short)?.to_vec()))
            }
            Question::Show(asked) => {
                let run = referee.run().ok_or(PlayError::Short)?;
                Some(show(run, asked, &mut contents)?)
            }
            Question::Weights(index) => {
                let run = referee.run().ok_or(PlayError::Short)?;
                Some(weights(run, *index, &mut contents)?)
            }
            Question::Accuse
            | Question::Child(_)
            | Question::Byte { .. }
            | Question::Read { .. }
            | Question::Object { .. } => None,
        })
    }
}

fn split(contents: &Contents<'_>, at: &At) -> Result<Body, PlayError> {
    let below = at.node.below(SPLIT_LEVELS);
    let values = below.iter().map(|node| contents.value(at.section, node));
    let values = values.collect::<Option<Vec<_>>>();
    Ok(Body::Split(values.ok_or(PlayError::Short)?))
}

fn show(run: &Run<'_>, asked: &Asked, contents: &mut Contents<'_>) -> Result<Body, PlayError> {
    // Whatever it says of this run: what it reads is what is asked for.
    let _examined = Examiner::new(run).examine(asked, contents);
    Ok(Body::Reads(contents.open()?))
}

/// The logits of a draw.
pub(crate) fn logits(
    run: &Run<'_>,
    drawing: &Drawing,
    contents: &Contents<'_>,
) -> Option<Vec<i64>> {
    let mut contents = contents.clone();
    let logit = |id| {
        let cell = drawing.logit(id);
        let view = credence_method_spot::View::Own;
        let place = run
            .layout()
            .place(cell.node, cell.position, cell.index, view)?;
        let bytes = contents.bytes(place.tree, place.start, 4)?;
        Some(i32::from_le_bytes(bytes.try_into().ok()?).into())
    };
    (0..drawing.vocabulary()).map(logit).collect()
}

fn weights(run: &Run<'_>, index: u32, contents: &mut Contents<'_>) -> Result<Body, PlayError> {
    let drawing = Drawing::of(run, index).ok_or(PlayError::Short)?;
    let row = logits(run, &drawing, contents).ok_or(PlayError::Short)?;
    let (likeliest, cuts, sums) = drawing.sums_of(&row).ok_or(PlayError::Short)?;
    let said = |reads| Body::Weights {
        likeliest,
        last_top_k: cuts.top_k.map(|(_, id)| id),
        last_top_p: cuts.top_p.1,
        sums: sums.clone(),
        reads,
    };
    let _said = Examiner::new(run).weights(index, &said(Vec::new()), contents);
    Ok(said(contents.open()?))
}
