//! Stop texts: where an answer ends, and how much of its text may be shown before that is known.

/// Watches a growing text for the first stop text.
#[derive(Clone, Debug)]
pub(crate) struct Stops {
    stops: Vec<String>,
    /// Text that may be the beginning of a stop text.
    held: String,
}

impl Stops {
    pub(crate) fn new(stops: &[String]) -> Self {
        Self {
            stops: stops.to_vec(),
            held: String::new(),
        }
    }

    /// Appends text. Gives what may be shown now, and whether a stop text was met: then nothing behind its beginning is ever shown. Of several that
    /// are met, the one that begins first counts.
    pub(crate) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let first = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min();
        if let Some(first) = first {
            self.held.truncate(first);
            return (core::mem::take(&mut self.held), true);
        }
        let keep = self
            .stops
            .iter()
            .map(|stop| begun(&self.held, stop))
            .max()
            .unwrap_or(0);
        let shown = self.held.len() - keep;
        let rest = self.held.split_off(shown);
        (core::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back, once no more text comes.
    pub(crate) fn finish(&mut self) -> String {
        core::mem::take(&mut self.held)
    }
}

/// Bytes at the end of a text with which a stop text could begin.
fn begun(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at).rev();
    let mut fitting =
        lengths.filter(|&len| stop.get(..len).is_some_and(|head| text.ends_with(head)));
    fitting.next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|&s| s.to_owned()).collect();
        let mut watch = Stops::new(&stops);
        let mut shown = Vec::new();
        for piece in pieces {
            let (text, stopped) = watch.push(piece);
            shown.push(text);
            if stopped {
                return (shown, true);
            }
        }
        shown.push(watch.finish());
        (shown, false)
    }

    #[test]
    fn text_is_held_only_while_it_may_be_a_stop() {
        type Case = (
            &'static [&'static str],
            &'static [&'static str],
            &'static [&'static str],
            bool,
        );
        let cases: [Case; 6] = [
            (&[], &["ab", "c"], &["ab", "c", ""], false),
            (&["END"], &["aE", "Nb", "END!"], &["a", "ENb", ""], true),
            (&["\n\n"], &["a\n", "\nb"], &["a", ""], true),
            (&["\n\n"], &["a\n", "b"], &["a", "\nb", ""], false),
            (&["abc", "b"], &["xab"], &["xa"], true),
            (&["ü!"], &["ü", "?"], &["", "ü?", ""], false),
        ];
        for (stops, pieces, shown, stopped) in cases {
            let expected: Vec<String> = shown.iter().map(|&s| s.to_owned()).collect();
            assert_eq!(
                run(stops, pieces),
                (expected, stopped),
                "{stops:?} {pieces:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[ab]{0,40}", stop in "[ab]{1,4}", cuts in prop::collection::vec(0_usize..40, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let mut watch = Stops::new(std::slice::from_ref(&stop));
            let (mut shown, mut stopped, mut start) = (String::new(), false, 0);
            for cut in cuts {
                let (piece, met) = watch.push(&text[start..cut]);
                shown.push_str(&piece);
                start = cut;
                if met {
                    stopped = true;
                    break;
                }
            }
            if !stopped {
                shown.push_str(&watch.finish());
            }
            let expected = text.find(&stop).map_or(text.as_str(), |at| &text[..at]);
            prop_assert_eq!(shown, expected);
            prop_assert_eq!(stopped, text.contains(&stop));
        }
    }
}
