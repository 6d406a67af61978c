//! Small random encoders become programs that stay close to their floats.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exec::{Isa, Options, reference::run_tokens};

use super::*;
use crate::language::{
    Activation, DenseRows, EncoderBlock, EncoderParts, EncoderRun, Linear, Norm, Pooling,
    encoder_fidelity,
};

/// A stream of numbers between −1 and 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bits = i16::try_from((self.0 >> 48) & 0x7fff).unwrap();
        f32::from(bits) / 16_384.0 - 1.0
    }

    fn many(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.next() * scale).collect()
    }

    fn matrix(&mut self, rows: usize, columns: usize, scale: f32) -> Arc<DenseRows> {
        let values = self.many(rows * columns, scale);
        Arc::new(DenseRows::new(rows, columns, values).unwrap())
    }

    fn linear(&mut self, rows: usize, columns: usize) -> Linear {
        let scale = 1.7 / f32::from(u16::try_from(columns).unwrap()).sqrt();
        Linear {
            weight: self.matrix(rows, columns, scale),
            bias: Some(self.many(rows, 0.1)),
        }
    }

    fn norm(&mut self, width: usize) -> Norm {
        Norm {
            gain: self.many(width, 0.4).iter().map(|x| 0.8 + x).collect(),
            bias: Some(self.many(width, 0.2)),
        }
    }
}

const VOCABULARY: usize = 60;
const CONTEXT: usize = 40;

fn parts(seed: u64, (width, heads, hidden): (usize, usize, usize)) -> EncoderParts {
    let mut noise = Noise(seed | 1);
    let blocks = (0..2).map(|_| EncoderBlock {
        q: noise.linear(width, width),
        k: noise.linear(width, width),
        v: noise.linear(width, width),
        out: noise.linear(width, width),
        attention_norm: noise.norm(width),
        up: noise.linear(hidden, width),
        down: noise.linear(width, hidden),
        feed_norm: noise.norm(width),
    });
    let blocks = blocks.collect();
    EncoderParts {
        name: "noise".to_owned(),
        vocabulary: VOCABULARY,
        width,
        context: CONTEXT,
        heads,
        epsilon: 1e-12,
        activation: Activation::Gelu,
        embedding: noise.matrix(VOCABULARY, width, 0.06),
        positions: noise.matrix(CONTEXT, width, 0.02),
        kind: noise.many(width, 0.02),
        embedding_norm: noise.norm(width),
        blocks,
        pooling: Pooling::Mean,
        normalised: true,
        text: vec![1, 2, 3],
    }
}

fn exec(threads: usize) -> Options {
    Options {
        threads: NonZeroUsize::new(threads).unwrap(),
        isa: Isa::detect(),
    }
}

fn texts(seed: u64, count: usize) -> Vec<Vec<u32>> {
    let mut noise = Noise(seed | 1);
    let mut id = |max: u16| {
        let share = (noise.next() + 1.0) / 2.0;
        let at = (share * f32::from(max)).floor();
        (0..max).find(|&n| f32::from(n) >= at).unwrap_or(0)
    };
    let texts = (0..count).map(|_| {
        let len = 1 + id(30);
        (0..len).map(|_| u32::from(id(60))).collect()
    });
    texts.collect()
}

fn options(threads: usize) -> LanguageOptions {
    LanguageOptions {
        context: CONTEXT,
        calibration: texts(7, 24),
        exec: exec(threads),
    }
}

fn graph(parts: EncoderParts) -> EncoderGraph {
    EncoderGraph::new(parts).unwrap()
}

#[test]
fn programs_stay_close_to_their_floats() {
    for (seed, sizes) in [
        (1, (24, 2, 40)),
        (2, (36, 3, 64)),
        (3, (64, 4, 96)),
        (4, (15, 1, 7)),
    ] {
        for (pooling, normalised) in [(Pooling::Mean, true), (Pooling::First, false)] {
            let mut parts = parts(seed, sizes);
            (parts.pooling, parts.normalised) = (pooling, normalised);
            let graph = graph(parts);
            let made = import_encoder(&graph, &options(1)).unwrap();
            let model = Arc::new(made.model);
            let report =
                encoder_fidelity(&graph, &model, &texts(99, 20), exec(1), &mut |_| {}).unwrap();
            let what = format!("seed {seed}, {pooling:?}: {report:?}");
            assert!(report.cosine_mean > 0.9985, "{what}");
            assert!(report.cosine_min > 0.995, "{what}");
        }
    }
}

/// The embedding in real numbers, by the decoding that the program says.
fn decoded(model: &Arc<Model>, tokens: &[u32]) -> Vec<f64> {
    let engine = Engine::new(Arc::clone(model), exec(1)).unwrap();
    let mut session = engine.session().unwrap();
    let mut cells = Vec::new();
    let mut appends = [Append {
        session: &mut session,
        tokens,
        sampled: 1,
    }];
    engine
        .advance(&mut appends, &mut |_, _, got: &[i32]| cells = got.to_vec())
        .unwrap();
    let language = model.program().spec().language.clone().unwrap();
    let Some(credence_model::Decode::Scale { multiplier, shift }) =
        language.encoder.map(|encoder| encoder.decode)
    else {
        return Vec::new();
    };
    let unit = f64::from(multiplier) * crate::number::pow2(-shift);
    cells.iter().map(|&cell| f64::from(cell) * unit).collect()
}

#[test]
fn decoded_embeddings_are_the_floats_in_size_too() {
    for normalised in [true, false] {
        for pooling in [Pooling::Mean, Pooling::First] {
            let mut parts = parts(5, (64, 4, 96));
            (parts.pooling, parts.normalised) = (pooling, normalised);
            let graph = graph(parts);
            let model = Arc::new(import_encoder(&graph, &options(1)).unwrap().model);
            for tokens in texts(31, 5) {
                let float = EncoderRun::new(&graph).embedding(&tokens).unwrap();
                let exact = decoded(&model, &tokens);
                let length = exact.iter().map(|x| x * x).sum::<f64>().sqrt();
                if normalised {
                    assert!((length - 1.0).abs() < 1e-3, "{length}");
                }
                let size = float
                    .iter()
                    .fold(0.0_f64, |max, x| max.max(f64::from(x.abs())));
                for (a, b) in float.iter().zip(&exact) {
                    let error = (f64::from(*a) - b).abs();
                    assert!(error < 0.06 * size, "{pooling:?}, {normalised}: {a}, {b}");
                }
            }
        }
    }
}

#[test]
fn engine_and_reference_agree_on_an_imported_encoder() {
    let graph = graph(parts(6, (24, 2, 40)));
    let model = Arc::new(import_encoder(&graph, &options(1)).unwrap().model);
    let engine = Engine::new(Arc::clone(&model), exec(2)).unwrap();
    for tokens in texts(41, 4) {
        let expected = run_tokens(&model, &tokens, |p| p + 1 == tokens.len()).unwrap();
        let mut session = engine.session().unwrap();
        let mut appends = [Append {
            session: &mut session,
            tokens: &tokens,
            sampled: 1,
        }];
        engine.advance(&mut appends, &mut |_, _, _| {}).unwrap();
        assert_eq!(session.trace_root(), expected.trace_root);
    }
}

#[test]
fn no_number_of_threads_changes_the_model() {
    let graph = graph(parts(8, (24, 2, 40)));
    let one = import_encoder(&graph, &options(1)).unwrap();
    for threads in [2, 5] {
        let more = import_encoder(&graph, &options(threads)).unwrap();
        assert_eq!(more.model.id(), one.model.id());
        assert_eq!((more.units, more.pool), (one.units.clone(), one.pool));
    }
}

#[test]
fn a_later_token_changes_the_first_ones_vector() {
    // What makes it an encoder: a causal model's first position would not move.
    let mut parts = parts(9, (24, 2, 40));
    parts.pooling = Pooling::First;
    let graph = graph(parts);
    let model = Arc::new(import_encoder(&graph, &options(1)).unwrap().model);
    assert_ne!(decoded(&model, &[1, 2, 3]), decoded(&model, &[1, 2, 4]));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refused = |change: fn(&mut EncoderParts), words: &str| {
        let mut parts = parts(1, (24, 2, 40));
        change(&mut parts);
        let error = match EncoderGraph::new(parts) {
            Err(error) => error.to_string(),
            Ok(graph) => import_encoder(&graph, &options(1)).unwrap_err().to_string(),
        };
        assert!(error.contains(words), "{error}");
    };
    refused(|p| p.heads = 5, "multiple of 5");
    refused(|p| p.epsilon = 0.0, "epsilon");
    refused(|p| p.kind.truncate(3), "kinds");
    refused(|p| p.blocks.clear(), "number of blocks");
    refused(|p| p.embedding_norm.gain[2] = -0.5, "negative gain");
    refused(|p| p.context = 20, "positions");
    refused(|p| p.blocks[1].q.bias = Some(vec![0.0; 3]), "queries");
    refused(
        |p| p.blocks[0].down.weight = Arc::new(DenseRows::new(24, 3, vec![0.0; 72]).unwrap()),
        "down",
    );
    refused(
        |p| {
            let values = vec![f32::NAN; 24 * 24];
            p.blocks[0].k.weight = Arc::new(DenseRows::new(24, 24, values).unwrap());
        },
        "not a finite number",
    );
    let graph = graph(parts(1, (24, 2, 40)));
    let mut none = options(1);
    none.calibration.clear();
    assert!(
        import_encoder(&graph, &none)
            .unwrap_err()
            .to_string()
            .contains("no tokens")
    );
    let mut long = options(1);
    long.context = CONTEXT + 1;
    assert!(
        import_encoder(&graph, &long)
            .unwrap_err()
            .to_string()
            .contains("trained on 40")
    );
}
