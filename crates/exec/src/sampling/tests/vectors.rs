//! The committed vectors, `vectors/sampling/`, which implementations in other languages read too.

use serde_json::Value;

use super::*;

fn file(name: &str) -> Value {
    let path = format!(
        "{}/../../vectors/sampling/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn cases(value: &Value) -> &[Value] {
    let cases = value.as_array().unwrap();
    assert!(!cases.is_empty());
    cases
}

fn number<T: TryFrom<i64, Error: std::fmt::Debug>>(value: &Value) -> T {
    T::try_from(value.as_i64().unwrap()).unwrap()
}

fn numbers<T: TryFrom<i64, Error: std::fmt::Debug>>(value: &Value) -> Vec<T> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn seed_of(value: &Value) -> [u8; 32] {
    unhex(value).try_into().unwrap()
}

/// Listed logits, or those of the rule `low + ((40503·i² + 2654435761·i + salt) mod 2³²) mod range`.
fn logits_of(value: &Value) -> Vec<i32> {
    if value.is_array() {
        return numbers(value);
    }
    let part = |name: &str| number::<i64>(&value[name]);
    let mixed =
        |i: i64| (40_503 * i * i + 2_654_435_761 * i + part("salt")) % (1 << 32) % part("range");
    (0..part("tokens"))
        .map(|i| i32::try_from(part("low") + mixed(i)).unwrap())
        .collect()
}

#[test]
fn parameters() {
    let file = file("parameters");
    for case in cases(&file["valid"]) {
        let pair = |pair: &Value| (number(&pair[0]), number(&pair[1]));
        let settings = Settings {
            temperature: number(&case["temperature"]),
            top_p: number(&case["top_p"]),
            top_k: number(&case["top_k"]),
            min_p: number(&case["min_p"]),
            frequency_penalty: number(&case["frequency_penalty"]),
            presence_penalty: number(&case["presence_penalty"]),
            logit_bias: case["logit_bias"]
                .as_array()
                .unwrap()
                .iter()
                .map(pair)
                .collect(),
            max_tokens: number(&case["max_tokens"]),
            stop: case["stop"]
                .as_array()
                .unwrap()
                .iter()
                .map(|text| text.as_str().unwrap().to_owned())
                .collect(),
            seed: (!case["seed"].is_null()).then(|| seed_of(&case["seed"])),
            grammar: case.get("grammar").map(|grammar| GrammarText {
                kind: u8::try_from(grammar["kind"].as_u64().unwrap()).unwrap(),
                text: grammar["text"].as_str().unwrap().to_owned(),
            }),
        };
        let parameters = checked(settings);
        assert_eq!(parameters.encode(), unhex(&case["bytes"]));
        assert_eq!(Parameters::decode(&unhex(&case["bytes"])), Ok(parameters));
    }
    for case in cases(&file["refused"]) {
        assert!(
            Parameters::decode(&unhex(&case["bytes"])).is_err(),
            "{}",
            case["why"]
        );
    }
}

#[test]
fn tables() {
    let file = file("tables");
    for (name, table) in [("high", high()), ("low", low())] {
        let expected = &file[name];
        assert_eq!(table.len(), number::<usize>(&expected["length"]));
        let sum: u64 = table.iter().copied().map(u64::from).sum();
        assert_eq!(sum.to_string(), expected["sum"].as_str().unwrap());
        for entry in cases(&expected["entries"]) {
            assert_eq!(
                table[number::<usize>(&entry[0])],
                number::<u32>(&entry[1]),
                "{name} {entry}"
            );
        }
    }
}

#[test]
fn random_numbers() {
    for case in cases(&file("numbers")) {
        let place = Place {
            seed: seed_of(&case["seed"]),
            choice: number(&case["choice"]),
            step: number(&case["step"]),
        };
        assert_eq!(
            place.number().to_string(),
            case["number"].as_str().unwrap(),
            "{case}"
        );
    }
}

#[test]
fn weights() {
    for case in cases(&file("weights")) {
        let scale = Scale::new(number(&case["temperature"]));
        let distances: Vec<u32> = numbers(&case["distances"]);
        let weights: Vec<u32> = distances
            .iter()
            .map(|&distance| scale.weight(distance))
            .collect();
        assert_eq!(
            weights,
            numbers::<u32>(&case["weights"]),
            "{}",
            case["temperature"]
        );
    }
}

/// The levels above the leaves, which are in decimal.
fn levels(value: &Value) -> Vec<Vec<u64>> {
    let level = |level: &Value| {
        level
            .as_array()
            .unwrap()
            .iter()
            .map(|sum| sum.as_str().unwrap().parse().unwrap())
            .collect()
    };
    value.as_array().unwrap().iter().map(level).collect()
}

#[test]
fn steps() {
    for case in cases(&file("steps")) {
        let name = &case["name"];
        let parameters = Parameters::decode(&unhex(&case["parameters"])).unwrap();
        let (logits, start) = (logits_of(&case["logits"]), number::<u32>(&case["step"]));
        let mut counts: Counts = numbers::<u32>(&case["generated"]).into_iter().collect();
        let word = |word: &Value| u64::from_str_radix(word.as_str().unwrap(), 16).unwrap();
        let words: Option<Vec<u64>> = case["allowed"]
            .as_array()
            .map(|words| words.iter().map(word).collect());
        let mut tokens = Vec::new();
        for at in 0..number::<u32>(&case["steps"]) {
            let place = Place {
                seed: seed_of(&case["seed"]),
                choice: number(&case["choice"]),
                step: start + at,
            };
            let step = Step {
                logits: &logits,
                counts: &counts,
                allowed: words.as_deref().map(Allowed),
                place,
            };
            let Ok(token) = both(&parameters, &step) else {
                break;
            };
            if at == 0 {
                let observed = reference::sample(&parameters, &step).unwrap();
                let first = &case["first"];
                assert_eq!(
                    observed.kept.len(),
                    number::<usize>(&first["kept"]),
                    "{name}"
                );
                assert_eq!(
                    observed.kept.last().copied(),
                    first["last_kept"]
                        .as_u64()
                        .map(|id| usize::try_from(id).unwrap())
                );
                assert_eq!(
                    observed.tree.get(1..).unwrap_or(&[]),
                    levels(&first["levels"]),
                    "{name}"
                );
                let mut sampler = Sampler::new();
                assert_eq!(sampler.sample(&parameters, &step), Ok(token));
                let maxima = first["maxima"].as_array().unwrap().iter();
                let maxima: Vec<i32> = maxima
                    .map(|max| if max.is_null() { i32::MIN } else { number(max) })
                    .collect();
                assert_eq!(sampler.block_maxima(), maxima, "{name}");
            }
            counts.add(token);
            tokens.push(token);
        }
        let expected = if case["tokens"].is_null() {
            vec![]
        } else {
            numbers::<u32>(&case["tokens"])
        };
        assert_eq!(tokens, expected, "{name}");
    }
}

#[test]
fn log_probabilities() {
    for case in cases(&file("logprobs")) {
        let report = logprobs(
            &logits_of(&case["logits"]),
            number(&case["chosen"]),
            number(&case["count"]),
        )
        .unwrap();
        assert_eq!(report.chosen.value, number::<i64>(&case["value"]), "{case}");
        let top: Vec<(u32, i64)> = report
            .top
            .iter()
            .map(|entry| (entry.token, entry.value))
            .collect();
        let expected = case["top"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (number(&pair[0]), number(&pair[1])));
        assert_eq!(top, expected.collect::<Vec<_>>());
    }
}
