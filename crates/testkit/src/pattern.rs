//! Whether a text matches a pattern of JSON Schema: as much of ECMAScript's regular expressions as the schemas under `schemas/` use.
//!
//! ```text
//! pattern ─▶ alternatives of sequences of (piece, how often) ─▶ from the places where a match may begin to those where it may end
//! ```
//!
//! Sets of places are followed, not one path after another, so no pattern takes long. What is not known is refused: a pattern that is not understood must not pass
//! for one that holds.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

type Places = BTreeSet<usize>;

enum Piece {
    Start,
    End,
    One { not: bool, of: Vec<(char, char)> },
    Group(Vec<Vec<Repeated>>),
}

struct Repeated {
    piece: Piece,
    min: usize,
    max: Option<usize>,
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

/// Whether some part of `text` matches.
///
/// # Errors
/// What of the pattern is not known.
pub fn matches(pattern: &str, text: &str) -> Result<bool, String> {
    let mut reader = Reader {
        rest: pattern.chars().peekable(),
    };
    let whole = Piece::Group(reader.alternatives()?);
    if reader.rest.next().is_some() {
        return Err(format!("`{pattern}` ends a group that did not begin"));
    }
    let text: Vec<char> = text.chars().collect();
    let anywhere = (0..=text.len()).collect();
    Ok(!whole.ends(&text, &anywhere).is_empty())
}

impl Reader<'_> {
    fn alternatives(&mut self) -> Result<Vec<Vec<Repeated>>, String> {
        let (mut all, mut sequence) = (Vec::new(), Vec::new());
        loop {
            match self.rest.peek() {
                None | Some(')') => {
                    all.push(sequence);
                    return Ok(all);
                }
                Some('|') => {
                    self.rest.next();
                    all.push(std::mem::take(&mut sequence));
                }
                Some(_) => sequence.push(self.repeated()?),
            }
        }
    }

    fn repeated(&mut self) -> Result<Repeated, String> {
        let piece = self.piece()?;
        let (min, max) = match self.rest.peek() {
            Some('?') => (0, Some(1)),
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('{') => self.counts()?,
            _ => return Ok(Repeated::once(piece)),
        };
        // The sign, or the end of the counts.
        self.rest.next();
        Ok(Repeated { piece, min, max })
    }

    /// `{n}`, `{n,}` or `{n,m}`, up to its end.
    fn counts(&mut self) -> Result<(usize, Option<usize>), String> {
        self.rest.next();
        let mut text = String::new();
        while let Some(c) = self.rest.next_if(|c| *c != '}') {
            text.push(c);
        }
        if self.rest.peek().is_none() {
            return Err(format!("the count `{text}` does not end"));
        }
        let number = |text: &str| {
            let number = text.parse::<usize>();
            number.map_err(|_| format!("`{text}` is no count that is known"))
        };
        match text.split_once(',') {
            None => number(&text).map(|n| (n, Some(n))),
            Some((min, "")) => Ok((number(min)?, None)),
            Some((min, max)) => Ok((number(min)?, Some(number(max)?))),
        }
    }

    fn piece(&mut self) -> Result<Piece, String> {
        let one = |c| Piece::One {
            not: false,
            of: vec![(c, c)],
        };
        match self.rest.next() {
            Some('^') => Ok(Piece::Start),
            Some('$') => Ok(Piece::End),
            Some('[') => self.class(),
            Some('\\') => self.escaped().map(one),
            Some('(') => {
                let all = self.alternatives()?;
                let ends = self.rest.next() == Some(')');
                let group = ends.then_some(Piece::Group(all));
                group.ok_or_else(|| "a group does not end".to_owned())
            }
            Some(c @ ('.' | '?' | '*' | '+' | '{' | '}' | ']')) => {
                Err(format!("`{c}` is not known there"))
            }
            Some(c) => Ok(one(c)),
            None => Err("a piece is absent".to_owned()),
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        match self.rest.next() {
            Some('t') => Ok('\t'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some(c) if c.is_ascii_punctuation() => Ok(c),
            other => Err(format!("{other:?} after a backslash is not known")),
        }
    }

    fn class(&mut self) -> Result<Piece, String> {
        let not = self.rest.next_if_eq(&'^').is_some();
        let mut of = Vec::new();
        loop {
            let first = match self.rest.next() {
                Some(']') => return Ok(Piece::One { not, of }),
                Some(c) => self.member(c)?,
                None => return Err("a class does not end".to_owned()),
            };
            let mut ahead = self.rest.clone();
            // A dash before the end is one.
            let ranges = ahead.next() == Some('-') && ahead.next() != Some(']');
            let last = match ranges.then(|| self.rest.nth(1)).flatten() {
                Some(c) => self.member(c)?,
                None => first,
            };
            of.push((first, last));
        }
    }

    fn member(&mut self, c: char) -> Result<char, String> {
        if c == '\\' { self.escaped() } else { Ok(c) }
    }
}

impl Piece {
    /// Where it ends that begins at one of these places.
    fn ends(&self, text: &[char], from: &Places) -> Places {
        let at = |place: usize| -> Places { from.get(&place).copied().into_iter().collect() };
        match self {
            Self::Start => at(0),
            Self::End => at(text.len()),
            Self::One { not, of } => {
                let within = |c: &char| of.iter().any(|(a, b)| (a..=b).contains(&c));
                let fits = |at: &&usize| text.get(**at).is_some_and(|c| within(c) != *not);
                from.iter().filter(fits).map(|at| at + 1).collect()
            }
            Self::Group(all) => {
                let ends = |sequence: &Vec<Repeated>| {
                    let first = from.clone();
                    let next = |from: Places, one: &Repeated| one.ends(text, &from);
                    sequence.iter().fold(first, next)
                };
                all.iter().flat_map(ends).collect()
            }
        }
    }
}

impl Repeated {
    const fn once(piece: Piece) -> Self {
        let (min, max) = (1, Some(1));
        Self { piece, min, max }
    }

    fn ends(&self, text: &[char], from: &Places) -> Places {
        let mut now = from.clone();
        for _ in 0..self.min {
            now = self.piece.ends(text, &now);
        }
        let mut all = now.clone();
        let more = self.max.map(|max| max.saturating_sub(self.min));
        // A place that was reached by fewer needs no more.
        for _ in 0..more.unwrap_or(text.len() + 1) {
            let next = self.piece.ends(text, &now);
            now = next.difference(&all).copied().collect();
            if now.is_empty() {
                break;
            }
            all.extend(&now);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches_and_what_does_not() {
        let hex = "^[0-9a-f]{64}$";
        let path = "^/v1/receipts/[0-9a-f]{64}(\\?key=[0-9a-f]{64})?$";
        let base64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";
        let number = "^(0|[1-9][0-9]{0,6})$";
        let name = "^[a-z0-9._-]{1,64}$";
        let key = "^[^ +]+\\+[0-9a-f]{8}\\+A[Q-Za-f][A-Za-z0-9+/]{42}$";
        let object = "^[ \\t\\n\\r]*\\{";
        let digits = "ab".repeat(32);
        let receipt = format!("/v1/receipts/{digits}");
        let keyed = format!("{receipt}?key={digits}");
        let cases = [
            (hex, digits.as_str(), true),
            (hex, &digits[1..], false),
            (hex, &digits.to_uppercase(), false),
            (hex, "", false),
            (path, &receipt, true),
            (path, &keyed, true),
            (path, &keyed[..keyed.len() - 1], false),
            (path, &receipt[1..], false),
            (base64, "", true),
            (base64, "AAAA", true),
            (base64, "AAAABB==", true),
            (base64, "AAAACCC=", true),
            (base64, "AAA", false),
            (base64, "AA=A", false),
            (base64, &"x+/0".repeat(5000), true),
            (number, "0", true),
            (number, "1048575", true),
            (number, "01", false),
            (number, "12345678", false),
            (name, "a-b._9", true),
            (name, "a+b", false),
            (name, &digits, true),
            (name, &"a".repeat(65), false),
            (
                key,
                "log.example.com/receipts+a0817f18+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c",
                true,
            ),
            (
                key,
                "w+6d7ef907+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU",
                false,
            ),
            (object, " \n{\"a\": 1}", true),
            (object, "[{", false),
            ("b", "abc", true),
            ("^(a|ab)(c|bcd)?$", "abcd", true),
            ("^(a?)*$", "aaa", true),
            ("^a{2,}$", "a", false),
            ("^ü$", "ü", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), Ok(expected), "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for pattern in [
            "a.c", "(a", "a)", "[a", "a{x}", "\\d", "(?:a)", "*a", "a**", "a{2", "\\",
        ] {
            assert!(matches(pattern, "a").is_err(), "{pattern}");
        }
    }
}
