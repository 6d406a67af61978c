//! Sessions equal the reference run on every value, however their tokens are cut, batched, threaded and computed.

use core::num::NonZeroUsize;
use std::collections::BTreeMap;
use std::sync::Arc;

use credence_testkit::program_gen::{Choices, encoder_model, language_model};

use super::*;
use crate::engine::EVERYTHING;
use crate::reference::{Tokens as Expected, run_tokens};
use crate::{Isa, Options};

fn engine(model: &Arc<Model>, isa: Isa, threads: usize, tile: usize) -> Engine {
    let threads = NonZeroUsize::new(threads).unwrap();
    let engine = Engine::new(Arc::clone(model), Options { threads, isa }).unwrap();
    engine.splitting_everything(tile, EVERYTHING)
}

/// Tokens of a run, and where a token is drawn: the last so many.
struct Run {
    tokens: Vec<u32>,
    sampled: usize,
    expected: Expected,
}

impl Run {
    fn new(model: &Model, choices: &mut Choices) -> Self {
        let language = model.program().spec().language.as_ref().unwrap();
        let len = choices.size(1, language.context);
        let last = language.vocabulary - 1;
        let tokens: Vec<u32> = (0..len).map(|_| choices.size(0, last)).collect();
        let sampled = index(choices.size(0, len));
        let first = tokens.len() - sampled;
        let expected = run_tokens(model, &tokens, |position| position >= first).unwrap();
        Self {
            tokens,
            sampled,
            expected,
        }
    }

    /// How many of some tokens are to be sampled.
    fn sampled_in(&self, range: &core::ops::Range<usize>) -> usize {
        range
            .end
            .saturating_sub(range.start.max(self.tokens.len() - self.sampled))
    }
}

fn check_values(
    model: &Model,
    expected: &Expected,
    (node, position, cells): (NodeId, usize, &[i64]),
    what: &str,
) {
    let expected = &expected.values[position][index(node.0)];
    let first = cells.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        cells == expected,
        "{what}: position {position}, node {:?}: cell {first:?}: {:?} for {:?}",
        model.program().node(node),
        first.map(|at| cells[at]),
        first.map(|at| expected[at]),
    );
}

/// Runs the same tokens in random pieces and compares everything.
fn check_pieces(engine: &Engine, run: &Run, choices: &mut Choices, what: &str) {
    let model = engine.model();
    let logits_node = model.program().spec().language.as_ref().unwrap().logits;
    let mut session = engine.session().unwrap();
    let mut seen = BTreeMap::new();
    let mut drawn = 0;
    while session.len() < run.tokens.len() {
        let start = session.len();
        let most = u32::try_from(run.tokens.len() - start).unwrap();
        let whole = model.program().spec().language.as_ref().unwrap();
        let least = if whole.encoder.is_some() { most } else { 1 };
        let range = start..start + index(choices.size(least, most));
        let mut appends = [Append {
            tokens: &run.tokens[range.clone()],
            sampled: run.sampled_in(&range),
            session: &mut session,
        }];
        let mut sink = |_: usize, position: usize, logits: &[i32]| {
            let logits: Vec<i64> = logits.iter().map(|&logit| logit.into()).collect();
            check_values(model, &run.expected, (logits_node, position, &logits), what);
            drawn += 1;
        };
        let mut observer = |node: NodeId, _: usize, position: usize, cells: &[i64]| {
            check_values(model, &run.expected, (node, position, cells), what);
            *seen.entry((position, node)).or_insert(0) += 1;
        };
        engine
            .advance_observed(&mut appends, &mut sink, &mut observer)
            .unwrap();
    }
    assert_eq!(drawn, run.sampled, "{what}: logits");
    let values = run
        .expected
        .values
        .iter()
        .flatten()
        .filter(|cells| !cells.is_empty());
    assert_eq!(seen.len(), values.count(), "{what}: every value is shown");
    assert!(seen.values().all(|&times| times == 1), "{what}: and once");
    assert_eq!(
        session.trace_root(),
        run.expected.trace_root,
        "{what}: trace root"
    );
}

#[test]
fn every_value_on_every_instruction_set() {
    for seed in 0..150 {
        let model = Arc::new(language_model(seed));
        let mut choices = Choices::new(seed);
        let run = Run::new(&model, &mut choices);
        for isa in Isa::available() {
            let engine = engine(&model, isa, 1, 64);
            check_pieces(&engine, &run, &mut choices, &format!("seed {seed}, {isa}"));
        }
    }
}

#[test]
fn every_value_on_every_thread_count_and_tile() {
    for seed in 1000..1030 {
        let model = Arc::new(language_model(seed));
        let mut choices = Choices::new(seed);
        let run = Run::new(&model, &mut choices);
        let isas = Isa::available();
        for (turn, (threads, tile)) in [(1, 1), (2, 64), (3, 5), (7, 16)].into_iter().enumerate() {
            let isa = isas[(turn + usize::try_from(seed).unwrap()) % isas.len()];
            let engine = engine(&model, isa, threads, tile);
            let what = format!("seed {seed}, {isa}, {threads} threads, tile {tile}");
            check_pieces(&engine, &run, &mut choices, &what);
        }
    }
}

#[test]
fn a_batch_with_strangers_is_each_alone() {
    for seed in 2000..2030 {
        let model = Arc::new(language_model(seed));
        let mut choices = Choices::new(seed);
        let runs: Vec<Run> = (0..4).map(|_| Run::new(&model, &mut choices)).collect();
        let engine = engine(&model, Isa::detect(), 2, 7);
        let mut sessions: Vec<Session> = runs.iter().map(|_| engine.session().unwrap()).collect();
        while sessions
            .iter()
            .zip(&runs)
            .any(|(s, run)| s.len() < run.tokens.len())
        {
            let pairs = sessions.iter_mut().zip(&runs);
            let mut appends: Vec<Append<'_>> = pairs
                .map(|(session, run)| {
                    let start = session.len();
                    let most = u32::try_from(run.tokens.len() - start).unwrap();
                    let range = start..start + index(choices.size(0, most.min(9)));
                    let sampled = run.sampled_in(&range);
                    Append {
                        session,
                        tokens: &run.tokens[range],
                        sampled,
                    }
                })
                .collect();
            engine.advance(&mut appends, &mut |_, _, _| {}).unwrap();
        }
        for (session, run) in sessions.iter().zip(&runs) {
            assert_eq!(session.trace_root(), run.expected.trace_root, "seed {seed}");
        }
    }
}

#[test]
fn every_value_of_encoders() {
    for seed in 0..120 {
        let model = Arc::new(encoder_model(seed));
        let mut choices = Choices::new(seed);
        let run = Run::new(&model, &mut choices);
        for isa in Isa::available() {
            let engine = engine(&model, isa, 1, 64);
            check_pieces(&engine, &run, &mut choices, &format!("seed {seed}, {isa}"));
        }
        // However small the tile, a text is computed as one.
        let isas = Isa::available();
        for (turn, (threads, tile)) in [(3, 5), (7, 1)].into_iter().enumerate() {
            let isa = isas[(turn + usize::try_from(seed).unwrap()) % isas.len()];
            let engine = engine(&model, isa, threads, tile);
            let what = format!("seed {seed}, {isa}, {threads} threads, tile {tile}");
            check_pieces(&engine, &run, &mut choices, &what);
        }
    }
}

#[test]
fn a_batch_of_texts_is_each_alone() {
    for seed in 3000..3030 {
        let model = Arc::new(encoder_model(seed));
        let mut choices = Choices::new(seed);
        let runs: Vec<Run> = (0..5).map(|_| Run::new(&model, &mut choices)).collect();
        let engine = engine(&model, Isa::detect(), 2, 90);
        let mut sessions: Vec<Session> = runs.iter().map(|_| engine.session().unwrap()).collect();
        let pairs = sessions.iter_mut().zip(&runs);
        let mut appends: Vec<Append<'_>> = pairs
            .map(|(session, run)| Append {
                session,
                tokens: &run.tokens,
                sampled: run.sampled,
            })
            .collect();
        engine.advance(&mut appends, &mut |_, _, _| {}).unwrap();
        for (session, run) in sessions.iter().zip(&runs) {
            assert_eq!(session.trace_root(), run.expected.trace_root, "seed {seed}");
        }
    }
}

#[test]
fn an_encoder_takes_a_text_at_once() {
    let model = Arc::new(encoder_model(3));
    let engine = engine(&model, Isa::detect(), 1, 64);
    let mut session = engine.session().unwrap();
    let mut advance = |tokens: &[u32]| {
        let mut appends = [Append {
            session: &mut session,
            tokens,
            sampled: 0,
        }];
        engine.advance(&mut appends, &mut |_, _, _| {})
    };
    assert_eq!(advance(&[]), Ok(()));
    assert_eq!(advance(&[0]), Ok(()));
    assert_eq!(advance(&[]), Ok(()));
    let again = advance(&[0]);
    if model.program().spec().language.as_ref().unwrap().context > 1 {
        assert_eq!(again, Err(SessionError::Whole { got: 1 }));
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let model = Arc::new(language_model(1));
    let language = model.program().spec().language.clone().unwrap();
    let engine = engine(&model, Isa::detect(), 1, 64);
    let mut session = engine.session().unwrap();
    let mut advance = |tokens: &[u32], sampled| {
        let mut appends = [Append {
            session: &mut session,
            tokens,
            sampled,
        }];
        engine.advance(&mut appends, &mut |_, _, _| {})
    };
    let vocabulary = language.vocabulary;
    let context = index(language.context);
    assert_eq!(
        advance(&[vocabulary], 0),
        Err(SessionError::Token {
            got: vocabulary,
            vocabulary
        })
    );
    assert_eq!(
        advance(&vec![0; context + 1], 0),
        Err(SessionError::Context {
            got: context + 1,
            max: context
        })
    );
    assert_eq!(
        advance(&[0], 2),
        Err(SessionError::Sampled { got: 2, tokens: 1 })
    );
    assert_eq!(advance(&vec![0; context], 1), Ok(()));
    assert_eq!(session.len(), context);
    let tensors = Arc::new(credence_testkit::program_gen::model(1));
    let threads = NonZeroUsize::MIN;
    let engine = Engine::new(
        tensors,
        Options {
            threads,
            isa: Isa::detect(),
        },
    )
    .unwrap();
    assert_eq!(engine.session().unwrap_err(), SessionError::NotLanguage);
}

/// The root of sections as a claim commits to them.
fn root_of_bytes(sections: &[Vec<u8>; 4]) -> credence_base::TraceRoot {
    let root =
        |bytes: &Vec<u8>| credence_commit::tree::root(credence_base::domain::TRACE_SECTION, bytes);
    let kinds = [
        SECTION_POSITIONS,
        SECTION_KEYS,
        SECTION_VALUES,
        SECTION_SAMPLED,
    ];
    let all: Vec<_> = kinds
        .into_iter()
        .zip(sections)
        .map(|(kind, bytes)| (kind, bytes.len(), root(bytes)))
        .collect();
    root_of_sections(&all)
}

#[test]
fn a_recording_session_keeps_the_bytes_under_its_root() {
    for seed in 0..20 {
        let model = Arc::new(language_model(seed));
        let engine = engine(&model, Isa::detect(), 1, 64);
        let run = Run::new(&model, &mut Choices::new(seed));
        let mut session = engine.recording_session().unwrap();
        let mut appends = [Append {
            session: &mut session,
            tokens: &run.tokens,
            sampled: run.sampled,
        }];
        engine.advance(&mut appends, &mut |_, _, _| {}).unwrap();
        let sections = session.sections().unwrap();
        assert_eq!(root_of_bytes(&sections), run.expected.trace_root);
        assert_eq!(session.trace_root(), run.expected.trace_root);
        assert_eq!(engine.session().unwrap().sections(), None);
    }
}
