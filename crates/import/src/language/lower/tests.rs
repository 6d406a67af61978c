//! Whole imports of small models: what threads must not change, and that feedback reaches every product.

use core::num::NonZeroUsize;

use credence_exec::Isa;

use super::*;
use crate::language::float::tests::{Family, LLAMA, model};
use crate::language::{DenseRows, Feed, LanguageParts, language_fidelity};

fn options(threads: usize) -> LanguageOptions {
    let tokens = |step: u32| (0..30).map(|at| (at * step + at * at) % 23).collect();
    LanguageOptions {
        context: 40,
        calibration: vec![tokens(7), Vec::new(), tokens(5), vec![3]],
        exec: Options {
            threads: NonZeroUsize::new(threads).unwrap(),
            isa: Isa::detect(),
        },
    }
}

fn imported(parts: LanguageParts, threads: usize) -> Result<ImportedLanguage, LanguageLowerError> {
    imported_with(parts, &options(threads))
}

fn imported_with(
    parts: LanguageParts,
    options: &LanguageOptions,
) -> Result<ImportedLanguage, LanguageLowerError> {
    let graph = crate::language::LanguageGraph::new(parts).unwrap();
    let threads = options.exec.threads.get();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let import = || import_language(&graph, b"no text", options);
    pool.unwrap().install(import)
}

const FAMILIES: [Family; 3] = [
    LLAMA,
    Family {
        biased: true,
        layer: true,
        learned: true,
        gated: false,
        ..LLAMA
    },
    Family {
        normed_heads: true,
        post_norms: true,
        tied: true,
        ..LLAMA
    },
];

#[test]
fn no_number_of_threads_changes_the_model() {
    for family in FAMILIES {
        let one = imported(model(family, 3), 1).unwrap();
        for threads in [2, 3, 7] {
            let more = imported(model(family, 3), threads).unwrap();
            assert_eq!(
                more.model.id(),
                one.model.id(),
                "{family:?}, {threads} threads"
            );
            assert_eq!(more.units, one.units);
        }
    }
}

#[test]
fn no_instruction_set_changes_the_model() {
    for family in FAMILIES {
        let one = imported(model(family, 3), 1).unwrap();
        for isa in Isa::available() {
            let mut options = options(2);
            options.exec.isa = isa;
            let forced = imported_with(model(family, 3), &options).unwrap();
            assert_eq!(forced.model.id(), one.model.id(), "{family:?}, {isa}");
        }
    }
}

#[test]
fn what_products_read_is_collected_for_every_product_and_token() {
    for family in FAMILIES {
        let graph = crate::language::LanguageGraph::new(model(family, 3)).unwrap();
        let nearest = Weights::new(&graph).unwrap();
        let source = Source {
            graph: &graph,
            weights: &nearest,
            text: b"no text",
            context: 40,
        };
        let units = vec![COARSE; 2];
        let (spec, params) = program(&source, &units).unwrap();
        let program = Arc::new(Model::from_shared(spec, params).unwrap());
        let collected = collect(&program, &options(2), 2).unwrap();
        let widths = [12, 24, 12, 18];
        for inputs in &collected.blocks {
            for (inputs, width) in inputs.iter().zip(widths) {
                assert_eq!((inputs.width, inputs.cells.len()), (width, 61 * width));
                assert!(inputs.cells.iter().any(|&cell| cell.abs() == 127));
            }
        }
        assert_eq!(
            (collected.head.width, collected.head.cells.len()),
            (12, 61 * 12)
        );
        let before = nearest
            .blocks
            .iter()
            .map(|block| block.all().map(|m| m.weights.to_vec()));
        let before: Vec<_> = before.collect();
        let head = nearest.head.weights.to_vec();
        let after = nearest.fed_back(&graph, collected).unwrap();
        for (before, block) in before.iter().zip(&after.blocks) {
            for (before, after) in before.iter().zip(block.all()) {
                assert_ne!(
                    before[..],
                    after.weights[..],
                    "feedback changes some weight"
                );
                assert_eq!(before.len(), after.weights.len());
            }
        }
        assert_ne!(head[..], after.head.weights[..]);
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut parts = model(LLAMA, 3);
        let Feed { down, .. } = &mut parts.blocks[1].feed;
        let mut values = vec![0.5; 12 * 18];
        values[40] = bad;
        down.weight = Arc::new(DenseRows::new(12, 18, values).unwrap());
        let refused = imported(parts, 1).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "block 1, down holds a weight that is not a finite number"
        );
    }
}

#[test]
fn matrices_of_zeros_and_large_weights_are_imported() {
    for size in [0.0, 1e-6, 300.0] {
        let mut parts = model(LLAMA, 3);
        let weight = Arc::new(DenseRows::new(12, 18, vec![size; 12 * 18]).unwrap());
        parts.blocks[0].feed.down.weight = weight;
        imported(parts, 2).unwrap();
    }
}

/// Gains of −1 to 1 in every norm: what they multiply has to keep its sign.
#[test]
fn gains_keep_their_signs() {
    let family = FAMILIES[2];
    for seed in [3, 4, 5] {
        let graph = crate::language::LanguageGraph::new(model(family, seed)).unwrap();
        let exact = import_language(&graph, b"no text", &options(2)).unwrap();
        let texts = options(1).calibration;
        let texts: Vec<_> = texts.into_iter().filter(|t| t.len() > 1).collect();
        let model = Arc::new(exact.model);
        let quiet = &mut |_| {};
        let got = language_fidelity(&graph, &model, &texts, options(2).exec, quiet).unwrap();
        assert!(got.divergence < 0.02, "{seed}: {got:?}");
    }
}

/// Names of the nodes, among those whose names end so, that reach their clamp somewhere.
fn clamped(model: &Arc<Model>, parts: &[&str], tokens: &[u32]) -> Vec<String> {
    let engine = Engine::new(Arc::clone(model), options(1).exec).unwrap();
    let mut session = engine.session().unwrap();
    let mut appends = [Append {
        session: &mut session,
        tokens,
        sampled: tokens.len(),
    }];
    let mut found = Vec::new();
    let name = |node: NodeId| {
        let (_, spec, _) = model
            .program()
            .nodes()
            .find(|(id, _, _)| *id == node)
            .unwrap();
        spec.name.clone()
    };
    let mut observer = |node: NodeId, _: usize, _: usize, cells: &[i64]| {
        let name = name(node);
        let limit = if name.ends_with("product") {
            i64::from(PRODUCT_MAX)
        } else {
            32_767
        };
        if cells.iter().any(|cell| cell.abs() >= limit) {
            found.push(name);
        }
    };
    let wanted = |node: NodeId| parts.iter().any(|part| name(node).ends_with(part));
    engine
        .advance_watching(&mut appends, &mut |_, _, _| {}, &wanted, &mut observer)
        .unwrap();
    found
}

/// A row of `up` in the second half of the neurons, in the last block, many times what the others are: units must leave room for it at every token,
/// gated or not.
#[test]
fn no_value_of_the_calibration_is_at_its_clamp() {
    for family in FAMILIES {
        let mut parts = model(family, 3);
        let mut values = vec![0.0; 18 * 12];
        parts.blocks[1].feed.up.weight.read(0, &mut values[..12]);
        for row in 0..18 {
            let out = &mut values[row * 12..(row + 1) * 12];
            parts.blocks[1].feed.up.weight.read(row, out);
            if row == 16 {
                out.iter_mut().for_each(|cell| *cell *= 64.0);
            }
        }
        let weight = Arc::new(DenseRows::new(18, 12, values).unwrap());
        parts.blocks[1].feed.up.weight = weight;
        let exact = Arc::new(imported(parts, 1).unwrap().model);
        for tokens in options(1).calibration.iter().filter(|t| !t.is_empty()) {
            let found = clamped(&exact, &[".gate_up", ".product"], tokens);
            assert_eq!(found, Vec::<String>::new(), "{family:?}");
        }
    }
}

/// Large negative gates leave nothing of a product, whose unit would be finer than its factors' together.
#[test]
fn products_of_large_factors_that_stay_small_have_a_unit() {
    let mut parts = model(LLAMA, 3);
    let feed = &mut parts.blocks[0].feed;
    let gate = feed.gate.as_mut().unwrap();
    gate.weight = Arc::new(DenseRows::new(18, 12, vec![0.0; 18 * 12]).unwrap());
    gate.bias = Some(vec![-150.0; 18]);
    feed.up.weight = gate.weight.clone();
    feed.up.bias = Some(vec![150.0; 18]);
    imported(parts, 1).unwrap();
}

/// Attention that was cut away in the first block says nothing of the others.
#[test]
fn a_block_without_queries_does_not_coarsen_the_others() {
    let whole = imported(model(LLAMA, 3), 1).unwrap();
    let mut parts = model(LLAMA, 3);
    let attention = &mut parts.blocks[0].attention;
    for linear in [&mut attention.q, &mut attention.k, &mut attention.v] {
        let (rows, columns) = (linear.weight.rows(), linear.weight.columns());
        let zeros = DenseRows::new(rows, columns, vec![0.0; rows * columns]).unwrap();
        linear.weight = Arc::new(zeros);
    }
    let cut = imported(parts, 1).unwrap();
    assert!(cut.units[1].q + 2 >= whole.units[1].q, "{:?}", cut.units);
    assert!(cut.units[1].k + 2 >= whole.units[1].k, "{:?}", cut.units);
}

#[test]
fn what_is_too_wide_for_a_relation_is_refused_by_name() {
    let mut parts = model(LLAMA, 3);
    let hidden = 8_309;
    let zeros =
        |rows, columns| Arc::new(DenseRows::new(rows, columns, vec![0.0; rows * columns]).unwrap());
    for block in &mut parts.blocks {
        let feed = &mut block.feed;
        feed.gate.as_mut().unwrap().weight = zeros(hidden, 12);
        feed.up.weight = zeros(hidden, 12);
        feed.down.weight = zeros(12, hidden);
    }
    let refused = imported(parts, 1).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a hidden layer has 8309 cells, and a cell of what reads it may hang on 8308"
    );
}
