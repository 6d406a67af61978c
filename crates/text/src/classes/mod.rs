//! Which class of Unicode 15.1 a character has, as far as splitting text into words asks.
//!
//! The tables are pinned in the tree and not taken from a library: which tokens a text becomes is part of what a model's identity
//! promises, and may not change with a dependency. White space is the standard library's, a set that Unicode keeps stable.

mod bert;
mod bert_of;
mod tables;

pub(crate) use bert_of::{is_dropped, is_ideograph, is_sign, without_accents};

/// Whether a category, given by its boundaries, holds the character.
fn within(boundaries: &[u32], c: char) -> bool {
    boundaries.partition_point(|&at| at <= u32::from(c)) % 2 == 1
}

/// General category L.
pub(crate) fn is_letter(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    within(&tables::LETTER, c)
}

/// General category N.
pub(crate) fn is_number(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    within(&tables::NUMBER, c)
}

/// General category M.
pub(crate) fn is_mark(c: char) -> bool {
    !c.is_ascii() && within(&tables::MARK, c)
}

/// General category P.
pub(crate) fn is_punctuation(c: char) -> bool {
    within(&tables::PUNCTUATION, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        for table in [
            &tables::LETTER[..],
            &tables::NUMBER,
            &tables::MARK,
            &tables::PUNCTUATION,
        ] {
            assert!(table.is_sorted_by(|a, b| a < b));
            assert_eq!(table.len() % 2, 0);
        }
    }

    #[test]
    fn samples_of_each_class() {
        assert!("aZµéλЖ中あ한ا\u{2ebf0}".chars().all(is_letter));
        assert!("09²½٣Ⅷ一".chars().take(6).all(is_number));
        assert!(is_mark('\u{301}') && !is_mark('a'));
        assert!("!-_«、…".chars().all(is_punctuation));
        assert!(!"$+<=>^`|~ a0\n".chars().any(is_punctuation));
        // Assigned since 16.0: not a letter here.
        assert!(!is_letter('\u{1c89}'));
    }

    #[test]
    fn the_short_way_for_ascii_agrees_with_the_tables() {
        for c in (0..128_u8).map(char::from) {
            assert_eq!(is_letter(c), within(&tables::LETTER, c));
            assert_eq!(is_number(c), within(&tables::NUMBER, c));
            assert!(!within(&tables::MARK, c));
        }
    }

    #[test]
    fn white_space_is_the_set_that_tokenisers_mean() {
        let found: Vec<u32> = (0..=0x10_ffff)
            .filter_map(char::from_u32)
            .filter(|c| c.is_whitespace())
            .map(u32::from)
            .collect();
        let expected: Vec<u32> = (0x9..=0xd)
            .chain([0x20, 0x85, 0xa0, 0x1680])
            .chain(0x2000..=0x200a)
            .chain([0x2028, 0x2029, 0x202f, 0x205f, 0x3000])
            .collect();
        assert_eq!(found, expected);
    }
}
