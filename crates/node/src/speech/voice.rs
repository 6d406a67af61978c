//! Answers over one prompt, and one round of all of them on the engine.
//!
//! The prompt is read once. Whoever draws from its last position next draws from the same logits, each by the number of its own choice; then the session is cloned for each: what it
//! remembers and what it has hashed are the same as if each had read the prompt by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use credence_claim::FinishReason;
use credence_exec::sampling::{Logprobs, logprobs};
use credence_exec::{Append, Session};
use credence_generate::{Finish, Generation, GenerationError, Language, Limits, Piece};
use tokio::sync::OwnedSemaphorePermit;

use crate::keeper::Keeper;
use crate::speech::answers::{Event, Said, Trouble};
use crate::speech::closer::Closing;
use crate::speech::issue::Begun;
use crate::speech::masker::{Masked, Wanted};
use crate::speech::queue::Events;
use crate::speech::schedule::{GroupId, Turn};
use crate::speech::speaker::Asked;

/// What one round brought to an answer.
type Heard = Result<(Piece, Option<Logprobs>), GenerationError>;

/// The half of an answer that listens to logits.
struct Mouth<'a> {
    generation: Generation<'a>,
    logprobs: Option<usize>,
    heard: Option<Heard>,
    /// Whether what follows its grammar is lent out.
    lent: bool,
}

/// One answer.
pub(super) struct Voice<'a> {
    begun: Begun,
    seat: OwnedSemaphorePermit,
    /// None until the prompt is read.
    session: Option<Session>,
    /// The token drawn last, which the next round runs.
    next: [u32; 1],
    mouth: Mouth<'a>,
}

/// Answers over one prompt.
pub(super) struct Group<'a> {
    id: GroupId,
    prompt: Vec<u32>,
    read: usize,
    /// Reads the prompt.
    lead: Option<Session>,
    voices: Vec<Voice<'a>>,
    events: Events,
    keeper: Arc<Keeper>,
}

impl Mouth<'_> {
    fn hear(&mut self, logits: &[i32]) {
        let heard = self.generation.step(logits).and_then(|piece| {
            let report = self.logprobs.map(|top| logprobs(logits, piece.token, top));
            Ok((piece, report.transpose()?))
        });
        self.heard = Some(heard);
    }
}

impl<'a> Group<'a> {
    /// Sits down; nothing is run yet. None if the model takes no tokens, or nothing is asked.
    pub(super) fn new(id: GroupId, language: &'a Language, asked: Asked) -> Option<Self> {
        let (first, _) = asked.choices.first()?;
        let prompt = first.begun.prompt().ids().to_vec();
        let limits = Limits {
            prompt: prompt.len(),
            context: language.context(),
        };
        let voices = asked.choices.into_iter().map(|(choice, seat)| {
            let begun = choice.begun;
            let place = (begun.seed(), begun.prompt().choice());
            let generation = Generation::new(language.text(), begun.parameters(), place, limits)
                .with_constraint(choice.constraint);
            Voice {
                begun,
                seat,
                session: None,
                next: [0],
                mouth: Mouth {
                    generation,
                    logprobs: choice.logprobs,
                    heard: None,
                    lent: false,
                },
            }
        });
        Some(Self {
            id,
            read: 0,
            lead: Some(language.engine().session().ok()?),
            voices: voices.collect(),
            events: asked.events,
            keeper: asked.keeper,
            prompt,
        })
    }

    pub(super) fn voices(&self) -> &[Voice<'a>] {
        &self.voices
    }

    pub(super) const fn prompt_len(&self) -> usize {
        self.prompt.len()
    }

    pub(super) const fn events(&self) -> &Events {
        &self.events
    }

    pub(super) const fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// Whether its answers can go on by a token: their reader is not behind, and it is known what may come.
    fn can_speak(&self) -> bool {
        self.events.has_room() && !self.voices.iter().any(|voice| voice.mouth.lent)
    }

    /// What may come next in an answer is known. False if it never will be: a fault of this program.
    pub(super) fn unmask(&mut self, masked: Masked) -> bool {
        let Masked {
            choice, constraint, ..
        } = masked;
        let mut voices = self.voices.iter_mut();
        let voice = voices.find(|voice| voice.begun.prompt().choice() == choice);
        match (voice, constraint) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(voice), Some(constraint)) => {
                voice.mouth.generation.give_back(constraint);
                voice.mouth.lent = false;
                true
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<Voice<'a>> {
        self.voices.pop()
    }

    /// Takes part in a round; false if it waits for something.
    fn join<'s>(&'s mut self, turn: &Turn, round: &mut Round<'s, 'a>) -> bool {
        match *turn {
            Turn::Speak { .. } if !self.can_speak() => return false,
            Turn::Read { tokens, last, .. } => {
                let start = self.read;
                self.read = self.prompt.len().min(start.saturating_add(tokens));
                let (Some(session), Some(tokens)) =
                    (&mut self.lead, self.prompt.get(start..self.read))
                else {
                    return false;
                };
                round.appends.push(Append {
                    session,
                    tokens,
                    sampled: usize::from(last),
                });
                let mouths = self.voices.iter_mut().map(|voice| &mut voice.mouth);
                round.listeners.push(mouths.collect());
            }
            Turn::Speak { .. } => {
                for Voice {
                    session,
                    next,
                    mouth,
                    ..
                } in &mut self.voices
                {
                    if let Some(session) = session {
                        let (tokens, sampled) = (next.as_slice(), 1);
                        round.appends.push(Append {
                            session,
                            tokens,
                            sampled,
                        });
                        round.listeners.push(vec![mouth]);
                    }
                }
            }
        }
        true
    }

    /// After a round: tells what was said, and asks `masker` what may come next; gives, for each answer that has ended, what is to be closed.
    pub(super) fn settle(&mut self, masker: &Sender<Wanted>) -> Vec<Option<Closing>> {
        if self.read == self.prompt.len()
            && let Some(lead) = self.lead.take()
        {
            let rest = self.voices.len().saturating_sub(1);
            for voice in self.voices.iter_mut().take(rest) {
                voice.session = Some(lead.clone());
            }
            if let Some(last) = self.voices.last_mut() {
                last.session = Some(lead);
            }
        }
        let mut ended = Vec::new();
        let mut going = Vec::new();
        for mut voice in core::mem::take(&mut self.voices) {
            match voice.mouth.heard.take() {
                None => going.push(voice),
                Some(Err(error)) => {
                    tracing::error!(cause = crate::chain_of(&error), "no token could be drawn");
                    self.tell(Event::Failed(match error {
                        GenerationError::Grammar(_) => Trouble::Grammar,
                        _ => Trouble::Run,
                    }));
                    ended.push(None);
                }
                Some(Ok((piece, logprobs))) => {
                    voice.next = [piece.token];
                    self.tell(Event::Said(Said {
                        choice: voice.begun.prompt().choice(),
                        token: piece.token,
                        text: piece.text,
                        logprobs,
                    }));
                    match piece.finish {
                        None => {
                            voice.lend(self.id, masker);
                            going.push(voice);
                        }
                        Some(finish) => {
                            let why = match finish {
                                Finish::Stop => FinishReason::Stop,
                                Finish::Length => FinishReason::Length,
                            };
                            let closing = voice.end(why, String::new(), &self.events, &self.keeper);
                            ended.push(closing);
                        }
                    }
                }
            }
        }
        self.voices = going;
        ended
    }

    /// After a round that failed: nothing of the group is left.
    pub(super) fn fail(&mut self) -> Vec<Option<Closing>> {
        self.tell(Event::Failed(Trouble::Run));
        self.voices.drain(..).map(|_| None).collect()
    }

    fn tell(&self, event: Event) {
        self.events.send(event);
    }
}

impl Voice<'_> {
    /// Has the next mask found by `masker`, if it has a grammar.
    fn lend(&mut self, group: GroupId, masker: &Sender<Wanted>) {
        let Some(constraint) = self.mouth.generation.lend() else {
            return;
        };
        let wanted = Wanted {
            group,
            choice: self.begun.prompt().choice(),
            constraint,
        };
        match masker.send(wanted) {
            Ok(()) => self.mouth.lent = true,
            // Without that thread it is found when the token is drawn.
            Err(unsent) => self.mouth.generation.give_back(unsent.0.constraint),
        }
    }

    /// Ends it where it is; nothing to close if it has no token.
    pub(super) fn cut_off(mut self, events: &Events, keeper: &Arc<Keeper>) -> Option<Closing> {
        if self.mouth.generation.tokens().is_empty() {
            return None;
        }
        let rest = self.mouth.generation.cancel();
        self.end(FinishReason::Cancelled, rest, events, keeper)
    }

    fn end(
        self,
        finish: FinishReason,
        rest: String,
        events: &Events,
        keeper: &Arc<Keeper>,
    ) -> Option<Closing> {
        Some(Closing {
            output: self.mouth.generation.output(),
            begun: self.begun,
            session: self.session?,
            finish,
            rest,
            events: events.clone(),
            keeper: Arc::clone(keeper),
            seat: self.seat,
        })
    }
}

/// What one call of the engine is given.
struct Round<'s, 'a> {
    appends: Vec<Append<'s>>,
    /// For each append, who draws from its logits.
    listeners: Vec<Vec<&'s mut Mouth<'a>>>,
}

/// What became of a round.
pub(super) struct Ran {
    /// Who took part.
    pub(super) ids: Vec<GroupId>,
    /// False if the engine refuses it: a fault of this program, since prompts are checked before they come here.
    pub(super) well: bool,
}

/// Runs one round of those who wait for nothing.
pub(super) fn run(
    language: &Language,
    groups: &mut BTreeMap<GroupId, Group<'_>>,
    turns: &[Turn],
) -> Ran {
    let turn_of: BTreeMap<GroupId, &Turn> = turns
        .iter()
        .map(|turn| match turn {
            Turn::Read { id, .. } | Turn::Speak { id } => (*id, turn),
        })
        .collect();
    let mut round = Round {
        appends: Vec::new(),
        listeners: Vec::new(),
    };
    let mut ids = Vec::new();
    for (id, group) in groups.iter_mut() {
        if let Some(turn) = turn_of.get(id)
            && group.join(turn, &mut round)
        {
            ids.push(*id);
        }
    }
    if ids.is_empty() {
        return Ran { ids, well: true };
    }
    let Round {
        mut appends,
        mut listeners,
    } = round;
    let mut sink = |append: usize, _: usize, logits: &[i32]| {
        for mouth in listeners.get_mut(append).into_iter().flatten() {
            mouth.hear(logits);
        }
    };
    let well = match language.engine().advance(&mut appends, &mut sink) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(cause = crate::chain_of(&error), "a round could not be run");
            false
        }
    };
    Ran { ids, well }
}
