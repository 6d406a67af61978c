//! Graphs built by hand: what is refused by name, and what the lowering must get right beyond single operators.

use credence_import::{
    AffineOp, BorderType, Clipping, Comparison, ConvOp, Elements, Function, Graph, GraphBuilder,
    GraphOp, ImportError, ImportOptions, Imported, LinearOp, LowerError, Tensor, Tensors, Tree,
    TreeEnsemble, TreeNode, ValueId, Window, evaluate, import,
};

#[cfg(test)]
mod support {
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use credence_exec::{Isa, Options};
    use credence_import::fidelity::{Fidelity, measure};

    use super::*;

    pub(crate) fn chain(error: &dyn std::error::Error) -> String {
        let source = error.source().map(|source| format!(": {}", chain(source)));
        format!("{error}{}", source.unwrap_or_default())
    }

    pub(crate) fn try_import(
        graph: &Graph,
        calibration: Option<&Tensors>,
    ) -> Result<Imported, ImportError> {
        let options = ImportOptions {
            calibration,
            clipping: Clipping::LeastError,
            source: &[],
        };
        import(graph, &options)
    }

    /// Imports with these inputs and measures on them against the f64 evaluation.
    pub(crate) fn measured(graph: &Graph, inputs: &Tensors) -> (Imported, Fidelity) {
        let imported = try_import(graph, Some(inputs)).unwrap_or_else(|e| panic!("{}", chain(&e)));
        let again = try_import(graph, Some(inputs)).unwrap();
        assert_eq!(imported.model.id(), again.model.id());
        let options = Options {
            threads: NonZeroUsize::MIN,
            isa: Isa::detect(),
        };
        let reference = evaluate(graph, inputs).unwrap();
        let fidelity = measure(&Arc::new(again.model), inputs, &reference, options).unwrap();
        (imported, fidelity)
    }

    /// Numbers between −1 and 1, the same everywhere.
    pub(crate) fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap()) / 32_768.0 - 1.0
        };
        core::iter::repeat_with(next).take(count).collect()
    }

    pub(crate) fn tensor(name: &str, shape: &[u64], elements: Elements) -> Tensor {
        Tensor::new(name, shape.to_vec(), elements).unwrap()
    }

    pub(crate) fn floats(name: &str, shape: &[u64], seed: u32) -> Tensor {
        let count = usize::try_from(shape.iter().product::<u64>()).unwrap();
        tensor(name, shape, Elements::Fp32(numbers(count, seed)))
    }

    pub(crate) fn stump(feature: usize, threshold: f32) -> Tree {
        let leaf = |weight| TreeNode::Leaf {
            weights: vec![(0, weight)],
        };
        let split = TreeNode::Split {
            feature,
            threshold,
            comparison: Comparison::LessOrEqual,
            yes: 1,
            no: 2,
        };
        Tree {
            nodes: vec![split, leaf(-1.0), leaf(1.0)],
        }
    }

    pub(crate) fn stumps(thresholds: &[f32]) -> TreeEnsemble {
        let trees = thresholds.iter().map(|&t| stump(0, t)).collect();
        TreeEnsemble::new(trees, vec![0.0]).unwrap()
    }

    pub(crate) fn linear(x: ValueId, rows: usize, columns: usize, seed: u32) -> GraphOp {
        GraphOp::Linear(LinearOp {
            x,
            rows,
            weight: numbers(rows * columns, seed),
            bias: numbers(rows, seed + 1),
            steps: Vec::new(),
        })
    }

    pub(crate) fn window(kernel: u32, stride: u32, pad: u32) -> Window {
        Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [pad; 4],
            dilation: [1; 2],
        }
    }

    pub(crate) fn conv(x: ValueId, from: usize, to: usize, pad: u32, seed: u32) -> GraphOp {
        GraphOp::Conv(ConvOp {
            x,
            channels: to,
            weight: numbers(to * from * 9, seed),
            bias: numbers(to, seed + 1),
            steps: Vec::new(),
            window: window(3, 1, pad),
            groups: 1,
        })
    }

    pub(crate) const fn relu(x: ValueId) -> GraphOp {
        GraphOp::Clip {
            x,
            min: 0.0,
            max: f64::INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::support::*;
    use super::*;

    #[test]
    fn an_input_of_trees_and_of_arithmetic_is_refused() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![2]).unwrap();
        let ensemble = stumps(&[0.5]);
        let trees = builder
            .push("trees", GraphOp::Trees { x, ensemble })
            .unwrap();
        let sum = builder.push("sum", linear(x, 1, 2, 1)).unwrap();
        builder.output("a", trees).unwrap();
        builder.output("b", sum).unwrap();
        let inputs = Tensors::new(vec![floats("x", &[4, 2], 3)]).unwrap();
        let error = try_import(&builder.finish().unwrap(), Some(&inputs)).unwrap_err();
        assert!(
            chain(&error).contains("`x` is read both by trees"),
            "{error}"
        );
    }

    #[test]
    fn trees_on_something_computed_are_refused_and_on_joined_inputs_exact() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![2]).unwrap();
        let y = builder.input("y", BorderType::Fp32, vec![1]).unwrap();
        let xs = vec![x, y];
        let joined = builder
            .push("joined", GraphOp::Concat { xs, axis: 0 })
            .unwrap();
        let trees = TreeEnsemble::new(vec![stump(2, 0.25), stump(0, -0.5)], vec![0.5]).unwrap();
        let op = GraphOp::Trees {
            x: joined,
            ensemble: trees,
        };
        let sums = builder.push("trees", op).unwrap();
        builder.output("sums", sums).unwrap();
        let inputs = vec![floats("x", &[20, 2], 1), floats("y", &[20, 1], 2)];
        let inputs = Tensors::new(inputs).unwrap();
        let (_, fidelity) = measured(&builder.finish().unwrap(), &inputs);
        assert_eq!(fidelity.outputs[0].errors.unwrap().max, 0.0);

        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![2]).unwrap();
        let scaled = builder.push("scaled", relu(x)).unwrap();
        let op = GraphOp::Trees {
            x: scaled,
            ensemble: stumps(&[0.0]),
        };
        let sums = builder.push("trees", op).unwrap();
        builder.output("sums", sums).unwrap();
        let error = try_import(&builder.finish().unwrap(), None).unwrap_err();
        assert!(chain(&error).contains("`scaled` (clip)"), "{error}");
    }

    #[test]
    fn integer_inputs_go_through_trees_and_products() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Int64, vec![1]).unwrap();
        let ensemble = stumps(&[2.5, -1.0, 3.0]);
        let trees = builder
            .push("trees", GraphOp::Trees { x, ensemble })
            .unwrap();
        let product = builder.push("product", linear(x, 2, 1, 5)).unwrap();
        builder.output("trees", trees).unwrap();
        builder.output("product", product).unwrap();
        let elements = Elements::Int64(vec![-2, -1, 0, 2, 3, 4, 100]);
        let inputs = Tensors::new(vec![tensor("x", &[7, 1], elements)]).unwrap();
        let (_, fidelity) = measured(&builder.finish().unwrap(), &inputs);
        assert_eq!(fidelity.outputs[0].errors.unwrap().max, 0.0);
        assert!(fidelity.outputs[1].errors.unwrap().cosine > 0.9999);
    }

    #[test]
    fn a_residual_block_with_pools_and_a_padded_and_an_unpadded_reader() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![3, 9, 9]).unwrap();
        let a = builder.push("a", conv(x, 3, 8, 1, 1)).unwrap();
        let a = builder.push("relu_a", relu(a)).unwrap();
        let b = builder.push("b", conv(a, 8, 8, 1, 3)).unwrap();
        let subtract = false;
        let sum = builder
            .push("sum", GraphOp::Add { a, b, subtract })
            .unwrap();
        let sum = builder.push("relu_sum", relu(sum)).unwrap();
        let norm = AffineOp {
            x: sum,
            axis: 0,
            scale: numbers(8, 5).iter().map(|&x| f64::from(x)).collect(),
            shift: numbers(8, 6).iter().map(|&x| f64::from(x)).collect(),
        };
        let norm = builder.push("norm", GraphOp::Affine(norm)).unwrap();
        let c = builder.push("c", conv(norm, 8, 4, 0, 7)).unwrap();
        let c = builder.push("relu_c", relu(c)).unwrap();
        let window = window(7, 1, 0);
        let mean = builder
            .push("mean", GraphOp::AveragePool { x: c, window })
            .unwrap();
        let shape = vec![4];
        let flat = builder
            .push("flat", GraphOp::Reshape { x: mean, shape })
            .unwrap();
        let logits = builder.push("logits", linear(flat, 3, 4, 9)).unwrap();
        builder.output("logits", logits).unwrap();
        let inputs = Tensors::new(vec![floats("x", &[40, 3, 9, 9], 11)]).unwrap();
        let (_, fidelity) = measured(&builder.finish().unwrap(), &inputs);
        let errors = fidelity.outputs[0].errors.unwrap();
        assert!(errors.cosine > 0.995, "{fidelity:?}");
    }

    #[test]
    fn layouts_cancel_out() {
        // [C, H, W] → [H, C, W] → [H·C, W] → rows through a matrix → [H, C, 5] → [C, H, 5], pooled again as an image.
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![2, 6, 4]).unwrap();
        let a = builder.push("a", conv(x, 2, 3, 1, 1)).unwrap();
        let turned = builder
            .push(
                "turned",
                GraphOp::Transpose {
                    x: a,
                    order: vec![1, 0, 2],
                },
            )
            .unwrap();
        let rows = builder
            .push(
                "rows",
                GraphOp::Reshape {
                    x: turned,
                    shape: vec![18, 4],
                },
            )
            .unwrap();
        let mapped = builder.push("mapped", linear(rows, 5, 4, 3)).unwrap();
        let boxed = builder
            .push(
                "boxed",
                GraphOp::Reshape {
                    x: mapped,
                    shape: vec![6, 3, 5],
                },
            )
            .unwrap();
        let image = builder
            .push(
                "image",
                GraphOp::Transpose {
                    x: boxed,
                    order: vec![1, 0, 2],
                },
            )
            .unwrap();
        let pool = GraphOp::MaxPool {
            x: image,
            window: window(2, 1, 0),
        };
        let pooled = builder.push("pooled", pool).unwrap();
        let odd = builder
            .push(
                "odd",
                GraphOp::Reshape {
                    x: pooled,
                    shape: vec![4, 15],
                },
            )
            .unwrap();
        builder.output("odd", odd).unwrap();
        builder.output("turned", turned).unwrap();
        let inputs = Tensors::new(vec![floats("x", &[30, 2, 6, 4], 5)]).unwrap();
        let (_, fidelity) = measured(&builder.finish().unwrap(), &inputs);
        for output in &fidelity.outputs {
            assert!(output.errors.unwrap().cosine > 0.999, "{output:?}");
        }
    }

    #[test]
    fn features_of_very_different_spread_are_read_finely() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![3]).unwrap();
        // Standardised in front of the product: a mean of 1000, a spread of 2; a spread of 10⁻³; nothing at all.
        let scaler = AffineOp {
            x,
            axis: 0,
            scale: vec![0.5, 1000.0, 1.0],
            shift: vec![-500.0, 0.0, 0.0],
        };
        let scaled = builder.push("scaled", GraphOp::Affine(scaler)).unwrap();
        let y = builder.push("y", linear(scaled, 4, 3, 1)).unwrap();
        let function = Function::Tanh;
        let y = builder
            .push("tanh", GraphOp::Unary { x: y, function })
            .unwrap();
        builder.output("y", y).unwrap();
        let unit = numbers(200, 7);
        let rows = unit
            .chunks_exact(2)
            .flat_map(|pair| [1000.0 + 2.0 * pair[0], 0.001 * pair[1], 0.0]);
        let elements = Elements::Fp32(rows.collect());
        let inputs = Tensors::new(vec![tensor("x", &[100, 3], elements)]).unwrap();
        let (_, fidelity) = measured(&builder.finish().unwrap(), &inputs);
        assert!(
            fidelity.outputs[0].errors.unwrap().max < 0.02,
            "{fidelity:?}"
        );
    }

    #[test]
    fn layers_too_wide_for_a_relation_are_refused_and_wide_pools_cut() {
        let wide = |columns: usize| {
            let mut builder = GraphBuilder::new();
            let x = builder.input("x", BorderType::Fp32, vec![columns]).unwrap();
            let y = builder.push("wide", linear(x, 1, columns, 1)).unwrap();
            builder.output("y", y).unwrap();
            let columns = u64::try_from(columns).unwrap();
            let inputs = Tensors::new(vec![floats("x", &[2, columns], 1)]).unwrap();
            try_import(&builder.finish().unwrap(), Some(&inputs))
        };
        assert!(wide(8000).is_ok());
        let error = wide(9000).unwrap_err();
        assert!(
            matches!(&error, ImportError::TooWide { node, .. } if node.contains("wide")),
            "{error}"
        );

        // One pooled cell over a convolution of 900 weights in 25 places would read too much: the rescale between is cut.
        let mut builder = GraphBuilder::new();
        let x = builder
            .input("x", BorderType::Fp32, vec![100, 20, 20])
            .unwrap();
        let a = builder.push("a", conv(x, 100, 2, 0, 1)).unwrap();
        let op = GraphOp::MaxPool {
            x: a,
            window: window(5, 2, 0),
        };
        let b = builder.push("b", op).unwrap();
        builder.output("b", b).unwrap();
        let inputs = Tensors::new(vec![floats("x", &[2, 100, 20, 20], 1)]).unwrap();
        let imported = try_import(&builder.finish().unwrap(), Some(&inputs)).unwrap();
        let nodes = &imported.model.program().spec().nodes;
        assert!(
            nodes.iter().any(|node| node.name == "a.i32" && node.cut),
            "{nodes:?}"
        );
    }

    #[test]
    fn what_relations_can_do_without_is_left_out_and_the_rest_is_not() {
        let cut_after_convolutions = |channels: usize| {
            let mut builder = GraphBuilder::new();
            let x = builder.input("x", BorderType::Fp32, vec![1, 8, 8]).unwrap();
            let a = builder.push("a", conv(x, 1, channels, 1, 1)).unwrap();
            let b = builder.push("b", conv(a, channels, 4, 0, 2)).unwrap();
            builder.output("b", b).unwrap();
            let inputs = Tensors::new(vec![floats("x", &[2, 1, 8, 8], 1)]).unwrap();
            let imported = try_import(&builder.finish().unwrap(), Some(&inputs)).unwrap();
            let program = imported.model.program();
            let costs = program.relation_costs(&|node| program.node(node).unwrap().cut);
            let all = program.nodes().zip(costs);
            let cut = all.filter(|((_, node, _), _)| node.cut);
            assert!(cut.map(|(_, cost)| cost.work).max().unwrap() <= 4 * 16_640);
            let rounded = program.nodes().find(|(_, node, _)| node.name == "a.i8");
            rounded.unwrap().1.cut
        };
        // A cell behind reads nine cells of each channel, and each of them nine pixels and weights.
        assert!(!cut_after_convolutions(2));
        assert!(cut_after_convolutions(400));
    }

    #[test]
    fn values_beyond_what_outputs_show_are_refused() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![1]).unwrap();
        let op = LinearOp {
            x,
            rows: 1,
            weight: vec![3.0e37],
            bias: Vec::new(),
            steps: Vec::new(),
        };
        let y = builder.push("huge", GraphOp::Linear(op)).unwrap();
        builder.output("y", y).unwrap();
        let inputs = Tensors::new(vec![floats("x", &[4, 1], 1)]).unwrap();
        let error = try_import(&builder.finish().unwrap(), Some(&inputs)).unwrap_err();
        let expected = LowerError::Magnitude {
            node: "huge".to_owned(),
        };
        assert!(
            matches!(&error, ImportError::Lower(got) if *got == expected),
            "{error}"
        );
    }

    #[test]
    fn labels_go_through_several_lookups() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![3]).unwrap();
        let y = builder.push("y", linear(x, 3, 3, 1)).unwrap();
        let y = builder.push("p", GraphOp::Softmax { x: y }).unwrap();
        let best = builder.push("best", GraphOp::ArgMax { x: y }).unwrap();
        let values = vec![2, 0, 1];
        let first = builder
            .push("first", GraphOp::Lookup { x: best, values })
            .unwrap();
        let values = vec![-7, 70, 700];
        let second = builder
            .push("second", GraphOp::Lookup { x: first, values })
            .unwrap();
        builder.output("best", best).unwrap();
        builder.output("second", second).unwrap();
        let inputs = Tensors::new(vec![floats("x", &[50, 3], 3)]).unwrap();
        let (_, fidelity) = measured(&builder.finish().unwrap(), &inputs);
        for output in fidelity.outputs {
            let top_1 = output.top_1.unwrap();
            assert!(top_1.share() >= 0.96, "{top_1:?}");
        }
    }

    #[test]
    fn an_input_that_nothing_reads_stays_in_the_request() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![2]).unwrap();
        builder.input("unused", BorderType::Fp32, vec![5]).unwrap();
        let y = builder.push("y", linear(x, 2, 2, 1)).unwrap();
        builder.output("y", y).unwrap();
        builder.output("x", x).unwrap();
        let inputs = vec![floats("x", &[9, 2], 3), floats("unused", &[9, 5], 4)];
        let inputs = Tensors::new(inputs).unwrap();
        let (_, fidelity) = measured(&builder.finish().unwrap(), &inputs);
        assert!(fidelity.outputs[1].errors.unwrap().max < 1e-6);
    }

    #[test]
    fn constant_zero_values_have_scales() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![2]).unwrap();
        let op = LinearOp {
            x,
            rows: 2,
            weight: vec![0.0; 4],
            bias: vec![0.0, 0.5],
            steps: Vec::new(),
        };
        let y = builder.push("zero", GraphOp::Linear(op)).unwrap();
        let y = builder.push("relu", relu(y)).unwrap();
        let z = builder.push("after", linear(y, 2, 2, 1)).unwrap();
        builder.output("y", y).unwrap();
        builder.output("z", z).unwrap();
        let zeros = tensor("x", &[3, 2], Elements::Fp32(vec![0.0; 6]));
        let (_, fidelity) = measured(
            &builder.finish().unwrap(),
            &Tensors::new(vec![zeros]).unwrap(),
        );
        for output in fidelity.outputs {
            assert!(output.errors.unwrap().max < 0.01, "{output:?}");
        }
    }
}
