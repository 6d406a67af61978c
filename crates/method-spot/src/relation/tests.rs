//! Every cut cell of random runs satisfies its relation and no other value does; what is read is what must be opened.

use credence_base::{Digest, TraceRoot, domain};
use credence_commit::blocks::{Run as Opening, Runs};
use credence_commit::tree;
use credence_exec::reference::{run, run_tokens};
use credence_model::{Model, encode_elements};
use credence_testkit::program_gen::{Choices, language_model, model, request};

use super::*;
use crate::layout::Extent;
use crate::source::{Opened, Recorder};

/// `values[position][node][cell]`, none where a node does not exist.
type Values = Vec<Vec<Vec<i64>>>;

struct Run {
    model: Model,
    extent: Extent,
    tokens: Vec<u32>,
    inputs: Vec<Vec<i64>>,
    values: Values,
    root: TraceRoot,
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

fn language_run(seed: u64) -> Run {
    let model = language_model(seed);
    let mut choices = Choices::new(seed);
    let language = model.program().spec().language.clone().unwrap();
    let len = choices.size(1, language.context);
    let tokens: Vec<u32> = (0..len)
        .map(|_| choices.size(0, language.vocabulary - 1))
        .collect();
    let from = tokens.len() - usize::try_from(choices.size(0, len)).unwrap();
    let run = run_tokens(&model, &tokens, |position| position >= from).unwrap();
    Run {
        extent: Extent {
            positions: number(tokens.len()),
            sampled_from: number(from),
        },
        tokens,
        inputs: Vec::new(),
        values: run.values,
        root: run.trace_root,
        model,
    }
}

fn tensor_run(seed: u64) -> Run {
    let model = model(seed);
    let inputs = request(&model, seed, 3);
    let observed = run(&model, &inputs).unwrap();
    let specs = &model.program().spec().inputs;
    let encoded = specs.iter().map(|spec| {
        let tensor = inputs.iter().find(|t| t.name() == spec.name).unwrap();
        encode_elements(&spec.encode, tensor.elements()).unwrap()
    });
    Run {
        extent: Extent {
            positions: 3,
            sampled_from: 3,
        },
        tokens: Vec::new(),
        inputs: encoded.collect(),
        values: observed.values,
        root: observed.execution.trace.root(),
        model,
    }
}

impl Run {
    fn layout(&self) -> Layout<'_> {
        Layout::new(self.model.program(), self.extent).unwrap()
    }

    fn given(&self) -> Given<'_> {
        if self.tokens.is_empty() {
            Given::Inputs(&self.inputs)
        } else {
            Given::Tokens(&self.tokens)
        }
    }

    /// Every cell of every cut node with its value.
    fn cells(&self) -> Vec<(Cell, i64)> {
        let mut cells = Vec::new();
        for (position, nodes) in self.values.iter().enumerate() {
            for ((node, spec, shape), values) in self.model.program().nodes().zip(nodes) {
                for (index, &value) in values.iter().enumerate() {
                    let exists = match &spec.op {
                        Op::Scores(op) => op
                            .sight()
                            .range(position, 0)
                            .contains(&(index % shape.last())),
                        _ => true,
                    };
                    if spec.cut && exists {
                        let position = number(position);
                        let cell = Cell {
                            position,
                            node,
                            index,
                        };
                        cells.push((cell, value));
                    }
                }
            }
        }
        cells
    }

    /// The trees' bytes, written cell by cell where the layout says.
    fn trees(&self) -> [Vec<u8>; 5] {
        let layout = self.layout();
        let mut trees = Tree::ALL.map(|tree| vec![0; usize::try_from(layout.len(tree)).unwrap()]);
        let mut write = |place: Place, value: i64| {
            let start = usize::try_from(place.start).unwrap();
            let width = place.dtype.width();
            trees[place.tree.index()][start..start + width]
                .copy_from_slice(&value.to_le_bytes()[..width]);
        };
        for (cell, value) in self.cells() {
            let views: &[View] = if layout.is_twice(cell.node) {
                &[View::Own, View::Values]
            } else {
                &[View::Own]
            };
            for &view in views {
                let place = layout.place(cell.node, cell.position, cell.index, view);
                write(place.unwrap(), value);
            }
        }
        for id in (0..self.model.params().len()).map(|id| ParamId(u32::try_from(id).unwrap())) {
            let values = self.model.param(id).unwrap();
            for (index, value) in values.values().enumerate() {
                write(layout.param(id, index).unwrap(), value);
            }
        }
        trees
    }

    fn root_of(&self, trees: &[Vec<u8>; 5]) -> TraceRoot {
        let sections = self.layout().sections();
        let mut list = u32::try_from(sections.len())
            .unwrap()
            .to_le_bytes()
            .to_vec();
        for section in sections {
            let bytes = &trees[section.index()];
            list.push(section.kind().unwrap());
            list.extend(number(bytes.len()).to_le_bytes());
            let root: Digest = tree::root(domain::TRACE_SECTION, bytes);
            list.extend(root.as_bytes());
        }
        TraceRoot::from_digest(tree::root(domain::TRACE_ROOT, &list))
    }
}

fn recorder(trees: &[Vec<u8>; 5]) -> Recorder<'_> {
    Recorder::new(core::array::from_fn(|at| trees[at].as_slice()))
}

fn runs() -> impl Iterator<Item = Run> {
    (0..20).map(language_run).chain((0..30).map(tensor_run))
}

#[test]
fn the_layout_is_the_engines() {
    for run in runs() {
        let trees = run.trees();
        assert_eq!(run.root_of(&trees), run.root);
        let weights: Vec<u8> = run
            .model
            .params()
            .iter()
            .flat_map(|bytes| {
                let mut bytes = bytes.to_vec();
                bytes.resize(bytes.len().next_multiple_of(64), 0);
                bytes
            })
            .collect();
        assert!(trees[0] == weights);
    }
}

#[test]
fn every_cell_satisfies_its_relation_and_no_other_value_does() {
    for run in runs() {
        let (layout, trees) = (run.layout(), run.trees());
        let mut relations = Relations::new(&layout, run.given());
        let mut choices = Choices::new(1);
        for (cell, value) in run.cells().into_iter().step_by(3) {
            let mut source = recorder(&trees);
            assert_eq!(relations.evaluate(&mut source, cell), Ok(value), "{cell:?}");
            assert_eq!(relations.check(&mut source, cell), Ok(Ok(())));
            if choices.chance(99) {
                continue;
            }
            let place = layout
                .place(cell.node, cell.position, cell.index, View::Own)
                .unwrap();
            let mut lying = trees.clone();
            lying[place.tree.index()][usize::try_from(place.start).unwrap()] ^= 1;
            let wrong = relations.check(&mut recorder(&lying), cell).unwrap();
            assert_eq!(wrong.unwrap_err().expected, Some(value));
        }
    }
}

/// What the recorder noted, as whoever checks gets it.
fn opened(run: &Run, trees: &[Vec<u8>; 5], recorder: &Recorder<'_>, less: Option<usize>) -> Opened {
    let layout = run.layout();
    let mut opened = Opened::new();
    let mut left = less;
    for tree in Tree::ALL {
        let len = layout.len(tree);
        let runs = recorder.runs(tree);
        let whole = runs.as_slice().iter().flat_map(|run| {
            let later = (1..run.chunks).map(move |chunk| (run.first / 16 + chunk) * 16);
            core::iter::once(run.first).chain(later)
        });
        let mut blocks: Vec<u64> = whole.collect();
        match left {
            Some(at) if at < blocks.len() => {
                // The first block less, or the whole chunk.
                let first = blocks[at];
                if first % 16 < 15 && first + 1 < len.div_ceil(64) && at % 2 == 0 {
                    blocks[at] = first + 1;
                } else {
                    blocks.remove(at);
                }
                left = None;
            }
            Some(at) => left = Some(at - blocks.len()),
            None => {}
        }
        let runs = Runs::of_blocks(blocks);
        let ranges = runs.byte_ranges(len).into_iter();
        let bytes = ranges.flat_map(|range| {
            let [start, end] = [range.start, range.end].map(|n| usize::try_from(n).unwrap());
            trees[tree.index()][start..end].to_vec()
        });
        opened.insert(tree, len, &runs, bytes.collect()).unwrap();
    }
    opened
}

#[test]
fn what_was_read_suffices_and_all_of_it_is_needed() {
    for run in runs().step_by(3) {
        let (layout, trees) = (run.layout(), run.trees());
        let mut relations = Relations::new(&layout, run.given());
        for (cell, _) in run.cells().into_iter().step_by(97) {
            let mut all = recorder(&trees);
            relations.check(&mut all, cell).unwrap().unwrap();
            let mut some = opened(&run, &trees, &all, None);
            assert_eq!(relations.check(&mut some, cell), Ok(Ok(())));
            assert_eq!(some.unread(), None);
            let chunks: usize = Tree::ALL
                .iter()
                .flat_map(|&tree| all.runs(tree).as_slice().to_vec())
                .map(|run: Opening| usize::try_from(run.chunks).unwrap())
                .sum();
            for less in 0..chunks {
                let mut fewer = opened(&run, &trees, &all, Some(less));
                let missing = relations.check(&mut fewer, cell);
                assert!(matches!(missing, Err(RelationError::Missing(_))), "{less}");
            }
        }
    }
}

#[test]
fn cells_that_no_run_has_are_refused() {
    let run = language_run(3);
    let (layout, trees) = (run.layout(), run.trees());
    let mut relations = Relations::new(&layout, run.given());
    let (first, _) = run.cells()[0];
    let uncut = run
        .model
        .program()
        .nodes()
        .find(|(_, node, _)| !node.cut)
        .map(|(id, _, _)| id);
    let cases = [
        Cell {
            position: run.extent.positions,
            ..first
        },
        Cell {
            index: usize::MAX,
            ..first
        },
        Cell {
            node: NodeId(u32::MAX),
            ..first
        },
        Cell {
            node: uncut.unwrap(),
            ..first
        },
    ];
    for cell in cases {
        let got = relations.evaluate(&mut recorder(&trees), cell);
        assert_eq!(got, Err(RelationError::NoCell(cell)));
    }
}

#[test]
fn a_run_has_positions_within_the_context() {
    let run = language_run(5);
    let program = run.model.program();
    let context = u64::from(program.spec().language.as_ref().unwrap().context);
    let cases = [
        (0, 0, false),
        (1, 2, false),
        (1, 1, true),
        (context, 0, true),
        (context + 1, 0, false),
    ];
    for (positions, sampled_from, fits) in cases {
        let extent = Extent {
            positions,
            sampled_from,
        };
        assert_eq!(Layout::new(program, extent).is_ok(), fits, "{extent:?}");
    }
}

/// A chain of so many uncut re-indexings between an input and an output.
fn chain(length: u32) -> Model {
    use credence_exact::{Input, Reindex};
    use credence_model::{
        BorderType, Decode, Encode, InputSpec, NodeSpec, OutputSpec, ProgramSpec,
    };
    let node = |name: String, op, cut| NodeSpec {
        name,
        op,
        dtype: Dtype::I32,
        cut,
    };
    let mut nodes = vec![node("x".to_owned(), Op::Input(Input { index: 0 }), true)];
    for at in 0..=length {
        let op = Op::Reindex(Reindex {
            x: NodeId(at),
            shape: vec![2],
            offset: 1,
            strides: vec![-1],
        });
        nodes.push(node(format!("r{at}"), op, at == length));
    }
    let spec = ProgramSpec {
        profile: "exact-1".to_owned(),
        inputs: vec![InputSpec {
            name: "x".to_owned(),
            dtype: BorderType::Int32,
            shape: vec![2],
            encode: Encode::Integer { min: -9, max: 9 },
        }],
        params: Vec::new(),
        outputs: vec![OutputSpec {
            name: "y".to_owned(),
            node: NodeId(length + 1),
            decode: Decode::Integer {},
        }],
        nodes,
        language: None,
    };
    Model::new(spec, Vec::new()).unwrap()
}

#[test]
fn relations_that_nest_too_deep_are_given_up() {
    let depth_max = u32::try_from(DEPTH_MAX).unwrap();
    for (length, expected) in [
        (depth_max, Ok(3)),
        (depth_max + 1, Err(RelationError::Depth)),
        (20_000, Err(RelationError::Depth)),
    ] {
        let model = chain(length);
        let extent = Extent {
            positions: 1,
            sampled_from: 1,
        };
        let layout = Layout::new(model.program(), extent).unwrap();
        let mut bytes = vec![0; usize::try_from(layout.len(Tree::Positions)).unwrap()];
        bytes[..8].copy_from_slice(&[3, 0, 0, 0, 5, 0, 0, 0]);
        let inputs = [vec![3, 5]];
        let mut relations = Relations::new(&layout, Given::Inputs(&inputs));
        let cell = Cell {
            position: 0,
            node: NodeId(length + 1),
            index: usize::from(length % 2 == 0),
        };
        let got = relations.evaluate(
            &mut recorder(&[vec![], bytes, vec![], vec![], vec![]]),
            cell,
        );
        assert_eq!(got, expected, "{length}");
    }
}
