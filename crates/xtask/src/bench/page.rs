//! `docs/performance.md` has three parts, each written by a command of its own: tensor models first, language models and the log behind markers.

/// The line that stands before language models.
const MARKER: &str = "<!-- Below: `cargo xtask bench language`. Above: `cargo xtask bench`. -->";

/// The line that stands before the log.
const LOG_MARKER: &str = "<!-- Below: `cargo xtask bench log`. -->";

/// Which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// Tensor models.
    Tensors,
    /// Language models.
    Language,
    /// The log.
    Log,
}

/// The page with one part replaced.
pub(crate) fn replace(page: &str, half: Half, text: &str) -> String {
    let (page, log) = page.split_once(LOG_MARKER).unwrap_or((page, ""));
    let (tensors, language) = page.split_once(MARKER).unwrap_or((page, ""));
    let (tensors, language, log) = match half {
        Half::Tensors => (text, language, log),
        Half::Language => (tensors, text, log),
        Half::Log => (tensors, language, text),
    };
    let mut page = format!("{}\n", tensors.trim_end());
    for (marker, part) in [(MARKER, language.trim()), (LOG_MARKER, log.trim())] {
        if !part.is_empty() {
            page.push_str(&format!("\n{marker}\n\n{part}\n"));
        }
    }
    page
}
