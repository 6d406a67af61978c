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
    (Chapter::Audits, "<!-- Below: `cargo xtask bench audit`. -->"),
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
    let first = if chapter == Chapter::Tensors { text } else { rest };
    let mut page = format!("{}\n", first.trim_end());
    for (marker, own) in later.into_iter().rev() {
        let own = own.trim();
        if !own.is_empty() {
            page.push_str(&format!("\n{marker}\n\n{own}\n"));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_is_replaced_and_the_others_stay() {
        let all = [Chapter::Audits, Chapter::Tensors, Chapter::Log, Chapter::Language];
        let mut page = String::new();
        for (number, chapter) in all.into_iter().enumerate() {
            page = replace(&page, chapter, &format!("chapter {number}\n"));
        }
        let order: Vec<usize> = (0..4)
            .map(|number| page.find(&format!("chapter {number}")).unwrap())
            .collect();
        assert!(order[1] < order[3] && order[3] < order[2] && order[2] < order[0]);
        assert_eq!(replace(&page, Chapter::Log, "chapter 2"), page);
        let other = replace(&page, Chapter::Log, "new");
        assert!(other.contains("chapter 0") && other.contains("new") && !other.contains("chapter 2"));
    }
}
