//! The float run against plain loops in f64, on small random models of every shape; and what it refuses.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::language::{DenseRows, Head, LanguageError, LanguageParts, Rope, Softcaps, TextSource};

/// A stream of numbers in −1..1 that looks random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f32::from(u16::try_from(self.0 >> 48).unwrap()) / 32768.0 - 1.0
    }

    fn vector(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.next()).collect()
    }

    fn matrix(&mut self, rows: usize, columns: usize) -> Arc<dyn Rows> {
        let values = self
            .vector(rows * columns)
            .into_iter()
            .map(|x| x * 0.4)
            .collect();
        Arc::new(DenseRows::new(rows, columns, values).unwrap())
    }

    fn linear(&mut self, rows: usize, columns: usize, biased: bool) -> Linear {
        let weight = self.matrix(rows, columns);
        let bias = biased.then(|| self.vector(rows));
        Linear { weight, bias }
    }

    fn norm(&mut self, width: usize, biased: bool) -> Norm {
        let gain = self
            .vector(width)
            .into_iter()
            .map(|x| 1.0 + 0.3 * x)
            .collect();
        let bias = biased.then(|| self.vector(width));
        Norm { gain, bias }
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::language) struct Family {
    pub(in crate::language) gated: bool,
    pub(in crate::language) biased: bool,
    pub(in crate::language) learned: bool,
    pub(in crate::language) normed_heads: bool,
    pub(in crate::language) post_norms: bool,
    pub(in crate::language) layer: bool,
    pub(in crate::language) tied: bool,
    pub(in crate::language) caps: bool,
    pub(in crate::language) window: Option<usize>,
    pub(in crate::language) activation: Activation,
}

const CONTEXT: usize = 40;

fn position(family: Family, numbers: &mut Numbers, width: usize) -> Position {
    let rope = |base: f32, dims: usize, factors: Option<Vec<f32>>| Rope {
        base,
        dims,
        factors,
        linear: 2.0,
    };
    if family.learned {
        Position::Learned(numbers.matrix(CONTEXT, width))
    } else {
        Position::Rope(vec![
            rope(100.0, 4, None),
            rope(1e4, 6, Some(vec![1.0, 2.0, 8.0])),
        ])
    }
}

pub(in crate::language) fn model(family: Family, seed: u64) -> LanguageParts {
    let mut numbers = Numbers(seed);
    let (vocabulary, width, heads, kv_heads, head_width, inner) = (23, 12, 4, 2, 6, 18);
    let blocks = (0..2).map(|index| Block {
        attention: Attention {
            norm: numbers.norm(width, family.biased),
            q: numbers.linear(heads * head_width, width, family.biased),
            k: numbers.linear(kv_heads * head_width, width, family.biased),
            v: numbers.linear(kv_heads * head_width, width, family.biased),
            out: numbers.linear(width, heads * head_width, family.biased),
            q_norm: family.normed_heads.then(|| numbers.vector(head_width)),
            k_norm: family.normed_heads.then(|| numbers.vector(head_width)),
            post_norm: family.post_norms.then(|| numbers.norm(width, false)),
            window: family.window.filter(|_| index == 0),
            rope: if family.learned { 0 } else { index },
        },
        feed: Feed {
            norm: numbers.norm(width, family.biased),
            gate: family
                .gated
                .then(|| numbers.linear(inner, width, family.biased)),
            up: numbers.linear(inner, width, family.biased),
            down: numbers.linear(width, inner, family.biased),
            post_norm: family.post_norms.then(|| numbers.norm(width, false)),
        },
    });
    let blocks = blocks.collect();
    LanguageParts {
        name: "tiny".to_owned(),
        vocabulary,
        width,
        context: CONTEXT,
        heads,
        kv_heads,
        head_width,
        attention_scale: 0.4,
        norm: if family.layer {
            NormKind::Layer
        } else {
            NormKind::Rms
        },
        epsilon: 1e-5,
        position: position(family, &mut numbers, width),
        activation: family.activation,
        gated: family.gated,
        embedding: numbers.matrix(vocabulary, width),
        embedding_scale: 1.5,
        blocks,
        final_norm: numbers.norm(width, family.biased),
        head: if family.tied {
            Head::Tied
        } else {
            Head::Own(numbers.matrix(vocabulary, width))
        },
        softcaps: Softcaps {
            attention: family.caps.then_some(0.5),
            logits: family.caps.then_some(3.0),
        },
        text: TextSource {
            tokens: vec![String::new(); vocabulary],
            ..TextSource::default()
        },
    }
}

/// The same model in f64, one token after the other, written as the formulas stand.
mod plain {
    use super::*;

    fn times(linear: &Linear, x: &[f64]) -> Vec<f64> {
        let mut row = vec![0.0_f32; linear.weight.columns()];
        (0..linear.weight.rows())
            .map(|r| {
                linear.weight.read(r, &mut row);
                let sum: f64 = row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum();
                sum + linear.bias.as_ref().map_or(0.0, |bias| f64::from(bias[r]))
            })
            .collect()
    }

    fn norm(norm: &Norm, kind: NormKind, x: &[f64]) -> Vec<f64> {
        let count = f64::from(u32::try_from(x.len()).unwrap());
        let mean = if kind == NormKind::Layer {
            x.iter().sum::<f64>() / count
        } else {
            0.0
        };
        let square: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
        let scale = (square / count + f64::from(1e-5_f32)).sqrt();
        x.iter()
            .enumerate()
            .map(|(i, x)| {
                let bias = norm.bias.as_ref().map_or(0.0, |bias| f64::from(bias[i]));
                (x - mean) / scale * f64::from(norm.gain[i]) + bias
            })
            .collect()
    }

    fn heads(
        x: &[f64],
        width: usize,
        gain: Option<&Vec<f32>>,
        rope: Option<&Rope>,
        position: usize,
    ) -> Vec<Vec<f64>> {
        let place = f64::from(u32::try_from(position).unwrap());
        x.chunks(width)
            .map(|head| {
                let mut head = gain.map_or(head.to_vec(), |gain| {
                    norm(
                        &Norm {
                            gain: gain.clone(),
                            bias: None,
                        },
                        NormKind::Rms,
                        head,
                    )
                });
                let Some(rope) = rope else { return head };
                let half = rope.dims / 2;
                for i in 0..half {
                    let factor = rope.factors.as_ref().map_or(1.0, |f| f64::from(f[i]));
                    let exponent = -f64::from(u32::try_from(2 * i).unwrap())
                        / f64::from(u32::try_from(rope.dims).unwrap());
                    let angle = place / f64::from(rope.linear)
                        * f64::from(rope.base).powf(exponent)
                        / factor;
                    let (a, b) = (head[i], head[i + half]);
                    head[i] = a * angle.cos() - b * angle.sin();
                    head[i + half] = b * angle.cos() + a * angle.sin();
                }
                head
            })
            .collect()
    }

    fn activate(function: Activation, x: f64) -> f64 {
        match function {
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::GeluTanh => {
                0.5 * x
                    * (1.0
                        + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }
            Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x / 2.0_f64.sqrt())),
        }
    }

    fn cap(x: f64, cap: Option<f32>) -> f64 {
        cap.map_or(x, |c| f64::from(c) * (x / f64::from(c)).tanh())
    }

    fn attention(graph: &LanguageParts, block: &Block, stream: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let a = &block.attention;
        let rope = match &graph.position {
            Position::Rope(ropes) => Some(&ropes[a.rope]),
            Position::Learned(_) => None,
        };
        let width = graph.head_width;
        let mut all = Vec::new();
        for (p, x) in stream.iter().enumerate() {
            let x = norm(&a.norm, graph.norm, x);
            all.push((
                heads(&times(&a.q, &x), width, a.q_norm.as_ref(), rope, p),
                heads(&times(&a.k, &x), width, a.k_norm.as_ref(), rope, p),
                heads(&times(&a.v, &x), width, None, None, p),
            ));
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        (0..stream.len())
            .map(|p| {
                let mut joined = Vec::new();
                for h in 0..graph.heads {
                    let kv = h / (graph.heads / graph.kv_heads);
                    let seen: Vec<usize> = (0..=p)
                        .filter(|j| a.window.is_none_or(|w| p - j < w))
                        .collect();
                    let scores = seen.iter().map(|&j| {
                        let score =
                            dot(&all[p].0[h], &all[j].1[kv]) * f64::from(graph.attention_scale);
                        cap(score, graph.softcaps.attention).exp()
                    });
                    let scores: Vec<f64> = scores.collect();
                    let sum: f64 = scores.iter().sum();
                    for d in 0..width {
                        let mix: f64 = seen
                            .iter()
                            .zip(&scores)
                            .map(|(&j, s)| s * all[j].2[kv][d])
                            .sum();
                        joined.push(mix / sum);
                    }
                }
                let out = times(&a.out, &joined);
                a.post_norm
                    .as_ref()
                    .map_or(out.clone(), |post| norm(post, graph.norm, &out))
            })
            .collect()
    }

    fn feed(graph: &LanguageParts, f: &Feed, x: &[f64]) -> Vec<f64> {
        let x = norm(&f.norm, graph.norm, x);
        let up = times(&f.up, &x);
        let inner: Vec<f64> = match &f.gate {
            Some(gate) => {
                let gate = times(gate, &x);
                up.iter()
                    .zip(gate)
                    .map(|(u, g)| u * activate(graph.activation, g))
                    .collect()
            }
            None => up.iter().map(|&u| activate(graph.activation, u)).collect(),
        };
        let out = times(&f.down, &inner);
        f.post_norm
            .as_ref()
            .map_or(out.clone(), |post| norm(post, graph.norm, &out))
    }

    pub(super) fn logits(graph: &LanguageParts, tokens: &[u32]) -> Vec<Vec<f64>> {
        let mut row = vec![0.0_f32; graph.width];
        let mut stream: Vec<Vec<f64>> = Vec::new();
        for (p, &token) in tokens.iter().enumerate() {
            graph
                .embedding
                .read(usize::try_from(token).unwrap(), &mut row);
            let mut x: Vec<f64> = row
                .iter()
                .map(|&x| f64::from(x) * f64::from(graph.embedding_scale))
                .collect();
            if let Position::Learned(table) = &graph.position {
                table.read(p, &mut row);
                x.iter_mut()
                    .zip(&row)
                    .for_each(|(x, &add)| *x += f64::from(add));
            }
            stream.push(x);
        }
        for block in &graph.blocks {
            let adds = attention(graph, block, &stream);
            for (x, add) in stream.iter_mut().zip(adds) {
                x.iter_mut().zip(add).for_each(|(x, add)| *x += add);
                let fed = feed(graph, &block.feed, x);
                x.iter_mut().zip(fed).for_each(|(x, add)| *x += add);
            }
        }
        let weight = match &graph.head {
            Head::Tied => graph.embedding.clone(),
            Head::Own(own) => own.clone(),
        };
        let head = Linear { weight, bias: None };
        stream
            .iter()
            .map(|x| {
                let logits = times(&head, &norm(&graph.final_norm, graph.norm, x));
                logits
                    .into_iter()
                    .map(|x| cap(x, graph.softcaps.logits))
                    .collect()
            })
            .collect()
    }
}

fn largest_difference(parts: LanguageParts, tokens: &[u32]) -> f64 {
    let expected = plain::logits(&parts, tokens);
    let graph = LanguageGraph::new(parts).unwrap();
    let positions: Vec<usize> = (0..tokens.len()).rev().collect();
    let got = FloatRun::new(&graph).logits(tokens, &positions).unwrap();
    let mut largest = 0.0_f64;
    for (logits, &position) in got.iter().zip(&positions) {
        for (got, expected) in logits.iter().zip(&expected[position]) {
            largest = largest.max((f64::from(*got) - expected).abs());
        }
    }
    largest
}

prop_compose! {
    fn families()(
        flags in prop::array::uniform8(any::<bool>()),
        window in prop::option::of(1_usize..12),
        activation in prop::sample::select(vec![Activation::Silu, Activation::GeluTanh, Activation::Gelu]),
    ) -> Family {
        let [gated, biased, learned, normed_heads, post_norms, layer, tied, caps] = flags;
        Family { gated, biased, learned, normed_heads, post_norms, layer, tied, caps, window, activation }
    }
}

pub(in crate::language) const LLAMA: Family = Family {
    gated: true,
    biased: false,
    learned: false,
    normed_heads: false,
    post_norms: false,
    layer: false,
    tied: true,
    caps: false,
    window: None,
    activation: Activation::Silu,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_family_equals_the_formulas_in_f64(
        family in families(),
        seed in any::<u64>(),
        tokens in prop::collection::vec(0_u32..23, 1..CONTEXT),
    ) {
        let largest = largest_difference(model(family, seed), &tokens);
        prop_assert!(largest < 2e-3, "{largest}");
    }
}

/// The failing twin of the comparison: every part matters to the logits.
#[test]
fn a_model_that_differs_in_one_part_gives_other_logits() {
    let family = Family {
        window: Some(3),
        caps: true,
        biased: true,
        normed_heads: true,
        ..LLAMA
    };
    let tokens: Vec<u32> = (0..30).map(|i| (i * 7) % 23).collect();
    let base = plain::logits(&model(family, 5), &tokens);
    let changes: [fn(&mut LanguageParts); 9] = [
        |p| p.attention_scale *= 1.1,
        |p| p.embedding_scale *= 1.1,
        |p| p.activation = Activation::GeluTanh,
        |p| p.norm = NormKind::Layer,
        |p| p.softcaps.attention = None,
        |p| p.softcaps.logits = None,
        |p| p.blocks[0].attention.window = Some(4),
        |p| p.blocks[0].attention.rope = 1,
        |p| p.blocks[1].attention.q_norm = None,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut parts = model(family, 5);
        change(&mut parts);
        let graph = LanguageGraph::new(parts).unwrap();
        let got = FloatRun::new(&graph).logits(&tokens, &[29]).unwrap();
        let largest = got[0]
            .iter()
            .zip(&base[29])
            .map(|(a, b)| (f64::from(*a) - b).abs());
        assert!(largest.fold(0.0, f64::max) > 1e-3, "change {index}");
    }
}

#[test]
fn positions_come_in_the_order_asked_for_and_may_repeat() {
    let graph = LanguageGraph::new(model(LLAMA, 1)).unwrap();
    let run = FloatRun::new(&graph);
    let tokens = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    let all = run.logits(&tokens, &[3, 9, 3]).unwrap();
    assert_eq!(all[0], all[2]);
    assert_ne!(all[0], all[1]);
    // Later tokens change nothing before them.
    let short = run.logits(&tokens[..4], &[3]).unwrap();
    for (a, b) in short[0].iter().zip(&all[0]) {
        assert!((a - b).abs() < 1e-5);
    }
    assert!(run.logits(&tokens, &[]).unwrap().is_empty());
}

#[test]
fn threads_change_no_bit() {
    let graph = LanguageGraph::new(model(LLAMA, 2)).unwrap();
    let tokens: Vec<u32> = (0..37).map(|i| (i * 5) % 23).collect();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let run = || FloatRun::new(&graph).logits(&tokens, &[0, 20, 36]).unwrap();
        pool.unwrap().install(run)
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn runs_that_cannot_be_are_refused() {
    let graph = LanguageGraph::new(model(LLAMA, 1)).unwrap();
    let run = FloatRun::new(&graph);
    assert_eq!(run.logits(&[], &[]), Err(FloatError::Empty));
    let long = vec![0; CONTEXT + 1];
    assert_eq!(
        run.logits(&long, &[]),
        Err(FloatError::TooLong {
            max: CONTEXT,
            got: CONTEXT + 1
        })
    );
    assert_eq!(
        run.logits(&[0, 23], &[]),
        Err(FloatError::Token {
            index: 1,
            got: 23,
            count: 23
        })
    );
    assert_eq!(
        run.logits(&[0], &[1]),
        Err(FloatError::Position { got: 1, count: 1 })
    );
    let mut parts = model(LLAMA, 1);
    parts.head = Head::Own(Arc::new(
        DenseRows::new(23, 12, vec![f32::NAN; 23 * 12]).unwrap(),
    ));
    let graph = LanguageGraph::new(parts).unwrap();
    assert_eq!(
        FloatRun::new(&graph).logits(&[0], &[0]),
        Err(FloatError::NotFinite { position: 0 })
    );
}

type Change = fn(&mut LanguageParts);

fn small() -> Arc<dyn Rows> {
    Arc::new(DenseRows::new(1, 1, vec![0.0]).unwrap())
}

/// Changes to sound parts, and what is then said.
const UNFIT: &[(Change, &str)] = &[
    (|p| p.vocabulary = 0, "vocabulary must be from 1"),
    (
        |p| p.width = 11,
        "the embedding: the matrix must have 23 rows of 11, but has 23 of 12",
    ),
    (|p| p.context = usize::MAX, "context"),
    (|p| p.kv_heads = 3, "multiple of 3"),
    (|p| p.kv_heads = 8, "key heads must be from 1 to 4"),
    (|p| p.head_width = usize::MAX, "head width"),
    (|p| p.blocks.clear(), "number of blocks"),
    (
        |p| p.attention_scale = f32::NAN,
        "attention scale must be positive",
    ),
    (|p| p.epsilon = 0.0, "epsilon"),
    (|p| p.softcaps.logits = Some(-1.0), "soft limit on logits"),
    (
        |p| p.blocks[1].attention.rope = 2,
        "block 1 uses rotation 2, but the model has 2",
    ),
    (|p| p.blocks[1].attention.window = Some(0), "window"),
    (
        |p| p.blocks[1].attention.k.weight = small(),
        "block 1: k: the matrix",
    ),
    (
        |p| p.blocks[0].attention.q_norm = Some(vec![0.0]),
        "block 0: the norm of q must have 6 elements",
    ),
    (
        |p| p.blocks[0].feed.gate = None,
        "block 0: the gate must be there, but is absent",
    ),
    (
        |p| p.blocks[0].feed.up.bias = Some(vec![f32::INFINITY; 18]),
        "up's bias has inf at element 0",
    ),
    (
        |p| p.final_norm.gain[3] = f32::NAN,
        "the final norm has NaN at element 3",
    ),
    (|p| p.text.tokens.clear(), "list of tokens must have 23"),
    (|p| p.text.special.end = Some(23), "`end` has id 23"),
    (
        |p| {
            if let Position::Rope(ropes) = &mut p.position {
                ropes[0].dims = 3;
            }
        },
        "multiple of 2",
    ),
    (
        |p| {
            if let Position::Rope(ropes) = &mut p.position {
                ropes[1].factors = Some(vec![1.0]);
            }
        },
        "factors of the rotation must have 3",
    ),
];

#[test]
fn parts_that_do_not_fit_are_refused_by_name() {
    let family = Family {
        biased: true,
        normed_heads: true,
        post_norms: true,
        ..LLAMA
    };
    let check = |parts: LanguageParts| -> Result<LanguageGraph, LanguageError> {
        LanguageGraph::new(parts)
    };
    check(model(family, 3)).unwrap();
    for (change, expected) in UNFIT {
        let mut parts = model(family, 3);
        change(&mut parts);
        let message = check(parts).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}: {expected}");
    }
}
