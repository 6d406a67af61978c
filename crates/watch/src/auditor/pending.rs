//! Entries that were drawn and are not settled: not to be seen yet, or not answered yet. One list, in the scoreboard's file.
//!
//! ```text
//! drawn ─▶ unseen ─a bundle or a key comes─▶ tried ─settled─▶ audits
//!            │                                └─not answered─▶ again after 15 s, 30 s, … ─so often, over so long─▶ audits, as unanswered
//!            └─too long, or too many─▶ counted as unseen
//! ```
//!
//! It deliberately has no clock: times are arguments.

use credence_base::ReceiptDigest;
use serde::{Deserialize, Serialize};

/// Most entries that wait. Those that may not be seen give way to others, oldest first.
pub const PENDING_MAX: usize = 4096;
/// How long an entry waits that may not be seen, in seconds: a week.
const UNSEEN_MAX_S: u64 = 7 * 24 * 3600;
/// The wait after the first try, in seconds; it doubles.
const FIRST_WAIT_S: u64 = 15;
/// How long an operator may say that it has too much to do, in seconds: a day. Others can keep it busy, so that is no silence for far longer.
const BUSY_MAX_S: u64 = 24 * 3600;
/// The longest wait of one that is busy, in seconds.
const BUSY_WAIT_MAX_S: u64 = 1800;
/// Longest words that are kept with an entry, in bytes.
const WORDS_MAX: usize = 300;

/// When an operator that does not answer has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Tries, at least.
    pub tries: u32,
    /// From the first to the last of them at least so many seconds.
    pub over_s: u64,
}

impl Patience {
    /// Five tries over an hour.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            tries: 5,
            over_s: 3600,
        }
    }

    /// The time from one try to the next.
    fn wait_s(&self, tries: u32) -> u64 {
        let shift = tries.saturating_sub(1).min(16);
        (FIRST_WAIT_S << shift).min(self.over_s / 2)
    }
}

/// An entry that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The receipt, in hexadecimal.
    pub receipt: String,
    /// Whether we may see it, as far as we know: else nobody was asked in vain.
    pub seen: bool,
    /// How often it was not answered.
    pub tries: u32,
    /// Since when it waits, or since the first try, in seconds since 1970-01-01 UTC.
    pub since_unix_s: u64,
    /// When it is tried again.
    pub next_unix_s: u64,
    /// Since when the operator says that it has too much to do, if it did.
    #[serde(default)]
    pub busy_since_unix_s: Option<u64>,
    /// How often it said so.
    #[serde(default)]
    pub busy: u32,
    /// Whether it is a request of the auditor's own.
    #[serde(default)]
    pub honeypot: bool,
    /// What was said at the last try.
    pub words: String,
}

impl Pending {
    fn digest(&self) -> Option<ReceiptDigest> {
        self.receipt.parse().ok()
    }
}

/// All that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Waiting(Vec<Pending>);

/// What becomes of an entry that was tried in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits.
    Waits,
    /// It was not answered: often enough, and for long enough.
    Unanswered,
}

impl Waiting {
    /// How many wait that may not be seen.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        let count = self.0.iter().filter(|one| !one.seen).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// How many wait for an answer.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        let count = self.0.iter().filter(|one| one.seen).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// How many wait for an answer, of the auditor's own requests or of the others.
    #[must_use]
    pub fn unanswered_of(&self, honeypots: bool) -> u64 {
        let is_it = |one: &&Pending| one.seen && one.honeypot == honeypots;
        u64::try_from(self.0.iter().filter(is_it).count()).unwrap_or(u64::MAX)
    }

    /// All, as they came.
    #[must_use]
    pub fn all(&self) -> &[Pending] {
        &self.0
    }

    pub(super) fn holds(&self, receipt: &ReceiptDigest) -> bool {
        self.at(receipt).is_some()
    }

    /// How often it was not answered.
    pub(super) fn tries(&self, receipt: &ReceiptDigest) -> u32 {
        let at = self.at(receipt).and_then(|at| self.0.get(at));
        at.map_or(0, |one| one.tries)
    }

    fn at(&self, receipt: &ReceiptDigest) -> Option<usize> {
        let name = receipt.to_string();
        self.0.iter().position(|one| one.receipt == name)
    }

    /// Those whose time has come, by their times: what was put off comes before what was asked since.
    pub(super) fn due(&self, now_unix_s: u64) -> Vec<ReceiptDigest> {
        let due = self.0.iter().filter(|one| one.next_unix_s <= now_unix_s);
        let mut due: Vec<&Pending> = due.collect();
        due.sort_by_key(|one| one.next_unix_s);
        due.into_iter().filter_map(Pending::digest).collect()
    }

    /// Whether one more can wait: those that may not be seen give way.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < PENDING_MAX || self.0.iter().any(|one| !one.seen)
    }

    pub(super) fn remove(&mut self, receipt: &ReceiptDigest) {
        if let Some(at) = self.at(receipt) {
            self.0.remove(at);
        }
    }

    fn entry(&mut self, receipt: &ReceiptDigest, now_unix_s: u64) -> (Option<&mut Pending>, u64) {
        if let Some(at) = self.at(receipt) {
            return (self.0.get_mut(at), 0);
        }
        let mut lapsed = 0;
        while self.0.len() >= PENDING_MAX {
            let Some(at) = self.0.iter().position(|one| !one.seen) else {
                break;
            };
            self.0.remove(at);
            lapsed = 1;
        }
        self.0.push(Pending {
            receipt: receipt.to_string(),
            seen: false,
            tries: 0,
            since_unix_s: now_unix_s,
            next_unix_s: now_unix_s,
            busy_since_unix_s: None,
            busy: 0,
            honeypot: false,
            words: String::new(),
        });
        (self.0.last_mut(), lapsed)
    }

    /// An entry that may not be seen: it waits, to be looked for in each round, or to be asked for again if the operator said that our key is none. How many gave way
    /// for good.
    pub(super) fn not_seen(
        &mut self,
        receipt: &ReceiptDigest,
        (now_unix_s, wait_s): (u64, u64),
    ) -> u64 {
        let (entry, lapsed) = self.entry(receipt, now_unix_s);
        if let Some(entry) = entry {
            entry.seen = false;
            entry.next_unix_s = now_unix_s.saturating_add(wait_s);
        }
        lapsed
    }

    /// An entry for which there was no time: nobody was asked.
    pub(super) fn put_off(&mut self, receipt: &ReceiptDigest, now_unix_s: u64) -> u64 {
        let (entry, lapsed) = self.entry(receipt, now_unix_s);
        if let Some(entry) = entry {
            entry.seen = true;
        }
        lapsed
    }

    /// An entry that was not answered: what becomes of it, and how many gave way for good.
    pub(super) fn not_answered(
        &mut self,
        receipt: &ReceiptDigest,
        (now_unix_s, patience): (u64, Patience),
        words: &str,
    ) -> (Fate, u64) {
        let (entry, lapsed) = self.entry(receipt, now_unix_s);
        let Some(entry) = entry else {
            return (Fate::Waits, lapsed);
        };
        if entry.tries == 0 {
            entry.since_unix_s = now_unix_s;
        }
        entry.seen = true;
        entry.tries = entry.tries.saturating_add(1);
        let wait = patience.wait_s(entry.tries);
        entry.next_unix_s = now_unix_s.saturating_add(wait);
        entry.words = words.chars().take(WORDS_MAX / 4).collect();
        let waited = now_unix_s.saturating_sub(entry.since_unix_s);
        if entry.tries >= patience.tries && waited >= patience.over_s {
            return (Fate::Unanswered, lapsed);
        }
        (Fate::Waits, lapsed)
    }

    /// Says of an entry that waits that it is a request of the auditor's own.
    pub(super) fn is_own(&mut self, receipt: &ReceiptDigest) {
        if let Some(entry) = self.at(receipt).and_then(|at| self.0.get_mut(at)) {
            entry.honeypot = true;
        }
    }

    /// An entry for which the operator had no time: what becomes of it, and how many gave way for good. It has not answered once that has lasted for a day; a try of this
    /// kind is none of silence.
    pub(super) fn was_busy(
        &mut self,
        receipt: &ReceiptDigest,
        (now_unix_s, patience): (u64, Patience),
        words: &str,
    ) -> (Fate, u64) {
        let (entry, lapsed) = self.entry(receipt, now_unix_s);
        let Some(entry) = entry else {
            return (Fate::Waits, lapsed);
        };
        let since = *entry.busy_since_unix_s.get_or_insert(now_unix_s);
        let waited = now_unix_s.saturating_sub(since);
        entry.seen = true;
        entry.busy = entry.busy.saturating_add(1);
        let wait = waited.clamp(FIRST_WAIT_S, BUSY_WAIT_MAX_S);
        entry.next_unix_s = now_unix_s.saturating_add(wait);
        entry.words = words.chars().take(WORDS_MAX / 4).collect();
        let is_long = waited >= patience.over_s.max(BUSY_MAX_S);
        if is_long && entry.busy >= patience.tries {
            return (Fate::Unanswered, lapsed);
        }
        (Fate::Waits, lapsed)
    }

    /// Lets go of what has waited too long unseen; how many.
    pub(super) fn lapse(&mut self, now_unix_s: u64) -> u64 {
        let before = self.0.len();
        self.0
            .retain(|one| one.seen || now_unix_s.saturating_sub(one.since_unix_s) < UNSEEN_MAX_S);
        u64::try_from(before.saturating_sub(self.0.len())).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(number: u64) -> ReceiptDigest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        ReceiptDigest::from_bytes(bytes)
    }

    #[test]
    fn silence_counts_after_so_many_tries_over_so_long() {
        let patience = Patience {
            tries: 3,
            over_s: 100,
        };
        let mut waiting = Waiting::default();
        let (mut now, mut tries, one) = (1000, 0, receipt(1));
        loop {
            tries += 1;
            let (fate, _) = waiting.not_answered(&one, (now, patience), "503");
            if fate == Fate::Unanswered {
                break;
            }
            assert!(waiting.due(now).is_empty(), "not at once again");
            now = waiting.all()[0].next_unix_s;
            assert_eq!(waiting.due(now), [one]);
        }
        // After 0, 15, 45, 95 and 145 s: five tries, though three would do, since 100 s had to pass.
        assert_eq!((tries, now), (5, 1145));
        // Without patience at once.
        let none = Patience {
            tries: 1,
            over_s: 0,
        };
        let (fate, _) = waiting.not_answered(&receipt(2), (now, none), "");
        assert_eq!(fate, Fate::Unanswered);
    }

    /// Whoever has two receipts' keys can keep an operator busy: that is no silence of its own for a day, and never adds to it.
    #[test]
    fn who_is_busy_is_waited_for_far_longer() {
        let (usual, one, start) = (Patience::usual(), receipt(1), 1000);
        let mut waiting = Waiting::default();
        let mut now = start;
        loop {
            let (fate, _) = waiting.was_busy(&one, (now, usual), "429");
            if fate == Fate::Unanswered {
                break;
            }
            now = waiting.all()[0].next_unix_s;
            assert!(now < start + 2 * BUSY_MAX_S);
        }
        assert!(now >= start + BUSY_MAX_S);
        // What was put off is asked before what was asked since.
        let mut waiting = Waiting::default();
        for _ in 0..100 {
            waiting.was_busy(&one, (start, usual), "429");
        }
        let (fate, _) = waiting.not_answered(&one, (start + 10_000, usual), "404");
        assert_eq!(fate, Fate::Waits);
        waiting.put_off(&receipt(2), start + 10_000);
        let due = waiting.due(start + 20_000);
        assert_eq!(due, [receipt(2), one]);
        assert_eq!(
            (waiting.unanswered_of(false), waiting.unanswered_of(true)),
            (2, 0)
        );
        waiting.is_own(&one);
        assert_eq!(
            (waiting.unanswered_of(false), waiting.unanswered_of(true)),
            (1, 1)
        );
    }

    #[test]
    fn what_may_not_be_seen_gives_way_and_lapses_and_what_was_asked_for_does_not() {
        let mut waiting = Waiting::default();
        let usual = Patience::usual();
        for number in 0..10 {
            waiting.not_answered(&receipt(number), (1, usual), "no");
        }
        let mut lapsed = 0;
        for number in 10..5000 {
            assert!(waiting.has_room());
            lapsed += waiting.not_seen(&receipt(number), (2, 0));
        }
        assert_eq!((lapsed, waiting.all().len()), (904, PENDING_MAX));
        assert_eq!((waiting.unseen(), waiting.unanswered()), (4086, 10));
        assert_eq!(waiting.lapse(2 + UNSEEN_MAX_S), 4086);
        assert_eq!(waiting.all().len(), 10);
        // Twice the same is once.
        waiting.put_off(&receipt(3), 9);
        assert_eq!(waiting.all().len(), 10);
        assert!(waiting.holds(&receipt(3)));
        waiting.remove(&receipt(3));
        assert!(!waiting.holds(&receipt(3)));
        // Full of what was asked for, nothing more is taken.
        for number in 10_000..10_000 + 4096 {
            waiting.put_off(&receipt(number), 1);
        }
        assert!(!waiting.has_room());
    }
}
