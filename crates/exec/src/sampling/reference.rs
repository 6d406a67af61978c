//! The sampler as the specification has it, line by line: slow, with sorted lists and trees.
//!
//! It shares with the fast sampler the tables, the random number and the checks of arguments, and nothing else. Tests hold both against each
//! other; the numbers of a section are those of `docs/spec/sampling.md`.

use super::adjust;
use super::weights::{high, low};
use super::{BLOCK, Parameters, SamplingError, Step};

/// Everything that a step computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The result.
    pub token: u32,
    /// Adjusted logits (3.1); none where a token is not allowed.
    pub adjusted: Vec<Option<i64>>,
    /// Weights before truncation (3.5). Empty if greedy.
    pub weights: Vec<u64>,
    /// The ids that are kept, in the order of 3.6. Empty if greedy.
    pub kept: Vec<usize>,
    /// All levels of the tree of kept weights (7), the leaves first. Empty if greedy.
    pub tree: Vec<Vec<u64>>,
}

/// One step.
///
/// # Errors
/// [`SamplingError`]: the arguments do not fit the vocabulary, or no token is allowed.
pub fn sample(parameters: &Parameters, step: &Step<'_>) -> Result<Observed, SamplingError> {
    let settings = parameters.settings();
    adjust::check(step.logits, settings, step.counts, step.allowed)?;
    let adjusted = adjusted(parameters, step);
    let max = adjusted.iter().copied().flatten().max();
    let max = max.ok_or(SamplingError::NothingAllowed)?;
    let mut observed = Observed {
        token: 0,
        adjusted,
        weights: vec![],
        kept: vec![],
        tree: vec![],
    };
    // 3.3
    let token = if settings.temperature == 0 {
        observed.adjusted.iter().position(|&cell| cell == Some(max))
    } else {
        observed.weights = weights(&observed.adjusted, max, settings.temperature.into());
        observed.kept = kept(&observed.weights, parameters);
        let mut leaves = vec![0; observed.weights.len()];
        for &id in &observed.kept {
            leaves[id] = observed.weights[id];
        }
        observed.tree = tree(leaves);
        descend(&observed.tree, step.place.number())
    };
    let token = token.and_then(|token| u32::try_from(token).ok());
    observed.token = token.ok_or(SamplingError::NothingAllowed)?;
    Ok(observed)
}

/// 3.1 and 3.2.
fn adjusted(parameters: &Parameters, step: &Step<'_>) -> Vec<Option<i64>> {
    let settings = parameters.settings();
    let one = |(id, &logit): (u32, &i32)| {
        let mut biases = settings.logit_bias.iter();
        let bias = biases
            .find(|&&(biased, _)| biased == id)
            .map_or(0, |&(_, bias)| i128::from(bias));
        let count = i128::from(step.counts.get(id));
        let presence = if count > 0 {
            i128::from(settings.presence_penalty)
        } else {
            0
        };
        let a = bias - count * i128::from(settings.frequency_penalty) - presence;
        let x = i128::from(logit) + (a * 65_536 + 500_000).div_euclid(1_000_000);
        let limit = i128::from(i32::MAX);
        let x = i64::try_from(x.clamp(-limit, limit)).ok()?;
        let token = usize::try_from(id).ok()?;
        step.allowed
            .is_none_or(|allowed| allowed.has(token))
            .then_some(x)
    };
    (0_u32..).zip(step.logits).map(one).collect()
}

/// 3.4 and 3.5.
fn weights(adjusted: &[Option<i64>], max: i64, t: i64) -> Vec<u64> {
    let one = |&cell: &Option<i64>| {
        let Some(x) = cell else { return 0 };
        let y = ((max - x) * 1_000_000 + t / 2) / t;
        let y = usize::try_from(y.min(22 << 16)).unwrap_or(0);
        let (high, low) = (u64::from(high()[y >> 11]), u64::from(low()[y % 2048]));
        (high * low + (1 << 29)) >> 30
    };
    adjusted.iter().map(one).collect()
}

/// 3.6 to 3.9.
fn kept(weights: &[u64], parameters: &Parameters) -> Vec<usize> {
    let settings = parameters.settings();
    let mut order: Vec<usize> = (0..weights.len()).filter(|&id| weights[id] > 0).collect();
    order.sort_by_key(|&id| (std::cmp::Reverse(weights[id]), id));
    if settings.top_k > 0 {
        order.truncate(usize::try_from(settings.top_k).unwrap_or(usize::MAX));
    }
    let sum: u128 = order.iter().map(|&id| u128::from(weights[id])).sum();
    let mut prefix = 0_u128;
    let mut enough = |&id: &usize| {
        prefix += u128::from(weights[id]);
        prefix * 1_000_000 >= sum * u128::from(settings.top_p)
    };
    let length = order
        .iter()
        .position(&mut enough)
        .map_or(order.len(), |last| last + 1);
    order.truncate(length);
    order.retain(|&id| weights[id] * 1_000_000 >= u64::from(settings.min_p) << 30);
    order
}

/// 7: the levels, each of the sums of blocks of the one before, up to one value.
fn tree(leaves: Vec<u64>) -> Vec<Vec<u64>> {
    let mut levels = vec![leaves];
    while let Some(last) = levels.last().filter(|last| last.len() > 1) {
        let next = last.chunks(BLOCK).map(|block| block.iter().sum()).collect();
        levels.push(next);
    }
    levels
}

/// 3.10, as section 7 walks it: from the root to a leaf.
fn descend(levels: &[Vec<u64>], number: u64) -> Option<usize> {
    let (root, below) = levels.split_last()?;
    let mut v = (u128::from(number) * u128::from(*root.first()?)) >> 64;
    let mut at = 0;
    for level in below.iter().rev() {
        let start = at * BLOCK;
        let mut child = start;
        while v >= u128::from(*level.get(child)?) {
            v -= u128::from(level[child]);
            child += 1;
        }
        at = child;
    }
    Some(at)
}
