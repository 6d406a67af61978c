//! Splits text into the words within which byte-level BPE merges, by the pre-tokeniser that a model names.
//!
//! A name picks a few rules that apply one after the other, each to the pieces the last one left. The rules are the published
//! regular expressions of the tokenisers, written out as scanners the way llama.cpp has them: linear in the text, with no regex engine
//! and so no backtracking. The pieces always concatenate to the text.
//!
//! It deliberately knows only the names below; another one is refused by the caller with this list.

use core::ops::Range;

use crate::classes::{is_letter, is_mark, is_number, is_punctuation};

/// One step of splitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    Gpt2,
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    /// where `marks` reads `[\p{L}\p{M}]` for `\p{L}`.
    Words { digits: usize, marks: bool },
    /// `\p{N}`
    EachNumber,
    /// `\p{N}+`
    Numbers,
    /// `[0-9][0-9][0-9]`
    ThreeDigits,
    /// `[\p{P}$+<=>^~|]+`
    Punctuation,
    /// `` [\p{P}$+<=>^~|`]+ ``
    PunctuationAndBacktick,
}

/// A pre-tokeniser: its rules, and whether a word that is a token is taken whole without looking at the merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Splitter {
    rules: &'static [Rule],
    pub(crate) whole_words: bool,
}

const DEFAULT: &[Rule] = &[
    Rule::Punctuation,
    Rule::Gpt2,
    Rule::Numbers,
    Rule::ThreeDigits,
];
const GPT2: &[Rule] = &[Rule::Gpt2];
const SMOLLM: &[Rule] = &[Rule::EachNumber, Rule::Gpt2];
const FALCON: &[Rule] = &[Rule::PunctuationAndBacktick, Rule::Gpt2, Rule::ThreeDigits];
const LLAMA3: &[Rule] = &[Rule::Words {
    digits: 3,
    marks: false,
}];
const QWEN2: &[Rule] = &[Rule::Words {
    digits: 1,
    marks: false,
}];
const QWEN35: &[Rule] = &[Rule::Words {
    digits: 1,
    marks: true,
}];

/// Every pre-tokeniser name there is, as GGUF's `tokenizer.ggml.pre` spells them: rules, and whether whole words are taken.
const NAMES: [(&str, &[Rule], bool); 38] = [
    ("chatglm-bpe", LLAMA3, false),
    ("codeshell", SMOLLM, false),
    ("command-r", SMOLLM, false),
    ("dbrx", LLAMA3, false),
    ("deepseek-r1-qwen", QWEN2, false),
    ("default", DEFAULT, false),
    ("exaone", SMOLLM, false),
    ("exaone4", GPT2, false),
    ("falcon", FALCON, false),
    ("falcon-h1", LLAMA3, true),
    ("falcon3", LLAMA3, true),
    ("gigachat", GPT2, false),
    ("glm4", LLAMA3, true),
    ("gpt-2", GPT2, false),
    ("granite-docling", GPT2, false),
    ("hunyuan", QWEN2, false),
    ("jais", GPT2, false),
    ("kormo", QWEN2, false),
    ("lfm2", LLAMA3, true),
    ("llama-bpe", LLAMA3, true),
    ("llama-v3", LLAMA3, true),
    ("llama3", LLAMA3, true),
    ("megrez", QWEN2, false),
    ("mellum", GPT2, false),
    ("mellum2", SMOLLM, false),
    ("midm-2.0", LLAMA3, true),
    ("minerva-7b", SMOLLM, false),
    ("mpt", GPT2, false),
    ("olmo", GPT2, false),
    ("phi-2", GPT2, false),
    ("pixtral", LLAMA3, true),
    ("qwen2", QWEN2, false),
    ("qwen35", QWEN35, false),
    ("refact", SMOLLM, false),
    ("smaug-bpe", LLAMA3, false),
    ("smollm", SMOLLM, false),
    ("stablelm2", QWEN2, false),
    ("starcoder", SMOLLM, false),
];

impl Splitter {
    /// The pre-tokeniser of that name, if it is known.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (_, rules, whole_words) = NAMES.iter().find(|(known, ..)| *known == name)?;
        Some(Self {
            rules,
            whole_words: *whole_words,
        })
    }

    /// The lengths in bytes of the words of `text`, in order; none is zero and they add up to the text's.
    pub(crate) fn words(self, text: &str) -> Vec<usize> {
        let chars: Vec<char> = text.chars().collect();
        let mut ends = vec![chars.len()];
        for rule in self.rules {
            let mut pieces = Pieces {
                chars: &chars,
                ends: Vec::with_capacity(ends.len()),
            };
            let mut start = 0;
            for &end in &ends {
                rule.split(&mut pieces, start..end);
                start = end;
            }
            ends = pieces.ends;
        }
        let mut start = 0;
        ends.into_iter()
            .map(|end| {
                let word = chars.get(start..end).unwrap_or_default();
                start = end;
                word.iter().map(|c| c.len_utf8()).sum()
            })
            .collect()
    }
}

/// The names that are known, for an error message.
pub(crate) fn names() -> String {
    NAMES.map(|(name, ..)| name).join(", ")
}

/// Where the pieces found so far end.
struct Pieces<'a> {
    chars: &'a [char],
    ends: Vec<usize>,
}

impl Pieces<'_> {
    fn cut(&mut self, start: usize, end: usize) -> usize {
        if end > start {
            self.ends.push(end);
        }
        end
    }
}

impl Rule {
    fn split(self, pieces: &mut Pieces, range: Range<usize>) {
        match self {
            Self::Gpt2 => scan(pieces, range, gpt2_end),
            Self::Words { digits, marks } => {
                let words = Words { digits, marks };
                scan(pieces, range, |text, at| words.end(text, at));
            }
            Self::EachNumber => isolate(pieces, range, |text| {
                usize::from(text.first().copied().is_some_and(is_number))
            }),
            Self::Numbers => isolate(pieces, range, |text| run(text, is_number)),
            Self::ThreeDigits => isolate(pieces, range, |text| match text {
                [a, b, c, ..] if [a, b, c].iter().all(|c| c.is_ascii_digit()) => 3,
                _ => 0,
            }),
            Self::Punctuation => isolate(pieces, range, |text| run(text, is_sign)),
            Self::PunctuationAndBacktick => {
                isolate(pieces, range, |text| run(text, |c| is_sign(c) || c == '`'));
            }
        }
    }
}

fn is_sign(c: char) -> bool {
    matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '~' | '|') || is_punctuation(c)
}

fn is_end_of_line(c: char) -> bool {
    matches!(c, '\r' | '\n')
}

/// How many characters from the start on are of a class.
fn run(text: &[char], class: impl Fn(char) -> bool) -> usize {
    text.iter().take_while(|&&c| class(c)).count()
}

/// Makes a piece of each match, and of what lies between matches. `matched` says how long the match at the start of its argument is.
fn isolate(pieces: &mut Pieces, range: Range<usize>, matched: impl Fn(&[char]) -> usize) {
    let chars = pieces.chars;
    let text = chars.get(range.clone()).unwrap_or_default();
    let (mut at, mut start) = (0, range.start);
    while at < text.len() {
        let len = matched(text.get(at..).unwrap_or_default());
        if len == 0 {
            at += 1;
            continue;
        }
        start = pieces.cut(start, range.start + at);
        at += len;
        start = pieces.cut(start, range.start + at);
    }
    pieces.cut(start, range.end);
}

/// Makes pieces from front to back; `end` says where the one that starts at its second argument ends.
fn scan(pieces: &mut Pieces, range: Range<usize>, end: impl Fn(&[char], usize) -> usize) {
    let chars = pieces.chars;
    let text = chars.get(range.clone()).unwrap_or_default();
    let mut at = 0;
    while at < text.len() {
        // Each piece has at least one character, whatever a rule says: a scan ends.
        let next = end(text, at).clamp(at + 1, text.len());
        pieces.cut(range.start + at, range.start + next);
        at = next;
    }
}

fn at(text: &[char], index: usize) -> Option<char> {
    text.get(index).copied()
}

/// The length of a contraction (`'s`, `'re`, …) that starts here, after `fold`; 0 when there is none.
fn contraction(text: &[char], start: usize, fold: fn(char) -> char) -> usize {
    if at(text, start) != Some('\'') {
        return 0;
    }
    let first = at(text, start + 1).map(fold);
    let second = at(text, start + 2).map(fold);
    match (first, second) {
        (Some('s' | 't' | 'm' | 'd'), _) => 2,
        (Some('r' | 'v'), Some('e')) | (Some('l'), Some('l')) => 3,
        _ => 0,
    }
}

/// Where white space that starts here ends as one piece: all of it at the end of the text, else all but its last character.
fn space_end(text: &[char], start: usize) -> usize {
    let count = run(text.get(start..).unwrap_or_default(), char::is_whitespace);
    let end = start + count;
    if count > 1 && end < text.len() {
        end - 1
    } else {
        end
    }
}

fn is_other(c: char, marks: bool) -> bool {
    !(c.is_whitespace() || is_letter(c) || is_number(c) || (marks && is_mark(c)))
}

fn gpt2_end(text: &[char], start: usize) -> usize {
    let short = contraction(text, start, |c| c);
    if short > 0 {
        return start + short;
    }
    let body = start + usize::from(at(text, start) == Some(' '));
    let rest = text.get(body..).unwrap_or_default();
    let class: fn(char) -> bool = match rest.first().copied() {
        Some(c) if is_letter(c) => is_letter,
        Some(c) if is_number(c) => is_number,
        Some(c) if is_other(c, false) => |c| is_other(c, false),
        _ => return space_end(text, start),
    };
    body + run(rest, class)
}

/// The parameters of [`Rule::Words`].
#[derive(Clone, Copy)]
struct Words {
    digits: usize,
    marks: bool,
}

impl Words {
    fn in_word(self, c: char) -> bool {
        is_letter(c) || (self.marks && is_mark(c))
    }

    fn end(self, text: &[char], start: usize) -> usize {
        let short = contraction(text, start, |c| c.to_ascii_lowercase());
        if short > 0 {
            return start + short;
        }
        let Some(c) = at(text, start) else {
            return start;
        };
        let rest = |from: usize| text.get(from..).unwrap_or_default();
        let next_in_word = at(text, start + 1).is_some_and(|next| self.in_word(next));
        if !is_end_of_line(c) && !is_number(c) && (self.in_word(c) || next_in_word) {
            return start + 1 + run(rest(start + 1), |c| self.in_word(c));
        }
        if is_number(c) {
            return start + run(rest(start), is_number).min(self.digits);
        }
        let body = start + usize::from(c == ' ');
        if at(text, body).is_some_and(|c| is_other(c, self.marks)) {
            let end = body + run(rest(body), |c| is_other(c, self.marks));
            return end + run(rest(end), is_end_of_line);
        }
        let space = run(rest(start), char::is_whitespace);
        let lines = text.get(start..start + space).unwrap_or_default();
        match lines.iter().rposition(|&c| is_end_of_line(c)) {
            Some(last) => start + last + 1,
            None => space_end(text, start),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split<'a>(name: &str, text: &'a str) -> Vec<&'a str> {
        let mut rest = text;
        let words = Splitter::named(name).unwrap().words(text);
        let pieces = words.into_iter().map(|len| {
            let (word, after) = rest.split_at(len);
            rest = after;
            word
        });
        pieces.collect()
    }

    #[test]
    fn each_family_splits_as_its_expression_says() {
        let text = "I'll  say 'S: abc12345\r\n\n  x=1;  ";
        let cases: [(&str, &[&str]); 5] = [
            (
                "gpt-2",
                &[
                    "I", "'ll", " ", " say", " '", "S", ":", " abc", "12345", "\r\n\n ", " x", "=",
                    "1", ";", "  ",
                ],
            ),
            (
                "smollm",
                &[
                    "I", "'ll", " ", " say", " '", "S", ":", " abc", "1", "2", "3", "4", "5",
                    "\r\n\n ", " x", "=", "1", ";", "  ",
                ],
            ),
            (
                "llama-bpe",
                &[
                    "I", "'ll", " ", " say", " '", "S", ":", " abc", "123", "45", "\r\n\n", " ",
                    " x", "=", "1", ";", "  ",
                ],
            ),
            (
                "qwen2",
                &[
                    "I", "'ll", " ", " say", " '", "S", ":", " abc", "1", "2", "3", "4", "5",
                    "\r\n\n", " ", " x", "=", "1", ";", "  ",
                ],
            ),
            (
                "default",
                &[
                    "I", "'", "ll", " ", " say", " ", "'", "S", ":", " abc", "123", "45",
                    "\r\n\n ", " x", "=", "1", ";", "  ",
                ],
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(split(name, text), expected, "{name}");
        }
    }

    #[test]
    fn contractions_fold_case_only_where_the_expression_does() {
        assert_eq!(split("gpt-2", "'S'LL"), ["'", "S", "'", "LL"]);
        assert_eq!(split("llama3", "'S'LL"), ["'S", "'LL"]);
        assert_eq!(split("llama3", "'x're"), ["'x", "'re"]);
    }

    #[test]
    fn marks_join_words_in_one_family_alone() {
        assert_eq!(split("qwen35", "e\u{301}a 1"), ["e\u{301}a", " ", "1"]);
        assert_eq!(split("qwen2", "e\u{301}a 1"), ["e", "\u{301}a", " ", "1"]);
    }

    #[test]
    fn names_are_sorted_and_an_unknown_one_is_none() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(Splitter::named("smollm ").is_none());
        assert!(names().contains("llama-bpe, "));
    }

    proptest! {
        #[test]
        fn words_are_the_text_again(text in "\\PC*|[ \\n\\r\\ta1'.]*") {
            for (name, ..) in NAMES {
                let words = split(name, &text);
                prop_assert_eq!(words.concat(), text.as_str());
                prop_assert!(words.iter().all(|word| !word.is_empty()));
            }
        }
    }
}
