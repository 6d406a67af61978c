//! Cuts texts into runs of one context each, and takes no more of a kind than asked for.

/// Fewer tokens than this at a text's end are left out.
pub(crate) const TAIL_MIN: usize = 64;

/// A text of a kind, as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// What kind of text it is.
    pub(crate) kind: String,
    /// Its tokens.
    pub(crate) ids: Vec<u32>,
}

/// Runs of at most `context` tokens, in the order of the texts; of each kind about `most` tokens.
pub(crate) fn cut(texts: &[Tokens], context: usize, most: usize) -> Vec<Tokens> {
    let mut runs: Vec<Tokens> = Vec::new();
    for text in texts {
        for piece in text.ids.chunks(context.max(1)) {
            let taken = runs.iter().filter(|run| run.kind == text.kind);
            let left = most.saturating_sub(taken.map(|run| run.ids.len()).sum());
            let piece = piece.get(..left.min(piece.len())).unwrap_or_default();
            if piece.len() >= TAIL_MIN.min(context) {
                runs.push(Tokens {
                    kind: text.kind.clone(),
                    ids: piece.to_vec(),
                });
            }
        }
    }
    runs
}
