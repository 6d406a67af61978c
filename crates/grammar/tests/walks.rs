//! Whatever is drawn, what is allowed leads to JSON that fits; and two engines allow the same.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use credence_grammar::{Constraint, Grammar, GrammarError, Vocabulary};
use credence_testkit::schema::fits;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every byte, some words of JSON, pieces of characters, and two tokens that end.
fn words() -> Vec<Vec<u8>> {
    let bytes = (0..=255_u8).map(|byte| vec![byte]);
    let words = [
        "{\"",
        "\": ",
        "\",",
        "\":",
        "true",
        "null",
        "false",
        "  ",
        "12",
        "}}",
        "]}",
        "\"}",
        "[{",
        "a\"",
        "the",
        "\\u",
        "e1",
        "<tool_call>",
        "\n",
        "}\n",
        "\"name\"",
        "arguments",
        "ünü",
    ];
    let words = words.iter().map(|word| word.as_bytes().to_vec());
    let pieces = [vec![0xc3], vec![0xbc, b'"'], vec![0xe2, 0x82]];
    bytes
        .chain(words)
        .chain(pieces)
        .chain([b"<end>".to_vec(), b"<stop>".to_vec()])
        .collect()
}

fn vocabulary() -> (Vec<Vec<u8>>, Vocabulary) {
    let words = words();
    let end = u32::try_from(words.len()).unwrap() - 1;
    let ends = [end - 1, end];
    let shown = words.iter().map(|word| Some(word.as_slice()));
    let vocabulary = Vocabulary::new(shown, &ends).unwrap();
    (words, vocabulary)
}

fn ids(allowed: &[u64]) -> Vec<u32> {
    let bits = (0_u32..).zip(allowed).flat_map(|(word, bits)| {
        (0..64_u32)
            .filter(move |bit| (bits >> bit) & 1 == 1)
            .map(move |bit| word * 64 + bit)
    });
    bits.collect()
}

/// A xorshift: the draws of a walk.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

/// Walks along what is allowed, at random; after a while, along what closes. Gives the text if it ended.
fn walk(words: &[Vec<u8>], constraint: &mut Constraint, draws: &mut Draws) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for step in 0..1500 {
        let allowed = ids(constraint.allowed().unwrap());
        assert!(!allowed.is_empty());
        let end = |id: &u32| usize::try_from(*id).unwrap() >= words.len() - 2;
        let closes = |id: &u32| {
            let word = &words[usize::try_from(*id).unwrap()];
            end(id) || (word.len() == 1 && br#""}],:n"#.contains(&word[0]))
        };
        let good: Vec<u32> = allowed
            .iter()
            .copied()
            .filter(|id| step > 60 && closes(id))
            .collect();
        let among = if good.is_empty() { &allowed } else { &good };
        let ends: Vec<u32> = allowed.iter().copied().filter(end).collect();
        let id = match ends.first() {
            Some(first) if step > 20 => *first,
            _ => among[draws.below(among.len())],
        };
        if end(&id) {
            return Some(text);
        }
        text.extend(&words[usize::try_from(id).unwrap()]);
        constraint.take(id).unwrap();
    }
    None
}

fn schemas() -> Vec<Value> {
    vec![
        json!({"type": "object"}),
        json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"], "additionalProperties": false}),
        json!({"type": "object", "properties": {"b": {"type": "boolean"}, "a": {"enum": ["x", "y", 3, null]}}, "additionalProperties": {"type": "number"}}),
        json!({"type": "array", "items": {"type": "integer", "minimum": -7, "maximum": 300}, "minItems": 2, "maxItems": 4}),
        json!({"$defs": {"node": {"type": "object", "properties": {"v": {"type": "string", "maxLength": 5}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["v", "next"], "additionalProperties": false}}, "$ref": "#/$defs/node"}),
        json!({"anyOf": [{"const": "only"}, {"type": "string", "minLength": 3, "maxLength": 4}, {"type": "array", "items": {"type": "boolean"}}]}),
        json!({"type": ["number", "null"], "minimum": -0.5, "exclusiveMaximum": 12.25}),
        json!({"type": "array", "prefixItems": [{"const": 1}, {"enum": [1, 12, "1", {"a": [2]}]}], "items": false, "minItems": 2}),
        json!({}),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_is_drawn_fits(seed in 1_u64.., which in 0..9_usize) {
        let (words, vocabulary) = vocabulary();
        let schema = schemas().swap_remove(which);
        let mut constraint = vocabulary.constrain(&Grammar::schema(&schema.to_string()).unwrap()).unwrap();
        if let Some(text) = walk(&words, &mut constraint, &mut Draws(seed)) {
            let text = String::from_utf8(text).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(fits(&schema, &value), Ok(()), "{}", text);
        }
    }

    #[test]
    fn two_engines_allow_the_same(seed in 1_u64.., which in 0..9_usize) {
        let ((words, one), (_, other)) = (vocabulary(), vocabulary());
        let grammar = Grammar::schema(&schemas().swap_remove(which).to_string()).unwrap();
        let (mut one, mut other) = (one.constrain(&grammar).unwrap(), other.constrain(&grammar).unwrap());
        let mut draws = Draws(seed);
        for step in 0..120 {
            // A copy made on the way goes on as the original does.
            if step == 30 {
                other = other.clone();
            }
            let allowed = ids(one.allowed().unwrap());
            prop_assert_eq!(&allowed, &ids(other.allowed().unwrap()));
            let id = allowed[draws.below(allowed.len())];
            if usize::try_from(id).unwrap() >= words.len() - 2 {
                break;
            }
            one.take(id).unwrap();
            other.take(id).unwrap();
        }
    }

    #[test]
    fn a_forced_call_calls_one_of_the_tools(seed in 1_u64..) {
        let (words, vocabulary) = vocabulary();
        let arguments = json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "required": ["x"], "additionalProperties": false, "$defs": {"n": {"type": "integer"}}});
        let tools = vec![("get_x".to_owned(), arguments.to_string()), ("y-2".to_owned(), r#"{"type":"object"}"#.to_owned())];
        let mut constraint = vocabulary.constrain(&Grammar::calls(&tools).unwrap()).unwrap();
        if let Some(text) = walk(&words, &mut constraint, &mut Draws(seed)) {
            let text = String::from_utf8(text).unwrap();
            let inner = text.strip_prefix("<tool_call>\n").and_then(|rest| rest.strip_suffix("\n</tool_call>"));
            let call: Value = serde_json::from_str(inner.unwrap()).unwrap();
            match call["name"].as_str().unwrap() {
                "get_x" => prop_assert_eq!(fits(&arguments, &call["arguments"]), Ok(())),
                "y-2" => prop_assert!(call["arguments"].is_object()),
                other => prop_assert!(false, "{other}"),
            }
        }
    }
}

#[test]
fn every_walk_can_end() {
    let (words, vocabulary) = vocabulary();
    let mut ended = 0;
    for (seed, schema) in (1_u64..).zip(schemas().into_iter().cycle()).take(70) {
        let mut constraint = vocabulary
            .constrain(&Grammar::schema(&schema.to_string()).unwrap())
            .unwrap();
        ended += usize::from(walk(&words, &mut constraint, &mut Draws(seed * 77)).is_some());
    }
    assert!(ended > 60, "{ended} of 70 walks ended");
}

#[test]
fn what_was_not_allowed_cannot_be_taken_and_white_space_is_bounded() {
    let (_, vocabulary) = vocabulary();
    let mut constraint = vocabulary
        .constrain(&Grammar::schema(r#"{"type":"object"}"#).unwrap())
        .unwrap();
    assert_eq!(ids(constraint.allowed().unwrap()), [u32::from(b'{'), 256]);
    assert_eq!(
        constraint.take(u32::from(b'x')),
        Err(GrammarError::Token { got: 120 })
    );
    constraint.take(u32::from(b'{')).unwrap();
    constraint.take(u32::from(b'\n')).unwrap();
    let mut spaces = 0;
    while ids(constraint.allowed().unwrap()).contains(&u32::from(b' ')) {
        constraint.take(u32::from(b' ')).unwrap();
        spaces += 1;
    }
    assert_eq!(spaces, 64);
    for token in [b' ', b'\n', b'\t', b'x'] {
        assert!(constraint.take(u32::from(token)).is_err());
    }
    // What was refused has changed nothing.
    let left = [u32::from(b'"'), u32::from(b'}')];
    assert_eq!(ids(constraint.allowed().unwrap())[..2], left);
}

#[test]
fn hidden_tokens_and_ends_come_only_as_such() {
    let words: [Option<&[u8]>; 5] = [Some(b"{"), Some(b"}"), None, Some(b"{}"), Some(b"}")];
    let vocabulary = Vocabulary::new(words.into_iter(), &[4]).unwrap();
    let mut constraint = vocabulary
        .constrain(&Grammar::schema(r#"{"type":"object"}"#).unwrap())
        .unwrap();
    assert_eq!(ids(constraint.allowed().unwrap()), [0, 3]);
    for token in [1, 2, 4, 5] {
        assert_eq!(
            constraint.take(token),
            Err(GrammarError::Token { got: token })
        );
    }
    constraint.take(3).unwrap();
    assert_eq!(ids(constraint.allowed().unwrap()), [4]);
    constraint.take(4).unwrap();
    assert_eq!(ids(constraint.allowed().unwrap()), [4]);
}

#[test]
fn a_vocabulary_that_cannot_end_or_say_it_is_refused() {
    let words: [Option<&[u8]>; 3] = [Some(b"{"), Some(b"}"), Some(b"")];
    for ends in [&[][..], &[9]] {
        let error = Vocabulary::new(words.into_iter(), ends).unwrap_err();
        assert_eq!(error, GrammarError::Vocabulary);
    }
    let vocabulary = Vocabulary::new(words.into_iter(), &[2]).unwrap();
    let grammar = Grammar::schema(r#"{"type":"string"}"#).unwrap();
    assert_eq!(
        vocabulary.constrain(&grammar).unwrap_err(),
        GrammarError::NoToken
    );
}
