//! `docs/performance.md` has chapters, each written by a command of its own and each but the first behind a line that says which.

/// Which chapter, in the page's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chapter {
    /// Tensor models.
    Tensors,
    /// Language models.
    Language,
    /// The log.
    Log,
    /// Spot checks and disputes.
    Audits,
}

/// The line before each chapter but the first.
const MARKERS: [(Chapter, &str); 3] = [
    (
        Chapter::Language,
        "<!-- Below: `cargo xtask bench language`. Above: `cargo xtask bench`. -->",
    ),
    (Chapter::Log, "<!-- Below: `cargo xtask bench log`. -->"),
    (
        Chapter::Audits,
        "<!-- Below: `cargo xtask bench audit`. -->",
    ),
];

/// The page with one chapter replaced.
pub(crate) fn replace(page: &str, chapter: Chapter, text: &str) -> String {
    let mut rest = page;
    let mut later = Vec::new();
    for (known, marker) in MARKERS.into_iter().rev() {
        let (before, own) = rest.split_once(marker).unwrap_or((rest, ""));
        rest = before;
        later.push((marker, if known == chapter { text } else { own }));
    }
    let first = if chapter == Chapter::Tensors {
        text
    } else {
        rest
    };
    let mut page = format!("{}\n", first.trim_end());
    for (marker, own) in later.into_iter().rev() {
        let own = own.trim();
        if !own.is_empty() {
            page.push_str(&format!("\n{marker}\n\n{own}\n"));
        }
    }
    page
}
