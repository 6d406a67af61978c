//! Whole imports of small models: what threads must not change, and that feedback reaches every product.

use core::num::NonZeroUsize;

use credence_exec::Isa;

use super::*;
use crate::language::float::tests::{Family, LLAMA, model};
use crate::language::{DenseRows, Feed, LanguageParts};

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
    let graph = crate::language::LanguageGraph::new(parts).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let import = || import_language(&graph, b"no text", &options(threads));
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
