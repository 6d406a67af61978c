//! How much a referee takes on, and what it lets go of.
//!
//! ```text
//! filing ─▶ room: of all, of its challenger, against its operator, of models        what ended long ago ─sweep─▶ removed, and cards that no dispute is about
//! ```
//!
//! It deliberately decides nothing about a dispute that is under way.

use std::collections::{BTreeMap, BTreeSet};

use credence_base::{Digest, ModelId};
use credence_dispute::Terms;

use crate::docket::{Docket, Slot, lock};
use crate::error::CourtError;
use crate::notice::Standing;

/// How much a referee takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long a turn is, in seconds: the same for every dispute.
    pub turn_s: u32,
    /// Disputes under way at once.
    pub live_max: usize,
    /// Disputes under way at once of one challenger's key.
    pub live_of_one_max: usize,
    /// Disputes under way at once against one operator: each takes it a run for each message, and a turn has room for so many.
    pub live_of_operator_max: usize,
    /// Disputes kept in all.
    pub kept_max: usize,
    /// How long a dispute is kept after its end, in seconds.
    pub kept_s: u64,
    /// Models whose cards are kept.
    pub models_max: usize,
    /// Models that the disputes of one challenger's key are about.
    pub models_of_one_max: usize,
}

impl Rules {
    /// Turns of ten minutes, 64 disputes at once, 8 of one challenger and 8 against one operator, 10,000 kept for 90 days, of 256 models, 8 of one challenger.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            turn_s: 600,
            live_max: 64,
            live_of_one_max: 8,
            live_of_operator_max: 8,
            kept_max: 10_000,
            kept_s: 90 * 24 * 3600,
            models_max: 256,
            models_of_one_max: 8,
        }
    }
}

impl Docket {
    /// Whether one more dispute may begin.
    pub(crate) fn room(
        &self,
        slots: &BTreeMap<Digest, Slot>,
        terms: &Terms,
        model: ModelId,
    ) -> Result<(), CourtError> {
        let rules = self.rules;
        if slots.len() >= rules.kept_max {
            let max = rules.kept_max;
            return Err(CourtError::Kept { max });
        }
        let (mut all, mut own, mut against) = (0_usize, 0_usize, 0_usize);
        let mut models = BTreeSet::new();
        for slot in slots.values() {
            let live = lock(slot);
            let is_own = live.terms.challenger == terms.challenger;
            if is_own {
                models.insert(live.model);
            }
            if matches!(live.standing, Standing::Awaiting(..)) {
                all = all.saturating_add(1);
                own = own.saturating_add(usize::from(is_own));
                let is_against = live.terms.operator == terms.operator;
                against = against.saturating_add(usize::from(is_against));
            }
        }
        if all >= rules.live_max {
            let max = rules.live_max;
            return Err(CourtError::Full { max });
        }
        if own >= rules.live_of_one_max {
            let max = rules.live_of_one_max;
            return Err(CourtError::KeyFull { max });
        }
        if against >= rules.live_of_operator_max {
            let max = rules.live_of_operator_max;
            return Err(CourtError::OperatorFull { max });
        }
        if models.len() >= rules.models_of_one_max && !models.contains(&model) {
            let max = rules.models_of_one_max;
            return Err(CourtError::KeyModels { max });
        }
        Ok(())
    }

    /// Removes what ended long ago, and cards that no dispute is about any more.
    ///
    /// # Errors
    /// [`CourtError`], the first file that cannot be removed.
    pub fn sweep(&self) -> Result<(), CourtError> {
        let now = self.clock.now();
        let mut slots = lock(&self.slots);
        let is_old = |slot: &Slot| {
            let live = lock(slot);
            let is_over = matches!(live.standing, Standing::Over(..));
            is_over && now.saturating_sub(live.last_unix_s) > self.rules.kept_s
        };
        let old: Vec<Digest> = slots
            .iter()
            .filter(|(_, slot)| is_old(slot))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            slots.remove(&id);
            self.records.remove(&id)?;
        }
        let models: BTreeSet<ModelId> = slots.values().map(|slot| lock(slot).model).collect();
        lock(&self.cards).retain(|model, _| models.contains(model));
        self.records.keep_cards_of(&models)
    }
}
