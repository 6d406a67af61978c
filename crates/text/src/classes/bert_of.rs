//! Which characters a BERT tokeniser drops, sets apart, and takes apart (`bert`).

use super::{bert, within};

/// Syllables that are composed of letters by a rule.
const HANGUL_FIRST: u32 = 0xac00;
const HANGUL_LAST: u32 = 0xd7a3;

/// Whether a text is read without the character.
pub(crate) fn is_dropped(c: char) -> bool {
    within(&bert::DROPPED, c)
}

/// Whether the character is a word by itself before anything else is split.
pub(crate) fn is_ideograph(c: char) -> bool {
    within(&bert::IDEOGRAPH, c)
}

/// Whether the character is a word by itself.
pub(crate) fn is_sign(c: char) -> bool {
    within(&bert::PUNCTUATION, c)
}

/// Appends what is left of a character without its accents.
pub(crate) fn without_accents(c: char, out: &mut String) {
    let code = u32::from(c);
    if c.is_ascii() {
        out.push(c);
    } else if (HANGUL_FIRST..=HANGUL_LAST).contains(&code) {
        let index = code - HANGUL_FIRST;
        let parts = [
            Some(0x1100 + index / 588),
            Some(0x1161 + index % 588 / 28),
            Some(0x11a7 + index % 28).filter(|_| !index.is_multiple_of(28)),
        ];
        out.extend(parts.into_iter().flatten().filter_map(char::from_u32));
    } else if !within(&bert::MARK, c) {
        let (pairs, _) = bert::SINGLE.as_chunks::<2>();
        if let Ok(at) = pairs.binary_search_by_key(&code, |&[from, _]| from) {
            out.extend(pairs.get(at).and_then(|&[_, to]| char::from_u32(to)));
        } else if let Ok(at) = bert::SEVERAL.binary_search_by_key(&code, |&(from, _)| from) {
            let parts = bert::SEVERAL.get(at).map(|&(_, parts)| parts);
            let parts = parts.into_iter().flatten();
            out.extend(parts.filter_map(|&part| char::from_u32(part)));
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        for table in [
            &bert::DROPPED[..],
            &bert::IDEOGRAPH,
            &bert::PUNCTUATION,
            &bert::MARK,
        ] {
            assert!(table.is_sorted_by(|a, b| a < b));
            assert_eq!(table.len() % 2, 0);
        }
        assert!(
            bert::SINGLE
                .as_chunks::<2>()
                .0
                .is_sorted_by(|a, b| a[0] < b[0])
        );
        assert!(bert::SEVERAL.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn samples_of_each() {
        assert!(
            "\0\u{b}\u{200d}\u{fffd}\u{e000}\u{85}"
                .chars()
                .all(is_dropped)
        );
        assert!(!"a\t\n\r \u{2028}🥰\u{378}".chars().any(is_dropped));
        assert!("中国㐀".chars().all(is_ideograph) && !"한あa".chars().any(is_ideograph));
        assert!("!$`~—¿、".chars().all(is_sign) && !"a€中".chars().any(is_sign));
        for (c, left) in [
            ('é', "e"),
            ('İ', "I"),
            ('\u{301}', ""),
            ('각', "\u{1100}\u{1161}\u{11a8}"),
            ('가', "\u{1100}\u{1161}"),
            ('ß', "ß"),
            ('ﬁ', "ﬁ"),
            ('\u{9cb}', "\u{9c7}\u{9be}"),
        ] {
            let mut out = String::new();
            without_accents(c, &mut out);
            assert_eq!(out, left, "{c:?}");
        }
    }
}
