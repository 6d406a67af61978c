//! `docs/performance.md` has three parts, each written by a command of its own: tensor models first, language models behind a marker, audits behind another.

/// The lines that stand between the parts.
const LANGUAGE: &str = "<!-- Below: `cargo xtask bench language`. Above: `cargo xtask bench`. -->";
const AUDITS: &str = "<!-- Below: `cargo xtask bench audit`. -->";

/// Which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// Tensor models.
    Tensors,
    /// Language models.
    Language,
    /// Spot checks and disputes.
    Audits,
}

/// The page with one part replaced.
pub(crate) fn replace(page: &str, half: Half, text: &str) -> String {
    let (rest, audits) = page.split_once(AUDITS).unwrap_or((page, ""));
    let (tensors, language) = rest.split_once(LANGUAGE).unwrap_or((rest, ""));
    let (tensors, language, audits) = match half {
        Half::Tensors => (text, language, audits),
        Half::Language => (tensors, text, audits),
        Half::Audits => (tensors, language, text),
    };
    let mut out = format!("{}\n", tensors.trim_end());
    for (marker, part) in [(LANGUAGE, language), (AUDITS, audits)] {
        let part = part.trim();
        if !part.is_empty() {
            out.push_str(&format!("\n{marker}\n\n{part}\n"));
        }
    }
    out
}
