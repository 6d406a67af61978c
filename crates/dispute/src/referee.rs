//! The referee: a pure state machine from signed messages and the time to a verdict (`docs/spec/dispute.md`, section 3).
//!
//! ```text
//! Open ─▶ Accuse ─┬─ section ─▶ (Split ─▶ Child)* ─▶ Chunk ─▶ Byte ─▶ Show ─▶ Read ─▶ Show ─▶ …
//!                 ├─ greedy token, output value ────────────────────▶ Show
//!                 └─ draw ─▶ Weights ─▶ Object ─────────────────────▶ Show
//! ```
//!
//! A message counts if its signature is the awaited party's over all that went before; any other is ignored, so that nobody loses by what a stranger sends. Whoever signs
//! something that is not due loses. It deliberately keeps no message: the entries that [`Referee::step`] gives are the caller's to keep.

use credence_base::wire::Writer;
use credence_base::{Digest, PublicKey, domain};
use credence_claim::Claim;
use credence_commit::node::{Node, Nodes};
use credence_method_spot::{Card, Cell, Tree, View};

use crate::draw::{Cuts, Drawing};
use crate::examine::{Asked, Examined, Examiner};
use crate::message::{Body, MESSAGE_BYTES_MAX, SPLIT_LEVELS, Sums, signed_body};
use crate::opened::{Opened, ReadPlace, TreeOpening};
use crate::site::{Site, may_be_named, site};
use crate::subject::{Run, section_of};
use crate::terms::{Party, Terms, TermsError};
use crate::transcript::Entry;
use crate::verdict::{Reason, Verdict};

/// Why there is no dispute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefereeError {
    /// The terms are refused.
    #[error("the terms of the dispute are refused")]
    Terms(#[from] TermsError),
    /// The terms are about another claim.
    #[error("the terms are about another claim than the one at hand")]
    Claim,
    /// The card is of another model.
    #[error("the card at hand is of another model than the claim's")]
    Model,
    /// The card has the model's tokeniser.
    #[error("a dispute is about token ids alone: the card must be without the model's text")]
    Text,
    /// The model is an encoder.
    #[error(
        "the claim is of an encoder, which a dispute cannot decide: its positions see one another"
    )]
    Encoder,
    /// The claim uses a feature that no relation describes.
    #[error("the claim's decoding was constrained, which a dispute cannot decide")]
    Constrained,
}

/// Why something that arrived changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// The dispute has ended.
    #[error("the dispute has ended")]
    Over,
    /// Time went backwards.
    #[error("the time {got} is before {last}, when something happened last")]
    Clock {
        /// The last entry's time.
        last: u64,
        /// Given.
        got: u64,
    },
    /// Longer than any message.
    #[error("a message has at most {max} bytes, got {got}")]
    Length {
        /// The limit.
        max: usize,
        /// Given.
        got: usize,
    },
    /// Not the awaited party's signature over all that went before: of another dispute, another place in this one, or another key.
    #[error("the message is not signed by the awaited party at this point of the dispute")]
    Signature,
}

/// A node of a section on the way down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The section.
    pub section: Tree,
    /// The node.
    pub node: Node,
    /// Its chaining value, or the section's root.
    pub value: [u8; 32],
}

/// What is asked next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Of the operator: all that the claim commits to.
    Open,
    /// Of the challenger: what is wrong.
    Accuse,
    /// Of the operator: the values below this node.
    Split(At),
    /// Of the challenger: the first of these nodes that has another value.
    Child(Vec<At>),
    /// Of the operator: the bytes of this chunk.
    Chunk(At),
    /// Of the challenger: the first of these bytes that is another.
    Byte {
        /// The section.
        section: Tree,
        /// Where in it the bytes begin.
        start: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Of the operator: what a check reads.
    Show(Asked),
    /// Of the challenger: which of the values read is another. By these, the cell itself is right.
    Read {
        /// The cell.
        cell: Cell,
        /// What was read of the trace, ascending by section and place: the cell itself, and what its relation reads.
        places: Vec<ReadPlace>,
    },
    /// Of the operator: the sums of the draw of this token.
    Weights(u32),
    /// Of the challenger: what of the sums is wrong.
    Object {
        /// Number of the answer's token.
        index: u32,
        /// The largest adjusted logit, as the operator says.
        max: i64,
        /// What is kept, as the operator says.
        cuts: Cuts,
        /// The sums of each block, as the operator says.
        sums: Vec<Sums>,
    },
}

impl Question {
    /// Whom it is put to.
    #[must_use]
    pub const fn party(&self) -> Party {
        match self {
            Self::Open | Self::Split(_) | Self::Chunk(_) | Self::Show(_) | Self::Weights(_) => {
                Party::Operator
            }
            Self::Accuse
            | Self::Child(_)
            | Self::Byte { .. }
            | Self::Read { .. }
            | Self::Object { .. } => Party::Challenger,
        }
    }
}

/// Where a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status<'r> {
    /// It goes on.
    Awaiting {
        /// What is asked, and so of whom.
        question: &'r Question,
        /// The last second in which the answer counts, since 1970-01-01 UTC.
        until_unix_s: u64,
    },
    /// It has ended.
    Over(Verdict),
}

/// How a step ends the dispute: who loses, and why.
#[derive(Debug, Clone, Copy)]
struct End(Option<Party>, Reason);

const fn operator(reason: Reason) -> End {
    End(Some(Party::Operator), reason)
}

const fn challenger(reason: Reason) -> End {
    End(Some(Party::Challenger), reason)
}

/// One dispute.
#[derive(Debug)]
pub struct Referee<'a> {
    card: &'a Card,
    claim: &'a Claim,
    terms: Terms,
    head: Digest,
    last_unix_s: u64,
    run: Option<Run<'a>>,
    question: Question,
    verdict: Option<Verdict>,
}

impl<'a> Referee<'a> {
    /// Begins a dispute about a claim of the card's model.
    ///
    /// # Errors
    /// [`RefereeError`].
    pub fn new(card: &'a Card, claim: &'a Claim, terms: Terms) -> Result<Self, RefereeError> {
        terms.check()?;
        if claim.digest() != terms.claim {
            return Err(RefereeError::Claim);
        }
        if claim.fields().model != card.id() {
            return Err(RefereeError::Model);
        }
        // With words at hand some transcripts would end sooner: one transcript has one verdict.
        if card.text().is_some() {
            return Err(RefereeError::Text);
        }
        // No opening is laid out for it, so whoever made the claim could not show that it is right.
        let language = card.program().spec().language.as_ref();
        if language.is_some_and(|language| language.encoder.is_some()) {
            return Err(RefereeError::Encoder);
        }
        if claim.fields().constrained.is_some() {
            return Err(RefereeError::Constrained);
        }
        Ok(Self {
            card,
            claim,
            head: terms.id(),
            last_unix_s: terms.started_unix_s,
            terms,
            run: None,
            question: Question::Open,
            verdict: None,
        })
    }

    /// The terms.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What the next message is signed over beside its body.
    #[must_use]
    pub const fn head(&self) -> &Digest {
        &self.head
    }

    /// The opened claim, once it is.
    #[must_use]
    pub const fn run(&self) -> Option<&Run<'a>> {
        self.run.as_ref()
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status<'_> {
        match self.verdict {
            Some(verdict) => Status::Over(verdict),
            None => Status::Awaiting {
                question: &self.question,
                until_unix_s: self.deadline(),
            },
        }
    }

    fn deadline(&self) -> u64 {
        self.last_unix_s.saturating_add(self.terms.turn_s.into())
    }

    /// Takes a message, or none, at a time. Gives the entry for the transcript if something happened: a message that counts, or that time has run out.
    ///
    /// # Errors
    /// [`Ignored`]: nothing has changed.
    pub fn step(
        &mut self,
        message: Option<&[u8]>,
        now_unix_s: u64,
    ) -> Result<Option<Entry>, Ignored> {
        if self.verdict.is_some() {
            return Err(Ignored::Over);
        }
        let (last, got) = (self.last_unix_s, now_unix_s);
        if got < last {
            return Err(Ignored::Clock { last, got });
        }
        let party = self.question.party();
        if now_unix_s > self.deadline() {
            let entry = self.enter(now_unix_s, None);
            self.end(End(Some(party), Reason::Timeout));
            return Ok(Some(entry));
        }
        let Some(message) = message else {
            return Ok(None);
        };
        let (max, got) = (MESSAGE_BYTES_MAX, message.len());
        if got > max {
            return Err(Ignored::Length { max, got });
        }
        let body = signed_body(self.terms.key(party), &self.head, party, message);
        let body = body.ok_or(Ignored::Signature)?;
        let entry = self.enter(now_unix_s, Some(message));
        match Body::decode(body) {
            Err(_) => self.end(End(Some(party), Reason::Malformed)),
            Ok(Body::Concede) => self.end(End(Some(party), Reason::Conceded)),
            Ok(body) => {
                let question = core::mem::replace(&mut self.question, Question::Open);
                match self.answer(question, body) {
                    Ok(next) => self.question = next,
                    Err(end) => self.end(end),
                }
            }
        }
        Ok(Some(entry))
    }

    /// Moves the chain's head.
    fn enter(&mut self, now_unix_s: u64, message: Option<&[u8]>) -> Entry {
        let mut writer = Writer::new();
        writer
            .digest(&self.head)
            .u64(now_unix_s)
            .u8(u8::from(message.is_some()));
        writer.raw(message.unwrap_or_default());
        let link = domain::DISPUTE_LINK.as_str();
        self.head = Digest::from_bytes(blake3::derive_key(link, &writer.finish()));
        self.last_unix_s = now_unix_s;
        Entry {
            time_unix_s: now_unix_s,
            message: message.map(<[u8]>::to_vec),
        }
    }

    fn end(&mut self, End(loser, reason): End) {
        self.verdict = Some(Verdict {
            terms: self.terms,
            transcript: self.head,
            loser,
            reason,
        });
    }

    fn answer(&mut self, question: Question, body: Body) -> Result<Question, End> {
        let malformed = End(Some(question.party()), Reason::Malformed);
        if let Question::Open = question {
            let Body::Open(opening) = body else {
                return Err(malformed);
            };
            let operator_key: &PublicKey = &self.terms.operator;
            let run = Run::read(self.card, (self.claim, operator_key), &opening);
            self.run = Some(run.map_err(operator)?);
            return Ok(Question::Accuse);
        }
        let turn = Turn {
            run: self.run.as_ref().ok_or(malformed)?,
            malformed,
        };
        match question {
            Question::Open | Question::Accuse => turn.accuse(&body),
            Question::Split(at) => turn.split(&at, &body),
            Question::Child(below) => turn.child(below, &body),
            Question::Chunk(at) => turn.chunk(&at, body),
            Question::Byte {
                section,
                start,
                bytes,
            } => turn.byte((section, start), &bytes, &body),
            Question::Show(asked) => turn.show(&asked, &body),
            Question::Read { cell, places } => turn.read(cell, &places, &body),
            Question::Weights(index) => turn.weights(index, body),
            Question::Object {
                index,
                max,
                cuts,
                sums,
            } => turn.object(index, (max, cuts), &sums, &body),
        }
    }
}

/// One answer under judgement.
struct Turn<'r, 'a> {
    run: &'r Run<'a>,
    /// What it ends in if the answer is of another kind than was due.
    malformed: End,
}

/// What is asked about a node next.
fn down(at: At) -> Question {
    if at.node.is_chunk() {
        Question::Chunk(at)
    } else {
        Question::Split(at)
    }
}

impl Turn<'_, '_> {
    fn accuse(&self, body: &Body) -> Result<Question, End> {
        let out_of_place = challenger(Reason::OutOfPlace);
        if let Body::Section(kind) = body {
            let section = section_of(self.run.layout(), *kind).ok_or(out_of_place)?;
            let node = Node::root(self.run.layout().len(section)).ok_or(out_of_place)?;
            let root = self.run.roots().get(section.index()).ok_or(out_of_place)?;
            let value = *root.as_bytes();
            return Ok(down(At {
                section,
                node,
                value,
            }));
        }
        if let Body::Draw(index) = *body {
            let drawing = Drawing::of(self.run, index).filter(|drawing| !drawing.is_greedy());
            return drawing
                .map(|_| Question::Weights(index))
                .ok_or(out_of_place);
        }
        let asked = if let Body::Greedier { index, better } = *body {
            Asked::Greedier { index, better }
        } else if let Body::Output { output, at } = *body {
            Asked::Output { output, at }
        } else {
            return Err(self.malformed);
        };
        self.ask(asked)
    }

    /// Asks the operator to show something, if the run has it.
    fn ask(&self, asked: Asked) -> Result<Question, End> {
        if Examiner::new(self.run).exists(&asked) {
            Ok(Question::Show(asked))
        } else {
            Err(challenger(Reason::OutOfPlace))
        }
    }

    fn split(&self, at: &At, body: &Body) -> Result<Question, End> {
        let Body::Split(values) = body else {
            return Err(self.malformed);
        };
        let nodes = Nodes::new(domain::TRACE_SECTION);
        if nodes.join(&at.node, SPLIT_LEVELS, values) != Some(at.value) {
            return Err(operator(Reason::Values));
        }
        let below = at.node.below(SPLIT_LEVELS).into_iter().zip(values);
        let below = below.map(|(node, value)| At {
            section: at.section,
            node,
            value: *value,
        });
        Ok(Question::Child(below.collect()))
    }

    fn child(&self, below: Vec<At>, body: &Body) -> Result<Question, End> {
        let Body::Child(number) = *body else {
            return Err(self.malformed);
        };
        let chosen = below.into_iter().nth(number.into());
        chosen.map(down).ok_or(challenger(Reason::OutOfPlace))
    }

    fn chunk(&self, at: &At, body: Body) -> Result<Question, End> {
        let Body::Chunk(bytes) = body else {
            return Err(self.malformed);
        };
        let nodes = Nodes::new(domain::TRACE_SECTION);
        if nodes.value(&at.node, &bytes) != Some(at.value) {
            return Err(operator(Reason::Values));
        }
        Ok(Question::Byte {
            section: at.section,
            start: at.node.range().start,
            bytes,
        })
    }

    fn byte(
        &self,
        (section, start): (Tree, u64),
        bytes: &[u8],
        body: &Body,
    ) -> Result<Question, End> {
        let Body::Byte(at) = *body else {
            return Err(self.malformed);
        };
        let out_of_place = challenger(Reason::OutOfPlace);
        let byte = *bytes.get(usize::from(at)).ok_or(out_of_place)?;
        match site(self.run.layout(), section, start.saturating_add(at.into())) {
            None => Err(out_of_place),
            Some(Site::Filler) if byte == 0 => Err(challenger(Reason::Unfounded)),
            Some(Site::Filler) => Err(operator(Reason::Filler)),
            Some(Site::Cell(cell)) => self.ask(Asked::Cell(cell)),
        }
    }

    fn opened(&self, trees: &[TreeOpening]) -> Result<Opened, End> {
        let opened = Opened::new(self.run.layout(), self.run.roots(), trees);
        opened.map_err(|_| operator(Reason::NotShown))
    }

    fn show(&self, asked: &Asked, body: &Body) -> Result<Question, End> {
        let Body::Reads(trees) = body else {
            return Err(self.malformed);
        };
        let mut opened = self.opened(trees)?;
        let examined = Examiner::new(self.run).examine(asked, &mut opened);
        ended(examined)?;
        if !opened.is_all_read() {
            return Err(operator(Reason::NotShown));
        }
        match *asked {
            Asked::Cell(cell) => Ok(Question::Read {
                cell,
                places: opened.places(),
            }),
            Asked::Greedier { .. }
            | Asked::Heavier { .. }
            | Asked::Block { .. }
            | Asked::Output { .. } => Err(challenger(Reason::Unfounded)),
        }
    }

    fn read(&self, cell: Cell, places: &[ReadPlace], body: &Body) -> Result<Question, End> {
        let Body::Cell(next) = *body else {
            return Err(self.malformed);
        };
        let layout = self.run.layout();
        let was_read = [View::Own, View::Values].into_iter().any(|view| {
            let place = layout.place(next.node, next.position, next.index, view);
            place.is_some_and(|place| {
                let key = (place.tree, place.start);
                let found = places.binary_search_by_key(&key, |read| (read.tree, read.start));
                found.is_ok()
            })
        });
        if !was_read || !may_be_named(layout, next, cell) {
            return Err(challenger(Reason::OutOfPlace));
        }
        self.ask(Asked::Cell(next))
    }

    fn weights(&self, index: u32, body: Body) -> Result<Question, End> {
        let Body::Weights { reads, .. } = &body else {
            return Err(self.malformed);
        };
        let mut opened = self.opened(reads)?;
        let said = Examiner::new(self.run).weights(index, &body, &mut opened);
        let (max, cuts) = match said {
            Ok(said) => said,
            Err(examined) => {
                ended(examined)?;
                return Err(operator(Reason::NotShown));
            }
        };
        if !opened.is_all_read() {
            return Err(operator(Reason::NotShown));
        }
        let Body::Weights { sums, .. } = body else {
            return Err(self.malformed);
        };
        Ok(Question::Object {
            index,
            max,
            cuts,
            sums,
        })
    }

    fn object(
        &self,
        index: u32,
        (max, cuts): (i64, Cuts),
        sums: &[Sums],
        body: &Body,
    ) -> Result<Question, End> {
        if let Body::Heavier(id) = *body {
            return self.ask(Asked::Heavier { index, max, id });
        }
        let Body::Block(block) = *body else {
            return Err(self.malformed);
        };
        let own = usize::try_from(block).ok().and_then(|at| sums.get(at));
        let sums = *own.ok_or(challenger(Reason::OutOfPlace))?;
        self.ask(Asked::Block {
            index,
            max,
            cuts,
            block,
            sums,
        })
    }
}

/// Whether what was examined ends the dispute.
const fn ended(examined: Examined) -> Result<(), End> {
    match examined {
        Examined::Right => Ok(()),
        Examined::Wrong(reason) => Err(operator(reason)),
        Examined::NotShown => Err(operator(Reason::NotShown)),
        Examined::TooMuchWork => Err(End(None, Reason::TooMuchWork)),
    }
}
