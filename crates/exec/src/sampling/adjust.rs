//! Bias, penalties and mask: from logits to adjusted logits (`docs/spec/sampling.md`, sections 3.1 and 3.2).
//!
//! All logits are copied and clamped; the few that have a bias or a count are changed after that. A token that is not allowed becomes
//! [`MASKED`], the one i32 that the clamp leaves free.

use std::collections::BTreeMap;

use super::{SamplingError, Settings, VOCABULARY_MAX};

/// What stands for a token that is not allowed; below every adjusted logit.
pub(super) const MASKED: i32 = i32::MIN;
/// Least and greatest adjusted logit.
pub(super) const LOGIT_MIN: i32 = -i32::MAX;
pub(super) const LOGIT_MAX: i32 = i32::MAX;
/// Tokens in a word of a bitmap.
const WORD_BITS: usize = 64;

/// How often each token was generated so far in one choice. Tokens of the prompt are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<u32, u32>);

impl Counts {
    /// Before the first token.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Counts a token that was generated.
    pub fn add(&mut self, token: u32) {
        let count = self.0.entry(token).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// How often the token was counted.
    #[must_use]
    pub fn get(&self, token: u32) -> u32 {
        self.0.get(&token).copied().unwrap_or(0)
    }

    /// Tokens that were counted, ascending, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().map(|(&token, &count)| (token, count))
    }

    fn last(&self) -> Option<u32> {
        self.0.last_key_value().map(|(&token, _)| token)
    }
}

impl FromIterator<u32> for Counts {
    fn from_iter<I: IntoIterator<Item = u32>>(tokens: I) -> Self {
        let mut counts = Self::new();
        tokens.into_iter().for_each(|token| counts.add(token));
        counts
    }
}

/// The tokens that a constrained decoding allows: token i at bit `i mod 64` of word `⌊i/64⌋`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed<'a>(pub &'a [u64]);

impl Allowed<'_> {
    /// Whether a token is allowed.
    #[must_use]
    pub fn has(self, token: usize) -> bool {
        let word = self.0.get(token / WORD_BITS).copied().unwrap_or(0);
        (word >> (token % WORD_BITS)) & 1 == 1
    }

    fn check(self, vocabulary: usize) -> Result<(), SamplingError> {
        let expected = vocabulary.div_ceil(WORD_BITS);
        if self.0.len() != expected {
            return Err(SamplingError::MaskLength {
                expected,
                got: self.0.len(),
            });
        }
        let used = vocabulary % WORD_BITS;
        let tail = self
            .0
            .last()
            .filter(|_| used > 0)
            .map_or(0, |word| word >> used);
        if tail == 0 {
            Ok(())
        } else {
            Err(SamplingError::MaskTail {
                expected: vocabulary,
            })
        }
    }
}

/// Checks what a step is given against its vocabulary.
pub(super) fn check(
    logits: &[i32],
    settings: &Settings,
    counts: &Counts,
    allowed: Option<Allowed<'_>>,
) -> Result<(), SamplingError> {
    let vocabulary = logits.len();
    if !(1..=VOCABULARY_MAX).contains(&vocabulary) {
        return Err(SamplingError::Vocabulary {
            max: VOCABULARY_MAX,
            got: vocabulary,
        });
    }
    let outside = |id: &u32| usize::try_from(*id).map_or(true, |id| id >= vocabulary);
    // Both lists ascend, so their last entries are the greatest.
    if let Some(got) = settings
        .logit_bias
        .last()
        .map(|&(id, _)| id)
        .filter(outside)
    {
        return Err(SamplingError::BiasId {
            expected: vocabulary,
            got,
        });
    }
    if let Some(got) = counts.last().filter(outside) {
        return Err(SamplingError::CountId {
            expected: vocabulary,
            got,
        });
    }
    allowed.map_or(Ok(()), |allowed| allowed.check(vocabulary))
}

/// Writes the adjusted logits of a checked step.
pub(super) fn adjust(
    adjusted: &mut Vec<i32>,
    logits: &[i32],
    settings: &Settings,
    counts: &Counts,
) {
    adjusted.clear();
    adjusted.extend(logits.iter().map(|&logit| logit.max(LOGIT_MIN)));
    for &(id, bias) in &settings.logit_bias {
        shift(
            adjusted,
            logits,
            id,
            millionths(settings, bias, counts.get(id)),
        );
    }
    if settings.frequency_penalty == 0 && settings.presence_penalty == 0 {
        return;
    }
    let biases = &settings.logit_bias;
    for (id, count) in counts.iter() {
        if biases.binary_search_by_key(&id, |&(id, _)| id).is_err() {
            shift(adjusted, logits, id, millionths(settings, 0, count));
        }
    }
}

/// What is added to a logit, in millionths of a nat.
pub(super) fn millionths(settings: &Settings, bias: i32, count: u32) -> i128 {
    let presence = if count > 0 {
        i128::from(settings.presence_penalty)
    } else {
        0
    };
    i128::from(bias) - i128::from(count) * i128::from(settings.frequency_penalty) - presence
}

/// A logit moved by millionths of a nat, rounded once and clamped.
pub(super) fn moved(logit: i32, millionths: i128) -> i32 {
    let sum = i128::from(logit) + (millionths * 65_536 + 500_000).div_euclid(1_000_000);
    let clamped = sum.clamp(LOGIT_MIN.into(), LOGIT_MAX.into());
    i32::try_from(clamped).unwrap_or(LOGIT_MIN)
}

fn shift(adjusted: &mut [i32], logits: &[i32], id: u32, millionths: i128) {
    let Ok(id) = usize::try_from(id) else { return };
    if let (Some(cell), Some(&logit)) = (adjusted.get_mut(id), logits.get(id)) {
        *cell = moved(logit, millionths);
    }
}

/// Puts [`MASKED`] wherever a token is not allowed.
pub(super) fn mask(adjusted: &mut [i32], allowed: Allowed<'_>) {
    for (cells, &word) in adjusted.chunks_mut(WORD_BITS).zip(allowed.0) {
        match word {
            u64::MAX => {}
            0 => cells.fill(MASKED),
            _ => {
                for (bit, cell) in cells.iter_mut().enumerate() {
                    if (word >> bit) & 1 == 0 {
                        *cell = MASKED;
                    }
                }
            }
        }
    }
}
