//! `vectors/sampling/`: parameters, tables, random numbers, weights, steps and reports (`docs/spec/sampling.md`).
//!
//! Logits are listed, or made by a rule that any language follows in integers: `low + ((40503·i² + 2654435761·i + salt) mod 2³²) mod range`.

use credence_exec::sampling::{
    Allowed, BLOCK, Counts, GrammarText, Parameters, Place, Settings, Step, high, logprobs, low,
    reference,
};
use serde_json::{Value, json};

const ONE: u32 = 1_000_000;

pub(super) fn files() -> Result<Vec<(String, Value)>, String> {
    let file = |name: &str, value| (format!("sampling/{name}.json"), value);
    Ok(vec![
        file("logprobs", logprob_cases()?),
        file("numbers", number_cases()),
        file("parameters", parameter_cases()?),
        file("steps", step_cases()?),
        file("tables", tables()),
        file("weights", weight_cases()?),
    ])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn neutral() -> Settings {
    Settings::neutral(64)
}

fn warm(temperature: u32) -> Settings {
    Settings {
        temperature,
        ..neutral()
    }
}

fn checked(settings: Settings) -> Result<Parameters, String> {
    Parameters::new(settings).map_err(|error| error.to_string())
}

/// Where the logits of a case come from.
enum Logits {
    Listed(Vec<i32>),
    /// Number of tokens, least value, number of values, salt.
    Rule(u64, i64, u64, u64),
}

impl Logits {
    fn values(&self) -> Result<Vec<i32>, String> {
        match self {
            Self::Listed(values) => Ok(values.clone()),
            &Self::Rule(tokens, low, range, salt) => {
                let mixed =
                    |i: u64| (40_503 * i * i + 2_654_435_761 * i + salt) % (1 << 32) % range;
                let value = |i| i32::try_from(low + i64::try_from(mixed(i)).unwrap_or(0));
                (0..tokens)
                    .map(|i| value(i).map_err(|error| error.to_string()))
                    .collect()
            }
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Listed(values) => json!(values),
            Self::Rule(tokens, low, range, salt) => {
                json!({ "tokens": tokens, "low": low, "range": range, "salt": salt })
            }
        }
    }
}

/// What is 20 nats wide and 600 tokens long.
const WIDE: Logits = Logits::Rule(600, -1_000_000, 1_310_720, 1);
/// What is half a nat wide, so that truncation has much to choose from.
const CLOSE: Logits = Logits::Rule(600, -16_384, 32_768, 2);
/// Few values, so many ties.
const TIED: Logits = Logits::Rule(600, 0, 4, 3);
/// Any i32.
const EXTREME: Logits = Logits::Rule(300, -2_147_483_648, 4_294_967_296, 4);
/// A tree of three levels above the leaves.
const DEEP: Logits = Logits::Rule(66_000, -400_000, 655_360, 5);

fn parameter_cases() -> Result<Value, String> {
    let full = Settings {
        temperature: 700_000,
        top_p: 900_000,
        top_k: 40,
        min_p: 50_000,
        frequency_penalty: -2,
        presence_penalty: 2_000_000,
        logit_bias: vec![(0, -100_000_000), (1_048_575, 5)],
        max_tokens: u32::MAX,
        stop: vec!["\n\n".into(), "é".into()],
        seed: Some([0xab; 32]),
        grammar: None,
    };
    let shaped = Settings {
        grammar: Some(GrammarText {
            kind: 1,
            text: r#"{"title":"é"}"#.to_owned(),
        }),
        ..full.clone()
    };
    let valid: Result<Vec<Value>, String> = [neutral(), warm(0), full.clone(), shaped]
        .into_iter()
        .map(valid_parameters)
        .collect();
    let good = checked(full)?.encode();
    let with = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        bytes.splice(at..at + value.len(), value.iter().copied());
        bytes
    };
    let refused: [(&str, Vec<u8>); 15] = [
        ("nothing", vec![]),
        ("the empty list of a tensor model", vec![1, 0, 0, 0, 0]),
        ("a version with a grammar, and none", with(0, &[3])),
        ("another version", with(0, &[4])),
        (
            "a grammar of another kind",
            [&[3], &good[1..], &[3, 2, 0, 0, 0], b"{}"].concat(),
        ),
        (
            "a grammar of no byte",
            [&[3], &good[1..], &[1, 0, 0, 0, 0]].concat(),
        ),
        (
            "a temperature above 2",
            with(1, &2_000_001_u32.to_le_bytes()),
        ),
        ("a top_p of 0", with(5, &[0; 4])),
        ("a top_k above 2^20", with(9, &1_048_577_u32.to_le_bytes())),
        ("a min_p above 1", with(13, &1_000_001_u32.to_le_bytes())),
        (
            "a frequency_penalty below -2",
            with(17, &(-2_000_001_i32).to_le_bytes()),
        ),
        ("no tokens", with(25, &[0; 4])),
        ("a flag of 2", with(29, &[2])),
        (
            "biases out of order",
            with(66, &1_048_575_u32.to_le_bytes()),
        ),
        ("a byte too many", [good.as_slice(), &[0]].concat()),
    ];
    let refused = refused.map(|(why, bytes)| json!({ "why": why, "bytes": hex(&bytes) }));
    Ok(json!({ "valid": valid?, "refused": refused }))
}

fn valid_parameters(settings: Settings) -> Result<Value, String> {
    let bytes = checked(settings.clone())?.encode();
    let mut valid = json!({
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "min_p": settings.min_p,
        "frequency_penalty": settings.frequency_penalty,
        "presence_penalty": settings.presence_penalty,
        "logit_bias": settings.logit_bias,
        "max_tokens": settings.max_tokens,
        "stop": settings.stop,
        "seed": settings.seed.map(|seed| hex(&seed)),
        "bytes": hex(&bytes),
    });
    if let Some(GrammarText { kind, text }) = settings.grammar {
        valid["grammar"] = json!({"kind": kind, "text": text});
    }
    Ok(valid)
}

fn tables() -> Value {
    let table = |entries: &[u32]| {
        let last = entries.len() - 1;
        let some = (0..entries.len()).filter(|&index| index % 53 == 0 || index == last);
        let shown: Vec<Value> = some
            .map(|index| json!([index, entries.get(index)]))
            .collect();
        let sum: u64 = entries.iter().copied().map(u64::from).sum();
        json!({ "entries": shown, "length": entries.len(), "sum": sum.to_string() })
    };
    json!({ "high": table(high()), "low": table(low()) })
}

fn places() -> Vec<Place> {
    let counting = std::array::from_fn(|index| u8::try_from(index).unwrap_or(0));
    let numbers = [0, 1, 2, 7, 127, u32::MAX];
    let pairs = numbers
        .into_iter()
        .flat_map(|choice| numbers.map(|step| (choice, step)));
    let seeds = [[0; 32], counting, [0xff; 32]];
    pairs
        .flat_map(|(choice, step)| seeds.map(|seed| Place { seed, choice, step }))
        .collect()
}

fn number_cases() -> Value {
    let case = |place: Place| json!({ "seed": hex(&place.seed), "choice": place.choice, "step": place.step, "number": place.number().to_string() });
    places().into_iter().map(case).collect()
}

/// Distances below the maximum, and weights, at several temperatures.
fn weight_cases() -> Result<Value, String> {
    let distances = [
        0,
        1,
        2,
        2047,
        2048,
        2049,
        65_535,
        65_536,
        65_537,
        131_070,
        131_071,
        720_895,
        720_896,
        1_376_256,
        1_408_000,
        1_441_791,
        1_441_792,
        2_883_583,
        4_000_000,
        i32::MAX,
    ];
    let logits: Vec<i32> = distances.iter().map(|distance| -distance).collect();
    let case = |temperature: u32| {
        let parameters = checked(warm(temperature))?;
        let step = Step {
            logits: &logits,
            counts: &Counts::new(),
            allowed: None,
            place: Place {
                seed: [0; 32],
                choice: 0,
                step: 0,
            },
        };
        let observed = reference::sample(&parameters, &step).map_err(|error| error.to_string())?;
        Ok(
            json!({ "temperature": temperature, "distances": distances, "weights": observed.weights }),
        )
    };
    let temperatures = [
        1, 2, 3, 999, 100_000, 333_333, 700_000, 999_999, ONE, 1_000_001, 1_500_000, 1_999_999,
        2_000_000,
    ];
    temperatures.into_iter().map(case).collect()
}

/// A run of steps, each token counted for those that follow.
struct Run {
    name: &'static str,
    logits: Logits,
    settings: Settings,
    generated: Vec<u32>,
    allowed: Option<Vec<u64>>,
    choice: u32,
    steps: std::ops::Range<u32>,
}

impl Run {
    fn new(name: &'static str, logits: Logits, settings: Settings) -> Self {
        Self {
            name,
            logits,
            settings,
            generated: vec![],
            allowed: None,
            choice: 0,
            steps: 0..12,
        }
    }

    fn value(self) -> Result<Value, String> {
        let (parameters, logits) = (checked(self.settings)?, self.logits.values()?);
        let seed = std::array::from_fn(|index| u8::try_from(index * 7).unwrap_or(0));
        let mut counts: Counts = self.generated.iter().copied().collect();
        let (mut tokens, mut first) = (Some(vec![]), None);
        for number in self.steps.clone() {
            let place = Place {
                seed,
                choice: self.choice,
                step: number,
            };
            let step = Step {
                logits: &logits,
                counts: &counts,
                allowed: self.allowed.as_deref().map(Allowed),
                place,
            };
            match reference::sample(&parameters, &step) {
                Ok(observed) => {
                    counts.add(observed.token);
                    tokens.get_or_insert_default().push(observed.token);
                    first.get_or_insert(observed);
                }
                Err(_) => tokens = None,
            }
        }
        let blocks = first.map(|observed| {
            let largest = |block: &[Option<i64>]| block.iter().copied().flatten().max();
            let maxima: Vec<Option<i64>> = observed.adjusted.chunks(BLOCK).map(largest).collect();
            // 64-bit integers are decimal strings.
            let text = |level: &Vec<u64>| level.iter().map(u64::to_string).collect();
            let levels: Vec<Vec<String>> = observed.tree.iter().skip(1).map(text).collect();
            json!({ "maxima": maxima, "kept": observed.kept.len(), "last_kept": observed.kept.last(), "levels": levels })
        });
        let words = self.allowed.map(|words| {
            words
                .iter()
                .map(|word| format!("{word:016x}"))
                .collect::<Vec<_>>()
        });
        Ok(json!({
            "name": self.name,
            "logits": self.logits.json(),
            "parameters": hex(&parameters.encode()),
            "generated": self.generated,
            "allowed": words,
            "seed": hex(&seed),
            "choice": self.choice,
            "step": self.steps.start,
            "steps": self.steps.len(),
            // null stands for an error.
            "tokens": tokens,
            "first": blocks,
        }))
    }
}

fn step_cases() -> Result<Value, String> {
    let mut runs = plain_runs();
    runs.extend(truncated_runs());
    runs.extend(masked_runs());
    runs.extend(refused_runs());
    runs.into_iter().map(Run::value).collect()
}

/// Three tokens, the first the likeliest.
fn three() -> Logits {
    Logits::Listed(vec![9, 1, 2])
}

fn masked_runs() -> Vec<Run> {
    let logits = || Logits::Rule(257, -65_536, 131_072, 6);
    let allowed = |name, logits, words, settings| Run {
        allowed: Some(words),
        ..Run::new(name, logits, settings)
    };
    let halved = Settings {
        top_p: 500_000,
        ..warm(ONE)
    };
    vec![
        allowed(
            "few are allowed",
            logits(),
            vec![0, 0x8000_0000_0000_0001, 0, 0, 1],
            warm(2 * ONE),
        ),
        allowed(
            "none of the second block",
            logits(),
            vec![u64::MAX, 0, 0, 0, 0],
            halved,
        ),
        Run {
            steps: 0..4,
            ..allowed("allowed, greedy", three(), vec![0b110], warm(0))
        },
        allowed(
            "allowed at the lowest logit",
            Logits::Listed(vec![i32::MIN; 3]),
            vec![0b101],
            warm(ONE),
        ),
    ]
}

/// Runs whose first step is an error.
fn refused_runs() -> Vec<Run> {
    let run = |name, settings| Run {
        steps: 0..1,
        ..Run::new(name, three(), settings)
    };
    let allowed = |name, words| Run {
        allowed: Some(words),
        ..run(name, warm(ONE))
    };
    let biased = Settings {
        logit_bias: vec![(3, 1)],
        ..neutral()
    };
    vec![
        allowed("nothing is allowed", vec![0]),
        allowed("allowed beyond the vocabulary", vec![0b1001]),
        allowed("a bitmap too short", vec![]),
        allowed("a bitmap too long", vec![1, 0]),
        run("a bias beyond the vocabulary", biased),
        Run {
            generated: vec![3],
            ..run("a count beyond the vocabulary", neutral())
        },
    ]
}

fn penalised(temperature: u32) -> Settings {
    Settings {
        frequency_penalty: 333_333,
        presence_penalty: -1_234_567,
        ..warm(temperature)
    }
}

fn plain_runs() -> Vec<Run> {
    let greedy = |name, logits| Run {
        steps: 0..2,
        ..Run::new(name, logits, warm(0))
    };
    let lowest = Logits::Listed(vec![i32::MIN, -i32::MAX]);
    let biases = vec![(3, 9_000_000), (17, -100_000_000), (400, 100_000_000)];
    let everything = Settings {
        top_k: 100,
        top_p: 900_000,
        min_p: 1000,
        logit_bias: biases,
        ..penalised(800_000)
    };
    vec![
        greedy("greedy", WIDE),
        greedy("greedy with ties", TIED),
        greedy("greedy over any i32", EXTREME),
        greedy("greedy, a deep tree", DEEP),
        greedy("the two lowest logits are one", lowest),
        Run::new("one token", Logits::Listed(vec![-7]), warm(ONE)),
        Run::new("neutral", WIDE, warm(ONE)),
        Run::new("the least temperature", TIED, warm(1)),
        Run::new("a low temperature", CLOSE, warm(123_457)),
        Run::new("the greatest temperature", WIDE, warm(2 * ONE)),
        Run::new("any i32", EXTREME, warm(2 * ONE)),
        Run {
            choice: 3,
            ..Run::new("a deep tree", DEEP, warm(ONE))
        },
        Run {
            choice: u32::MAX,
            steps: u32::MAX - 2..u32::MAX,
            ..Run::new("the last places", CLOSE, warm(ONE))
        },
        Run {
            steps: 0..40,
            ..Run::new(
                "penalties grow",
                Logits::Rule(9, 0, 65_536, 8),
                penalised(0),
            )
        },
        Run {
            steps: 0..40,
            generated: vec![3, 3, 3, 599],
            ..Run::new("everything at once", WIDE, everything)
        },
    ]
}

fn truncated_runs() -> Vec<Run> {
    let top_k = |top_k| Settings { top_k, ..warm(ONE) };
    let top_p = |top_p| Settings { top_p, ..warm(ONE) };
    let min_p = |min_p| Settings { min_p, ..warm(ONE) };
    vec![
        Run::new("top_k", CLOSE, top_k(17)),
        Run::new("top_k of one", CLOSE, top_k(1)),
        Run::new("top_k among ties", TIED, top_k(5)),
        Run::new("top_k of more than there are", EXTREME, top_k(1 << 20)),
        Run::new("top_p", CLOSE, top_p(300_000)),
        Run::new("top_p among ties", TIED, top_p(123_456)),
        Run::new("the least top_p", TIED, top_p(1)),
        Run::new("nearly all of top_p", WIDE, top_p(999_999)),
        Run::new("top_p, a deep tree", DEEP, top_p(950_000)),
        Run::new("min_p", CLOSE, min_p(900_000)),
        Run::new("the greatest min_p", TIED, min_p(ONE)),
        Run::new(
            "top_k, then top_p",
            CLOSE,
            Settings {
                top_p: 500_000,
                ..top_k(40)
            },
        ),
        Run::new(
            "top_k, top_p, then min_p",
            WIDE,
            Settings {
                top_k: 60,
                top_p: 990_000,
                min_p: 20_000,
                ..warm(1_300_000)
            },
        ),
    ]
}

fn logprob_cases() -> Result<Value, String> {
    let cases = [
        (Logits::Listed(vec![0]), 0, 1),
        (Logits::Listed(vec![0, 65_536, 0, i32::MIN]), 3, 4),
        (Logits::Listed(vec![i32::MIN, i32::MAX]), 0, 2),
        (WIDE, 599, 20),
        (CLOSE, 0, 5),
        (TIED, 10, 20),
        (EXTREME, 299, 3),
        (DEEP, 65_999, 20),
        (Logits::Rule(256, 0, 1, 0), 255, 0),
    ];
    let case = |(logits, chosen, top): (Logits, u32, usize)| {
        let report = logprobs(&logits.values()?, chosen, top).map_err(|error| error.to_string())?;
        let best: Vec<(u32, i64)> = report
            .top
            .iter()
            .map(|entry| (entry.token, entry.value))
            .collect();
        Ok(
            json!({ "logits": logits.json(), "chosen": chosen, "value": report.chosen.value, "count": top, "top": best }),
        )
    };
    cases.into_iter().map(case).collect()
}
