//! A language model's own thread: it owns every session, and runs all answers together, round by round.
//!
//! ```text
//! Speaker::ask ─seats─▶ inbox ─▶ Floor{Schedule, Group{Voice…}…}: messages, who has left, one round ─▶ inbox …
//! ```
//!
//! Everything here is bounded by seats: an answer takes one before it is let in and gives it back when its receipt is kept.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use credence_generate::Language;
use credence_grammar::Constraint;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::keeper::Keeper;
use crate::speech::answers::{Event, Trouble};
use crate::speech::closer::{self, Closing};
use crate::speech::issue::Begun;
use crate::speech::masker::{self, Masked, Wanted};
use crate::speech::queue::Events;
use crate::speech::schedule::{Caps, GroupId, Schedule};
use crate::speech::voice::{Group, Ran, run};

/// How long nothing is done while all who speak wait for their readers.
const PAUSE: Duration = Duration::from_millis(5);

/// One answer that is wanted.
#[derive(Debug)]
pub struct Choice {
    /// What is asked, and how.
    pub begun: Begun,
    /// What follows the grammar of its parameters, if they have one.
    pub constraint: Option<Constraint>,
    /// How many likely tokens are to be reported beside each one drawn, if any report is wanted.
    pub logprobs: Option<usize>,
}

/// Answers over one prompt: their prompts differ in the number of the choice alone.
#[derive(Debug)]
pub struct Request {
    /// The answers, at least one.
    pub choices: Vec<Choice>,
    /// Who is told.
    pub events: Events,
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
    /// It is known what may come next in an answer.
    Masked(Box<Masked>),
    /// End all answers, and take no more.
    WindDown,
    /// The same, and end.
    Stop,
}

/// A request with its seats, one for each choice.
pub(super) struct Asked {
    pub(super) choices: Vec<(Choice, OwnedSemaphorePermit)>,
    pub(super) events: Events,
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
        let (masks, wanted) = channel();
        let (own, own_inbox, masked) = (Arc::clone(&language), inbox.clone(), inbox.clone());
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        named("credence-closer").spawn(move || closer::run(&ended, &own_inbox))?;
        named("credence-masker").spawn(move || masker::run(&wanted, &masked))?;
        named("credence-speaker").spawn(move || {
            let mut floor = Floor::new(&own, (closing, masks), caps);
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

    const fn busy(&self) -> Full {
        Full::Busy {
            seats: self.seats(),
        }
    }

    /// Whether so many answers, at most `largest` of them over one prompt, could be taken now. Who asks this first prepares nothing in vain; only [`Self::ask`] takes seats.
    ///
    /// # Errors
    /// [`Full`], as [`Self::ask`] would say.
    pub fn room_for(&self, answers: usize, largest: usize) -> Result<(), Full> {
        let max = self.caps.running_max;
        if largest > max || answers > self.seats() {
            return Err(Full::Never { max, got: answers });
        }
        if answers > self.seats.available_permits() {
            return Err(self.busy());
        }
        Ok(())
    }

    /// Takes requests, all or none of them. What becomes of them is told to each one's `events`; whoever drops the receiver withdraws.
    ///
    /// # Errors
    /// [`Full`]: nothing of it was taken.
    pub fn ask(&self, requests: Vec<Request>, keeper: &Arc<Keeper>) -> Result<(), Full> {
        let got = requests.iter().map(|request| request.choices.len()).sum();
        let largest = requests.iter().map(|request| request.choices.len()).max();
        self.room_for(got, largest.unwrap_or(0))?;
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
    masks: Sender<Wanted>,
    next: GroupId,
    /// Whether nobody is let in any more.
    winding_down: bool,
    stopped: bool,
}

impl<'a> Floor<'a> {
    fn new(
        language: &'a Language,
        (closing, masks): (Sender<Closing>, Sender<Wanted>),
        caps: Caps,
    ) -> Self {
        Self {
            language,
            schedule: Schedule::new(caps),
            groups: BTreeMap::new(),
            closing,
            masks,
            next: 0,
            winding_down: false,
            stopped: false,
        }
    }

    /// Until it is told to stop.
    fn run(&mut self, inbox: &Receiver<Message>) {
        while !self.stopped {
            self.guard(|floor| floor.turn(inbox));
        }
    }

    /// One round, with the messages before it.
    fn turn(&mut self, inbox: &Receiver<Message>) {
        if self.schedule.idle() {
            match inbox.recv() {
                Ok(message) => self.take(message),
                Err(_) => self.stopped = true,
            }
        }
        while let Ok(message) = inbox.try_recv() {
            self.take(message);
        }
        self.end_abandoned();
        if self.round() || self.schedule.idle() || self.stopped {
            return;
        }
        // All who speak wait: for their readers, or for the masker, which sends a message.
        match inbox.recv_timeout(PAUSE) {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.stopped = true,
        }
    }

    /// Does something; if it panics, which is a fault of this program, whoever waits is told so, and others can be answered. Nothing of the groups is kept: their sessions may be in
    /// any state. What is in no group any more was dropped while unwinding, and with it the sender whose end its client notices.
    fn guard(&mut self, act: impl FnOnce(&mut Self)) {
        let act = AssertUnwindSafe(|| act(self));
        if catch_unwind(act).is_ok() {
            return;
        }
        tracing::error!("the speaker's thread panicked; its answers are withdrawn");
        for (_, mut group) in core::mem::take(&mut self.groups) {
            group.fail();
        }
        self.schedule.clear();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Ask(asked) => self.let_in(*asked),
            Message::Closed => self.schedule.closed(),
            Message::Masked(masked) => self.unmask(*masked),
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
            asked.events.send(Event::Failed(Trouble::Stopping));
            return;
        }
        let id = self.next;
        self.next += 1;
        let events = asked.events.clone();
        match Group::new(id, self.language, asked) {
            Some(group) => {
                let (answers, prompt) = (group.voices().len(), group.prompt_len());
                self.schedule.arrive(id, answers, prompt);
                self.groups.insert(id, group);
            }
            None => events.send(Event::Failed(Trouble::Run)),
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
                None => group.events().send(Event::Failed(Trouble::Stopping)),
            }
        }
    }

    fn close(&self, closing: Closing) {
        if self.closing.send(closing).is_err() {
            tracing::error!("the thread that keeps receipts has ended; an answer has none");
        }
    }

    fn unmask(&mut self, masked: Masked) {
        let id = masked.group;
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        if !group.unmask(masked) {
            let ended = group.fail();
            self.ended(id, ended);
        }
    }

    /// Runs what is to run now, and ends what has ended with it. False if there was nothing to run, or all of it waits.
    fn round(&mut self) -> bool {
        let turns = self.schedule.round();
        let Ran { ids, well } = run(self.language, &mut self.groups, &turns);
        let ran = !ids.is_empty();
        for id in ids {
            let Some(group) = self.groups.get_mut(&id) else {
                continue;
            };
            let ended = if well {
                group.settle(&self.masks)
            } else {
                group.fail()
            };
            self.ended(id, ended);
        }
        ran
    }

    fn ended(&mut self, id: GroupId, ended: Vec<Option<Closing>>) {
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use credence_base::SigningKey;
    use credence_exec::sampling::{GrammarText, Parameters, Settings};
    use credence_exec::{Engine, Isa, Options};
    use credence_generate::Prompt;
    use credence_store::MemoryReceipts;
    use credence_testkit::speaking::speaking;
    use zeroize::Zeroizing;

    use super::*;
    use crate::inference::Operator;
    use crate::speech::issue::{Ask, Secrets, begin};
    use crate::speech::queue::queue;
    use crate::spot::Spots;

    const CAPS: Caps = Caps {
        running_max: 2,
        waiting_max: 0,
        prompt_tokens_max: 64,
        answer_tokens_max: 100,
    };

    fn language() -> Language {
        let options = Options {
            threads: NonZeroUsize::MIN,
            isa: Isa::detect(),
        };
        Language::new(Engine::new(Arc::new(speaking(3)), options).unwrap()).unwrap()
    }

    fn begun(language: &Language, operator: &Operator, settings: Settings) -> Begun {
        let ask = Ask {
            model: language.model().id(),
            prompt: Prompt::tokens(vec![1, 2, 3], 0).unwrap(),
            parameters: Parameters::new(settings).unwrap(),
            nonce: None,
        };
        let secrets = Secrets {
            salt_master: Zeroizing::new([1; 32]),
            seed: [2; 32],
        };
        begin(*operator.public_key(), ask, &secrets).unwrap()
    }

    fn keeper() -> Arc<Keeper> {
        Arc::new(Keeper {
            operator: Operator::new(SigningKey::from_seed(&[1; 32])),
            receipts: Box::new(MemoryReceipts::new(1 << 20)),
            logging: None,
            spots: Arc::new(Spots::new(core::iter::empty())),
            attached: None,
        })
    }

    fn round(floor: &mut Floor<'_>) {
        floor.guard(|floor| {
            if !floor.schedule.idle() {
                floor.round();
            }
        });
    }

    /// One answer comes in.
    fn ask(
        floor: &mut Floor<'_>,
        seats: &Arc<Semaphore>,
        settings: Settings,
    ) -> tokio::sync::mpsc::Receiver<Event> {
        let (events, told) = queue(1);
        let keeper = keeper();
        let begun = begun(floor.language, &keeper.operator, settings);
        let constraint = floor.language.constraint(begun.parameters()).unwrap();
        let choice = Choice {
            begun,
            constraint,
            logprobs: None,
        };
        let seat = Arc::clone(seats).try_acquire_owned().unwrap();
        floor.let_in(Asked {
            choices: vec![(choice, seat)],
            events,
            keeper,
        });
        told
    }

    fn said(told: &mut tokio::sync::mpsc::Receiver<Event>) -> usize {
        let events = core::iter::from_fn(|| told.try_recv().ok());
        events
            .filter(|event| matches!(event, Event::Said(_)))
            .count()
    }

    #[test]
    fn after_a_panic_clients_are_told_seats_are_free_and_others_are_answered() {
        let language = language();
        let seats = Arc::new(Semaphore::new(2));
        let ((closing, ended), (masks, _wanted)) = (channel(), channel());
        let mut floor = Floor::new(&language, (closing, masks), CAPS);
        let mut first = ask(&mut floor, &seats, Settings::neutral(5));
        let mut second = ask(&mut floor, &seats, Settings::neutral(5));
        round(&mut floor);
        floor.guard(|_| panic!("as a fault would"));
        for told in [&mut first, &mut second] {
            let mut last = None;
            while let Ok(event) = told.try_recv() {
                last = Some(event);
            }
            assert!(matches!(last, Some(Event::Failed(Trouble::Run))));
        }
        assert_eq!(seats.available_permits(), 2);
        let mut third = ask(&mut floor, &seats, Settings::neutral(5));
        (0..10).for_each(|_| round(&mut floor));
        assert!(ended.try_recv().is_ok());
        assert!(matches!(third.try_recv(), Ok(Event::Said(_))));
    }

    fn shaped(tokens: u32) -> Settings {
        let grammar =
            credence_grammar::Grammar::schema(r#"{"type":"array","minItems":60}"#).unwrap();
        Settings {
            grammar: Some(GrammarText {
                kind: grammar.kind().code(),
                text: grammar.text().to_owned(),
            }),
            ..endless(tokens)
        }
    }

    /// The model's ends are kept away.
    fn endless(tokens: u32) -> Settings {
        let ends = credence_testkit::speaking::text_spec().ends;
        Settings {
            logit_bias: ends.iter().map(|&end| (end, -100_000_000)).collect(),
            ..Settings::neutral(tokens)
        }
    }

    #[test]
    fn a_grammar_that_takes_long_holds_up_its_own_answer_alone() {
        let language = language();
        let seats = Arc::new(Semaphore::new(2));
        let ((closing, _ended), (masks, wanted)) = (channel(), channel());
        let mut floor = Floor::new(&language, (closing, masks), CAPS);
        let mut shaped = ask(&mut floor, &seats, shaped(20));
        let mut plain = ask(&mut floor, &seats, endless(20));
        (0..10).for_each(|_| round(&mut floor));
        // Its first mask was found before it came in; nobody has found the second.
        assert_eq!((said(&mut shaped), said(&mut plain)), (1, 10));
        let masked = wanted.try_recv().unwrap().find();
        assert!(wanted.try_recv().is_err());
        floor.take(Message::Masked(Box::new(masked)));
        (0..3).for_each(|_| round(&mut floor));
        assert_eq!((said(&mut shaped), said(&mut plain)), (1, 3));
        // One that is never found ends its answer, and no other.
        let Wanted { group, choice, .. } = wanted.try_recv().unwrap();
        let lost = Masked {
            group,
            choice,
            constraint: None,
        };
        floor.take(Message::Masked(Box::new(lost)));
        assert!(matches!(shaped.try_recv(), Ok(Event::Failed(Trouble::Run))));
        (0..3).for_each(|_| round(&mut floor));
        assert_eq!(said(&mut plain), 3);
        assert_eq!(seats.available_permits(), 1);
    }

    #[test]
    fn an_answer_that_nobody_reads_waits_and_holds_a_bounded_queue() {
        let language = language();
        let seats = Arc::new(Semaphore::new(2));
        let ((closing, _ended), (masks, _wanted)) = (channel(), channel());
        let mut floor = Floor::new(&language, (closing, masks), CAPS);
        let unread = ask(&mut floor, &seats, endless(100));
        // As many as the queue has room for are in it already.
        let group = floor.groups.values().next().unwrap();
        while group.events().has_room() {
            group.events().send(Event::Failed(Trouble::Run));
        }
        round(&mut floor);
        let before = unread.len();
        (0..20).for_each(|_| round(&mut floor));
        assert_eq!(unread.len(), before);
        let mut other = ask(&mut floor, &seats, endless(100));
        (0..5).for_each(|_| round(&mut floor));
        assert_eq!(said(&mut other), 5);
        let mut unread = unread;
        while unread.try_recv().is_ok() {}
        (0..5).for_each(|_| round(&mut floor));
        assert_eq!(said(&mut unread), 5);
    }
}
