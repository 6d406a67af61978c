//! A language model's own thread: it owns every session, and runs all answers together, round by round.
//!
//! ```text
//! Speaker::ask ─seats─▶ inbox ─▶ Floor{Schedule, Group{Voice…}…}: messages, who has left, one round ─▶ inbox …
//! ```
//!
//! Everything here is bounded by seats: an answer takes one before it is let in and gives it back when its receipt is kept. What an answer has said waits for its reader without a bound
//! of its own, since it is no longer than the answer may be.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use credence_generate::Language;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::keeper::Keeper;
use crate::speech::answers::{Event, Trouble};
use crate::speech::closer::{self, Closing};
use crate::speech::issue::Begun;
use crate::speech::schedule::{Caps, GroupId, Schedule, Turn};
use crate::speech::voice::{Group, run};

/// One answer that is wanted.
#[derive(Debug)]
pub struct Choice {
    /// What is asked, and how.
    pub begun: Begun,
    /// How many likely tokens are to be reported beside each one drawn, if any report is wanted.
    pub logprobs: Option<usize>,
}

/// Answers over one prompt: their prompts differ in the number of the choice alone.
#[derive(Debug)]
pub struct Request {
    /// The answers, at least one.
    pub choices: Vec<Choice>,
    /// Who is told.
    pub events: UnboundedSender<Event>,
}

/// All places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// For now.
    #[error("{seats} answers run or wait, the most at once; try again")]
    Busy {
        /// Places that there are.
        seats: usize,
    },
    /// For ever: more are asked for at once than ever run.
    #[error("at most {max} answers can be asked for at once, but {got} are")]
    Never {
        /// Most at once.
        max: usize,
        /// Asked for.
        got: usize,
    },
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

/// What the speaker's thread is told.
pub(super) enum Message {
    /// Someone asks.
    Ask(Box<Asked>),
    /// An answer's memory is free.
    Closed,
    /// End all answers, and take no more.
    WindDown,
    /// The same, and end.
    Stop,
}

/// A request with its seats, one for each choice.
pub(super) struct Asked {
    pub(super) choices: Vec<(Choice, OwnedSemaphorePermit)>,
    pub(super) events: UnboundedSender<Event>,
    pub(super) keeper: Arc<Keeper>,
}

/// A language model that answers.
#[derive(Debug)]
pub struct Speaker {
    language: Arc<Language>,
    inbox: Sender<Message>,
    seats: Arc<Semaphore>,
    caps: Caps,
}

impl Speaker {
    /// Starts a model's threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(language: Arc<Language>, caps: Caps) -> io::Result<Self> {
        let (inbox, messages) = channel();
        let (closing, ended) = channel();
        let (own, own_inbox) = (Arc::clone(&language), inbox.clone());
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        named("credence-closer").spawn(move || closer::run(&ended, &own_inbox))?;
        named("credence-speaker").spawn(move || {
            let mut floor = Floor::new(&own, closing, caps);
            floor.run(&messages);
        })?;
        Ok(Self {
            language,
            inbox,
            seats: Arc::new(Semaphore::new(caps.running_max + caps.waiting_max)),
            caps,
        })
    }

    /// The model.
    #[must_use]
    pub const fn language(&self) -> &Arc<Language> {
        &self.language
    }

    /// How much it does at once.
    #[must_use]
    pub const fn caps(&self) -> Caps {
        self.caps
    }

    const fn seats(&self) -> usize {
        self.caps.running_max + self.caps.waiting_max
    }

    /// Whether no place is free, so that preparing a request would be for nothing.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.seats.available_permits() == 0
    }

    /// What it says then.
    #[must_use]
    pub const fn busy(&self) -> Full {
        Full::Busy {
            seats: self.seats(),
        }
    }

    /// Takes requests, all or none of them. What becomes of them is told to each one's `events`; whoever drops the receiver withdraws.
    ///
    /// # Errors
    /// [`Full`]: nothing of it was taken.
    pub fn ask(&self, requests: Vec<Request>, keeper: &Arc<Keeper>) -> Result<(), Full> {
        let got = requests.iter().map(|request| request.choices.len()).sum();
        let largest = requests.iter().map(|request| request.choices.len()).max();
        let running_max = self.caps.running_max;
        if largest.is_some_and(|largest| largest > running_max) || got > self.seats() {
            let max = running_max;
            return Err(Full::Never { max, got });
        }
        let all = u32::try_from(got).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.seats).try_acquire_many_owned(all);
        let mut taken = taken.map_err(|_| self.busy())?;
        for Request { choices, events } in requests {
            let with_seat = choices
                .into_iter()
                .filter_map(|choice| Some((choice, taken.split(1)?)));
            let asked = Asked {
                choices: with_seat.collect(),
                events,
                keeper: Arc::clone(keeper),
            };
            let sent = self.inbox.send(Message::Ask(Box::new(asked)));
            sent.map_err(|_| Full::Stopping)?;
        }
        Ok(())
    }

    /// Ends all answers now, each with its receipt if it has a token, and takes no more.
    pub fn wind_down(&self) {
        // A thread that has ended has nothing to end.
        drop(self.inbox.send(Message::WindDown));
    }

    /// Completes when no answer runs, waits, or lacks its receipt.
    pub async fn quiet(&self) {
        let all = u32::try_from(self.seats()).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        drop(self.seats.acquire_many(all).await);
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        drop(self.inbox.send(Message::Stop));
    }
}

/// Everything that the thread knows.
struct Floor<'a> {
    language: &'a Language,
    schedule: Schedule,
    groups: BTreeMap<GroupId, Group<'a>>,
    closing: Sender<Closing>,
    next: GroupId,
    /// Whether nobody is let in any more.
    winding_down: bool,
    stopped: bool,
}

impl<'a> Floor<'a> {
    const fn new(language: &'a Language, closing: Sender<Closing>, caps: Caps) -> Self {
        Self {
            language,
            schedule: Schedule::new(caps),
            groups: BTreeMap::new(),
            closing,
            next: 0,
            winding_down: false,
            stopped: false,
        }
    }

    /// Until it is told to stop.
    fn run(&mut self, inbox: &Receiver<Message>) {
        while !self.stopped {
            if self.schedule.idle() {
                let Ok(message) = inbox.recv() else { return };
                self.take(message);
            }
            while let Ok(message) = inbox.try_recv() {
                self.take(message);
            }
            self.end_abandoned();
            self.round();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Ask(asked) => self.let_in(*asked),
            Message::Closed => self.schedule.closed(),
            Message::WindDown => self.end_all(),
            Message::Stop => {
                self.end_all();
                self.stopped = true;
            }
        }
    }

    fn let_in(&mut self, asked: Asked) {
        if self.winding_down {
            // The client may have left; then there is nobody to tell.
            drop(asked.events.send(Event::Failed(Trouble::Stopping)));
            return;
        }
        let id = self.next;
        self.next += 1;
        let events = asked.events.clone();
        match Group::new(self.language, asked) {
            Some(group) => {
                let (answers, prompt) = (group.voices().len(), group.prompt_len());
                self.schedule.arrive(id, answers, prompt);
                self.groups.insert(id, group);
            }
            None => drop(events.send(Event::Failed(Trouble::Run))),
        }
    }

    fn end_all(&mut self) {
        self.winding_down = true;
        let ids: Vec<GroupId> = self.groups.keys().copied().collect();
        for id in ids {
            self.cut_off(id);
        }
    }

    /// Ends the answers that nobody waits for.
    fn end_abandoned(&mut self) {
        let left = self.groups.iter().filter(|(_, group)| group.is_abandoned());
        let left: Vec<GroupId> = left.map(|(id, _)| *id).collect();
        for id in left {
            self.cut_off(id);
        }
    }

    /// Ends a group's answers where they are: those with a token get a receipt that says so.
    fn cut_off(&mut self, id: GroupId) {
        let Some(mut group) = self.groups.remove(&id) else {
            return;
        };
        self.schedule.forget(id);
        while let Some(voice) = group.pop() {
            let closing = voice.cut_off(group.events(), group.keeper());
            self.schedule.ended(id, closing.is_some());
            match closing {
                Some(closing) => self.close(closing),
                None => drop(group.events().send(Event::Failed(Trouble::Stopping))),
            }
        }
    }

    fn close(&self, closing: Closing) {
        if self.closing.send(closing).is_err() {
            tracing::error!("the thread that keeps receipts has ended; an answer has none");
        }
    }

    /// Runs what is to run now, and ends what has ended with it.
    fn round(&mut self) {
        let turns = self.schedule.round();
        if turns.is_empty() {
            return;
        }
        let ids = turns.iter().map(|turn| match turn {
            Turn::Read { id, .. } | Turn::Speak { id } => *id,
        });
        let ids: Vec<GroupId> = ids.collect();
        let well = run(self.language, &mut self.groups, &turns);
        for id in ids {
            let Some(group) = self.groups.get_mut(&id) else {
                continue;
            };
            let ended = if well { group.settle() } else { group.fail() };
            for closing in ended {
                self.schedule.ended(id, closing.is_some());
                if let Some(closing) = closing {
                    self.close(closing);
                }
            }
            if self.groups.get(&id).is_some_and(|g| g.voices().is_empty()) {
                self.groups.remove(&id);
            }
        }
    }
}
