//! What a client may not ask, by name; and that nothing a client sends makes the engine panic or run on.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use credence_grammar::{
    DEPTH_MAX, ENGINE, GRAMMAR_BYTES_MAX, Grammar, GrammarError, VERSION, Vocabulary,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn vocabulary() -> Vocabulary {
    let words: Vec<Vec<u8>> = (0..=255_u8)
        .map(|byte| vec![byte])
        .chain([vec![]])
        .collect();
    Vocabulary::new(words.iter().map(|word| Some(word.as_slice())), &[256]).unwrap()
}

fn refusal(schema: &Value) -> GrammarError {
    let refused = Grammar::schema(&schema.to_string()).err();
    assert!(refused.is_some(), "{schema} passes");
    refused.unwrap()
}

#[test]
fn keywords_that_are_not_followed_are_named() {
    for (schema, named) in [
        (json!({"type": "object", "not": {}}), "not"),
        (json!({"type": "array", "uniqueItems": true}), "uniqueItems"),
        (
            json!({"type": "array", "contains": {"type": "null"}}),
            "contains",
        ),
        (
            json!({"type": "object", "dependentRequired": {"a": ["b"]}}),
            "dependentRequired",
        ),
        (
            json!({"if": {"type": "string"}, "then": {"const": "x"}}),
            "if",
        ),
        (
            json!({"type": "object", "propertyNames": {"maxLength": 3}}),
            "propertyNames",
        ),
        (
            json!({"type": "object", "patternProperties": {"a": {}}}),
            "patternProperties",
        ),
        (
            json!({"type": "object", "minProperties": 1}),
            "minProperties",
        ),
        (
            json!({"oneOf": [{"type": "object"}, {"type": "object"}]}),
            "oneOf",
        ),
        (
            json!({"allOf": [{"type": "object"}, {"type": "object"}]}),
            "allOf",
        ),
        (json!({"type": "string", "format": "date"}), "format"),
        (json!({"type": "string", "pattern": "^a$"}), "pattern"),
        (json!({"type": "number", "multipleOf": 2}), "multipleOf"),
        (json!({"type": "thing"}), "type"),
        (json!({"type": []}), "type"),
        (json!({"minLength": 1, "minItems": 1}), "type"),
        (json!({"$ref": "https://example.org/schema.json"}), "$ref"),
        (json!({"$ref": "#/$defs/absent"}), "$ref"),
        (json!({"$ref": "#/properties/a", "$defs": {}}), "$ref"),
        (json!({"$ref": "#", "type": "object"}), "type` beside `$ref"),
        (json!({"enum": [1], "minimum": 0}), "minimum` beside `enum"),
        (json!({"enum": 1}), "enum"),
        (json!({"anyOf": []}), "anyOf"),
        (json!({"properties": []}), "properties"),
        (json!({"type": "object", "required": "a"}), "required"),
        (json!({"type": "string", "maxLength": -1}), "maxLength"),
        (json!({"type": "string", "maxLength": 1.5}), "maxLength"),
        (json!({"type": "number", "minimum": 1e-30}), "minimum"),
        (json!({"type": "number", "minimum": "1"}), "minimum"),
        (
            json!({"properties": {"a": {"properties": {"b": 1}}}}),
            "#/properties/a/properties/b",
        ),
    ] {
        let said = refusal(&schema).to_string();
        assert!(said.contains(&format!("`{named}`")), "{schema}: {said}");
    }
}

#[test]
fn what_nothing_fits_is_refused_and_so_are_circles() {
    for schema in [
        json!({"enum": []}),
        json!({"enum": [1, "a"], "type": "null"}),
        json!({"enum": [1], "const": 2}),
        json!({"type": "integer", "minimum": 3, "maximum": 2}),
        json!({"type": "integer", "minimum": 1e15}),
        json!({"type": "string", "minLength": 2, "maxLength": 1}),
        json!({"type": "array", "minItems": 2, "maxItems": 1}),
        json!({"type": "array", "items": false, "minItems": 1}),
        json!({"type": "object", "properties": {"a": false}, "required": ["a"]}),
        json!({"type": "object", "additionalProperties": false, "required": ["a"]}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
        json!({"type": "array", "items": {"$ref": "#"}, "minItems": 1}),
    ] {
        assert_eq!(
            refusal(&schema),
            GrammarError::Empty { max: DEPTH_MAX },
            "{schema}"
        );
    }
    for schema in [
        json!({"$ref": "#"}),
        json!({"anyOf": [{"type": "null"}, {"$ref": "#"}]}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
    ] {
        assert!(
            matches!(refusal(&schema), GrammarError::Circle { .. }),
            "{schema}"
        );
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let nested = |levels| (1..levels).fold(json!({}), |inner, _| json!({ "items": inner }));
    assert!(Grammar::schema(&nested(DEPTH_MAX).to_string()).is_ok());
    let deep = refusal(&nested(DEPTH_MAX + 1));
    assert!(matches!(deep, GrammarError::Json { .. }), "{deep}");
    for brackets in ["[", "{\"a\":"] {
        let text = brackets.repeat(GRAMMAR_BYTES_MAX / 10);
        assert!(matches!(
            Grammar::schema(&text),
            Err(GrammarError::Json { .. })
        ));
    }
    for count in [GRAMMAR_BYTES_MAX, 3 * GRAMMAR_BYTES_MAX] {
        let long = refusal(&json!({"description": "x".repeat(count)}));
        assert!(matches!(long, GrammarError::TooLong { .. }), "{long}");
    }
    let wide: Vec<Value> = (0..9000).map(|_| json!({"type": "null"})).collect();
    let wide = json!({ "anyOf": wide });
    assert!(matches!(
        refusal(&wide),
        GrammarError::TooLong { .. } | GrammarError::TooLarge { .. }
    ));
    let tools = |name: &str, schema: &str| Grammar::calls(&[(name.to_owned(), schema.to_owned())]);
    assert!(matches!(
        Grammar::calls(&[]),
        Err(GrammarError::Tools { got: 0, .. })
    ));
    let many = vec![("f".to_owned(), "{}".to_owned()); 129];
    assert!(matches!(
        Grammar::calls(&many),
        Err(GrammarError::Tools { got: 129, .. })
    ));
    for name in ["", "two words", "\"", &"x".repeat(65)] {
        assert!(
            matches!(tools(name, "{}"), Err(GrammarError::Name { .. })),
            "{name}"
        );
    }
    assert!(matches!(tools("f", "["), Err(GrammarError::Json { .. })));
    assert!(matches!(
        tools("f", r#"{"not":{}}"#),
        Err(GrammarError::Keyword { .. })
    ));
}

/// Many ways that look alike: the work is counted, and an end comes.
#[test]
fn ambiguous_schemas_end_one_way_or_the_other() {
    let alike: Vec<Value> = (0..200)
        .map(|i| json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "additionalProperties": {"const": i}}))
        .collect();
    let many: serde_json::Map<String, Value> = (0..900)
        .map(|i| (format!("a{i}"), json!({"type": "null"})))
        .collect();
    for schema in [
        json!({ "anyOf": alike }),
        json!({"type": "object", "properties": many}),
        json!({"type": "array", "items": {"anyOf": [{}, {}, {"type": "array"}, {"type": "string"}]}, "maxItems": 100_000_000_000_u64}),
        json!({"type": "string", "minLength": 100_000_000_000_u64}),
        json!({"type": "integer", "minimum": -9e18, "maximum": 18_446_744_073_709_551_615_u64}),
    ] {
        let grammar = Grammar::schema(&schema.to_string()).unwrap();
        let Ok(mut constraint) = vocabulary().constrain(&grammar) else {
            continue;
        };
        for step in 0..300_usize {
            let Ok(allowed) = constraint.allowed() else {
                break;
            };
            let bits = (0_u32..).zip(allowed).flat_map(|(word, &bits)| {
                (0..64)
                    .filter(move |bit| (bits >> bit) & 1 == 1)
                    .map(move |bit| word * 64 + bit)
            });
            let ids: Vec<u32> = bits.collect();
            if constraint.take(ids[(step * 7) % ids.len()]).is_err() {
                break;
            }
        }
    }
}

/// A schema of definitions that each name the next, and the first of them.
fn chain(count: usize, link: impl Fn(Value) -> Value, end: Value) -> Value {
    let mut definitions = serde_json::Map::new();
    for own in 0..count {
        let next = json!({"$ref": format!("#/$defs/a{}", own + 1)});
        definitions.insert(format!("a{own}"), link(next));
    }
    definitions.insert(format!("a{count}"), end);
    json!({"$defs": definitions, "$ref": "#/$defs/a0"})
}

/// Tokens that may come first.
fn first(vocabulary: &Vocabulary, schema: &Value) -> Result<Vec<u32>, GrammarError> {
    let grammar = Grammar::schema(&schema.to_string())?;
    let mut constraint = vocabulary.constrain(&grammar)?;
    let allowed = constraint.allowed()?.to_vec();
    let has = |token: &u32| {
        let word = usize::try_from(token / 64).unwrap();
        (allowed[word] >> (token % 64)) & 1 == 1
    };
    Ok((0..u32::try_from(allowed.len() * 64).unwrap())
        .filter(has)
        .collect())
}

/// Alternatives that meet again are looked at once: with each of 40 definitions naming the next twice, the ways double 40 times.
#[test]
fn alternatives_that_meet_again_are_looked_at_once() {
    let quote = vec![u32::from(b'"')];
    let text = json!({"type": "string"});
    for count in [1, 40, 900] {
        let twice = chain(
            count,
            |next| json!({"anyOf": [next.clone(), next]}),
            text.clone(),
        );
        assert_eq!(first(&vocabulary(), &twice), Ok(quote.clone()), "{count}");
        let list = json!({"type": "array", "prefixItems": [{"$ref": "#/$defs/a0"}], "minItems": 1, "$defs": twice["$defs"]});
        let open = vec![u32::from(b'[')];
        assert_eq!(first(&vocabulary(), &list), Ok(open), "{count}");
    }
    // Two definitions apart, so that no two alternatives are of one name.
    let mut apart = chain(
        40,
        |next| json!({"anyOf": [next, {"type": "null"}]}),
        text.clone(),
    );
    for own in 0..40 {
        let other = json!({"$ref": format!("#/$defs/b{own}")});
        let next = json!({"$ref": format!("#/$defs/a{}", own + 1)});
        apart["$defs"][format!("a{own}")] = json!({"anyOf": [next, other]});
        apart["$defs"][format!("b{own}")] = json!({"anyOf": [next]});
    }
    assert_eq!(first(&vocabulary(), &apart), Ok(quote));
}

/// Each alternative that is looked at is a move: 256 bytes behind each of 10 brackets, two for each of 1,100 names of one string, are more than 4,000,000 moves; 100 names are not.
#[test]
fn alternatives_are_counted_as_moves() {
    let mut words: Vec<Vec<u8>> = (0..10)
        .flat_map(|depth| (0..=255_u8).map(move |byte| [vec![b'['; depth], vec![byte]].concat()))
        .collect();
    words.push(Vec::new());
    let end = u32::try_from(words.len()).unwrap() - 1;
    let shown = words.iter().map(|word| Some(word.as_slice()));
    let vocabulary = Vocabulary::new(shown, &[end]).unwrap();
    let alternatives = |count: u32| {
        let mut definitions: serde_json::Map<String, Value> = (0..count)
            .map(|own| (own.to_string(), json!({"$ref": "#/$defs/z"})))
            .collect();
        definitions.insert("z".to_owned(), json!({"type": "string"}));
        let names = (0..count).map(|own| json!({"$ref": format!("#/$defs/{own}")}));
        let ways: Vec<Value> = [json!({"$ref": "#"})].into_iter().chain(names).collect();
        json!({"type": "array", "items": {"anyOf": ways}, "$defs": definitions})
    };
    assert!(first(&vocabulary, &alternatives(100)).is_ok());
    let many = first(&vocabulary, &alternatives(1100));
    assert_eq!(many, Err(GrammarError::Work));
}

/// Each property that is looked at is a move: 4,000 at the end of each of 1,100 objects in one token are more than 4,000,000 moves; of 500 objects they are not.
#[test]
fn properties_are_counted_as_moves() {
    let never: serde_json::Map<String, Value> = (0..4000)
        .map(|own| (format!("{own:x}"), json!(false)))
        .collect();
    let schema = json!({"type": "array", "items": {"type": "object", "properties": never}});
    let with = |count: usize| {
        let word = ["[", &"{},".repeat(count)].concat();
        let words = [Some(word.as_bytes()), Some(b"[".as_slice()), None];
        Vocabulary::new(words.into_iter(), &[2]).unwrap()
    };
    assert_eq!(first(&with(500), &schema), Ok(vec![0, 1]));
    assert_eq!(first(&with(1100), &schema), Err(GrammarError::Work));
}

/// Definitions nested in one another, 6,000 levels in all, take no stack; and a value that they let end is found.
#[test]
fn references_of_many_levels_take_no_stack() {
    let nest = |inner: Value| {
        (0..60).fold(
            inner,
            |inner, _| json!({"items": inner, "maxItems": 1, "type": "array"}),
        )
    };
    let small = |inner: Value| (0..60).fold(inner, |inner, _| json!({ "items": inner }));
    let deep = chain(100, small, json!({"type": "string"}));
    assert_eq!(first(&vocabulary(), &deep), Ok(vec![u32::from(b'[')]));
    let few = chain(3, nest, json!({"type": "string"}));
    assert_eq!(first(&vocabulary(), &few), Ok(vec![u32::from(b'[')]));
    let long = chain(
        1200,
        |next| json!({"items": next, "minItems": 1}),
        json!(true),
    );
    assert_eq!(refusal(&long), GrammarError::Empty { max: DEPTH_MAX });
}

/// A type named again is one alternative; a definition named in other spellings is one; and what a schema lists is counted.
#[test]
fn what_a_schema_lists_is_counted_once() {
    let digit = |own: usize| char::from_digit(u32::try_from(own % 36).unwrap(), 36).unwrap();
    let name = |own: usize| {
        [digit(own / 1296), digit(own / 36), digit(own)]
            .iter()
            .collect()
    };
    let members = |count: usize| -> serde_json::Map<String, Value> {
        (0..count).map(|own| (name(own), json!({}))).collect()
    };
    let again = json!({"type": vec!["object"; 2000], "properties": members(4000)});
    let once = json!({"type": "object", "properties": members(4000)});
    for schema in [&again, &once] {
        assert_eq!(
            first(&vocabulary(), schema),
            Ok(vec![u32::from(b'{')]),
            "{schema}"
        );
    }
    // `~` and `~0` are one character of a name.
    let spelt = |own: usize| -> String {
        (0..10)
            .map(|bit| if (own >> bit) & 1 == 1 { "~0" } else { "~" })
            .collect()
    };
    let spellings: Vec<Value> = (0..900)
        .map(|own| json!({"$ref": format!("#/$defs/{}", spelt(own))}))
        .collect();
    let schema = json!({"anyOf": spellings, "$defs": {"~~~~~~~~~~": {"properties": members(2000), "type": "object"}}});
    assert_eq!(first(&vocabulary(), &schema), Ok(vec![u32::from(b'{')]));
    let names: Vec<String> = (0..9000).map(name).collect();
    let numbers: Vec<u32> = (0..9000).collect();
    for schema in [
        json!({ "enum": numbers }),
        json!({ "required": names }),
        json!({"properties": members(4150), "required": names[..4150]}),
    ] {
        assert!(
            matches!(refusal(&schema), GrammarError::TooLarge { .. }),
            "{}",
            refusal(&schema)
        );
    }
    for schema in [
        json!({"enum": numbers[..8000]}),
        json!({"required": names[..8000]}),
        json!({"properties": members(4000), "required": names[..4000]}),
    ] {
        assert!(Grammar::schema(&schema.to_string()).is_ok());
    }
}

#[test]
fn one_shape_has_one_text() {
    let schema =
        Grammar::schema(" {\"title\" : \"\\u00fc\\n\", \"enum\": [1.0, -2e2, \"b\",\n{}, []]}")
            .unwrap();
    assert_eq!(
        schema.text(),
        r#"{"title":"ü\n","enum":[1.0,-200.0,"b",{},[]]}"#
    );
    assert_eq!(Grammar::decode(1, schema.text()), Ok(schema));
    let calls = Grammar::calls(&[("f".to_owned(), r#"{"type" :"object"}"#.to_owned())]).unwrap();
    assert_eq!(
        calls.text(),
        r#"[{"name":"f","parameters":{"type":"object"}}]"#
    );
    assert_eq!(Grammar::decode(2, calls.text()), Ok(calls));
    for text in [
        r#"{"title":"a", "$id":"b"}"#,
        r#"{"title":"\u00fc"}"#,
        r#"{"default":1e2}"#,
        r#"{"title":"a"} "#,
    ] {
        assert_eq!(
            Grammar::decode(1, text),
            Err(GrammarError::NotCanonical),
            "{text}"
        );
    }
    for text in ["", "{", r#"{"title":"a","title":"a"}"#, "nan", "{}{}"] {
        assert!(
            matches!(Grammar::decode(1, text), Err(GrammarError::Json { .. })),
            "{text}"
        );
    }
    for (kind, text) in [
        (0, "{}"),
        (3, "{}"),
        (1, "[]"),
        (1, "1"),
        (2, "{}"),
        (2, "[]"),
        (2, "[1]"),
        (2, r#"[{"name":"f","parameters":{},"more":1}]"#),
        (2, r#"[{"parameters":{},"name":"f"}]"#),
        (2, r#"[{"name":"f"}]"#),
        (2, r#"[{"name":1,"parameters":{}}]"#),
    ] {
        assert!(Grammar::decode(kind, text).is_err(), "{kind} {text}");
    }
    assert_eq!((ENGINE, VERSION), ("credence-grammar", "1"));
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i8>().prop_map(|n| json!(n)),
        prop::sample::select(vec![
            "string",
            "integer",
            "number",
            "object",
            "array",
            "#",
            "#/$defs/a",
            "a"
        ])
        .prop_map(|s| json!(s)),
    ];
    let keys = prop::sample::select(vec![
        "type",
        "properties",
        "required",
        "items",
        "anyOf",
        "enum",
        "const",
        "$ref",
        "$defs",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "additionalProperties",
        "prefixItems",
        "a",
    ]);
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.clone(), inner, 0..4).prop_map(|members| members
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever compiles has a first token, and what is kept of it is read again.
    #[test]
    fn no_schema_panics(schema in anything()) {
        if let Ok(grammar) = Grammar::schema(&schema.to_string()) {
            prop_assert_eq!(&Grammar::decode(1, grammar.text()).unwrap(), &grammar);
            prop_assert!(vocabulary().constrain(&grammar).is_ok(), "{}", schema);
        }
    }
}
