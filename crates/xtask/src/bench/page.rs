//! `docs/performance.md` has two halves, each written by a command of its own: tensor models first, language models behind a marker.

/// The line that stands between the halves.
const MARKER: &str = "<!-- Below: `cargo xtask bench language`. Above: `cargo xtask bench`. -->";

/// Which half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// Tensor models.
    Tensors,
    /// Language models.
    Language,
}

/// The page with one half replaced.
pub(crate) fn replace(page: &str, half: Half, text: &str) -> String {
    let (tensors, language) = page.split_once(MARKER).unwrap_or((page, ""));
    let (tensors, language) = match half {
        Half::Tensors => (text, language),
        Half::Language => (tensors, text),
    };
    let (tensors, language) = (tensors.trim_end(), language.trim());
    if language.is_empty() {
        return format!("{tensors}\n");
    }
    format!("{tensors}\n\n{MARKER}\n\n{language}\n")
}
