//! Every kernel equals its safe twin, which equals the definition, at shapes no register divides and values at the ends.

use credence_testkit::program_gen::Choices;

use super::*;
use credence_exact::Dtype;

/// A product in plain code: rows of x, a matrix of weights, and what is done with each sum.
struct Case {
    weights: Vec<i8>,
    bias: Vec<i32>,
    x: Vec<i8>,
    rows: usize,
    length: usize,
    outputs: usize,
    rescaling: Option<Rescaling>,
    dtype: Dtype,
}

impl Case {
    fn random(choices: &mut Choices) -> Self {
        let size = |choices: &mut Choices, max| usize::try_from(choices.size(1, max)).unwrap();
        let sizes = (size(choices, 20), size(choices, 150), size(choices, 75));
        Self::of_sizes(sizes, choices)
    }

    /// A case of so many rows, of such a length, and so many outputs.
    fn of_sizes((rows, length, outputs): (usize, usize, usize), choices: &mut Choices) -> Self {
        let mut bytes = |count: usize| -> Vec<i8> {
            let ends = choices.chance(40);
            let byte = |choices: &mut Choices| match ends {
                true => *choices.pick(&[-128, 127]),
                false => choices.int(-128, 127),
            };
            (0..count)
                .map(|_| i8::try_from(byte(choices)).unwrap())
                .collect()
        };
        let (weights, x) = (bytes(outputs * length), bytes(rows * length));
        let bias = (0..outputs)
            .map(|_| choices.int(-1 << 30, 1 << 30))
            .collect();
        let dtype = *choices.pick(&[Dtype::I8, Dtype::I16, Dtype::I32]);
        let (min, max) = dtype.range();
        let rescaling = Rescaling {
            multipliers: (0..outputs).map(|_| choices.int(0, i32::MAX)).collect(),
            rounding: Rounding {
                shift: u8::try_from(choices.size(1, 46)).unwrap(),
                min: i32::try_from(choices.range(min, 0)).unwrap(),
                max: i32::try_from(choices.range(0, max)).unwrap(),
            },
        };
        let rounded = dtype != Dtype::I32 || choices.chance(50);
        Self {
            weights,
            bias,
            x,
            rows,
            length,
            outputs,
            rescaling: rounded.then_some(rescaling),
            dtype,
        }
    }

    /// Every kernel and its twin give what the definition gives.
    fn check(&self, what: &str) {
        let (sums, results) = self.expected();
        let width = self.dtype.width();
        let bytes: Vec<u8> = results
            .iter()
            .flat_map(|y| y.to_le_bytes().into_iter().take(width))
            .collect();
        let runs = [Run {
            x: 0,
            weight: 0,
            len: self.length,
        }];
        for isa in Isa::available() {
            let matrix = Matrix {
                weights: &self.weights,
                bias: Some(&self.bias),
                outputs: self.outputs,
                rescaling: self.rescaling.clone(),
                dtype: self.dtype,
            };
            let packed = Packed::new(isa, &matrix, &runs).unwrap();
            let (got_sums, got) = self.run(&packed, |job| job.run(), true);
            assert_eq!(got_sums, sums, "{what}, {isa}: sums");
            assert_eq!(got, bytes, "{what}, {isa}");
            assert_eq!(
                self.run(&packed, |job| job.run(), false).1,
                bytes,
                "{what}, {isa}: unwatched"
            );
            let (twin_sums, twin) = self.run(&packed, |mut job| scalar::run(&mut job), true);
            assert_eq!((twin_sums, twin), (got_sums, got), "{what}, twin of {isa}");
        }
    }

    /// Sums and results by the definition.
    fn expected(&self) -> (Vec<i32>, Vec<i64>) {
        let row = |m: usize| &self.x[m * self.length..][..self.length];
        let sums: Vec<i64> = (0..self.rows * self.outputs)
            .map(|at| {
                let (m, r) = (at / self.outputs, at % self.outputs);
                let weights = &self.weights[r * self.length..][..self.length];
                let products = row(m)
                    .iter()
                    .zip(weights)
                    .map(|(&x, &w)| i64::from(x) * i64::from(w));
                i64::from(self.bias[r]) + products.sum::<i64>()
            })
            .collect();
        let round = |(at, &sum): (usize, &i64)| match &self.rescaling {
            None => sum,
            Some(Rescaling {
                multipliers,
                rounding,
            }) => {
                let shift = rounding.shift.try_into().unwrap();
                let product = sum * i64::from(multipliers[at % self.outputs]);
                let rounded = credence_exact::rescale(product, shift).unwrap();
                credence_exact::clamp(rounded, rounding.min, rounding.max)
            }
        };
        let results = sums.iter().enumerate().map(round).collect();
        (
            sums.iter()
                .map(|&sum| i32::try_from(sum).unwrap())
                .collect(),
            results,
        )
    }

    /// What a kernel makes of it: sums and bytes.
    fn run(
        &self,
        packed: &Packed,
        kernel: impl FnOnce(Job<'_>),
        watched: bool,
    ) -> (Vec<i32>, Vec<u8>) {
        let layout = packed.layout();
        let row_bytes = self.length.next_multiple_of(layout.group) * layout.form.width();
        // Behind each row stands what must not count.
        let mut x = vec![0x5a; self.rows * row_bytes];
        for (row, x) in x
            .chunks_exact_mut(row_bytes)
            .zip(self.x.chunks_exact(self.length))
        {
            layout.form.fill(x, row);
        }
        let starts = StartList::new((0..self.rows).map(|row| row * row_bytes).collect()).unwrap();
        let mut y = vec![0_u8; self.rows * self.outputs * packed.output_bytes()];
        let mut sums = vec![0; self.rows * self.outputs];
        kernel(Job {
            packed,
            blocks: 0..packed.blocks(),
            x: &x,
            starts: starts.rows(0..self.rows),
            y: &mut y,
            y_stride: self.outputs * packed.output_bytes(),
            sums: watched.then_some(Sums {
                cells: &mut sums,
                stride: self.outputs,
            }),
        });
        (sums, y)
    }
}

#[test]
fn kernels_equal_their_twin_and_the_definition() {
    let mut choices = Choices::new(1);
    for number in 0..2000 {
        let case = Case::random(&mut choices);
        case.check(&format!("case {number}"));
    }
}

#[test]
fn kernels_equal_the_definition_at_the_sizes_of_language_models() {
    let mut choices = Choices::new(3);
    for (rows, length, outputs) in [(1, 576, 577), (3, 1536, 191), (65, 576, 64), (1, 576, 4099)] {
        let case = Case::of_sizes((rows, length, outputs), &mut choices);
        case.check(&format!("{rows} rows of {length}, {outputs} outputs"));
    }
}

#[test]
fn a_job_split_anywhere_is_the_whole_job() {
    let mut choices = Choices::new(2);
    for _ in 0..300 {
        let case = Case::random(&mut choices);
        let matrix = Matrix {
            weights: &case.weights,
            bias: None,
            outputs: case.outputs,
            rescaling: case.rescaling.clone(),
            dtype: case.dtype,
        };
        let runs = [Run {
            x: 0,
            weight: 0,
            len: case.length,
        }];
        let packed = Packed::new(Isa::detect(), &matrix, &runs).unwrap();
        let whole = case.run(&packed, |job| job.run(), true);
        let split = |job: Job<'_>| {
            let rows = job.starts.len() / 2;
            let (first, later) = job.split_rows(rows);
            first.run();
            if later.starts.len() == 1 && later.blocks.len() > 1 {
                let (first, later) = later.split_blocks(1);
                first.run();
                later.run();
            } else {
                later.run();
            }
        };
        assert_eq!(case.run(&packed, split, true), whole);
    }
}

#[test]
fn a_job_that_reaches_outside_is_stopped() {
    let case = Case {
        weights: vec![1; 64],
        bias: vec![0; 4],
        x: vec![1; 16],
        rows: 1,
        length: 16,
        outputs: 4,
        rescaling: None,
        dtype: Dtype::I32,
    };
    let matrix = Matrix {
        weights: &case.weights,
        bias: Some(&case.bias),
        outputs: 4,
        rescaling: None,
        dtype: Dtype::I32,
    };
    for isa in Isa::available() {
        let packed = Packed::new(
            isa,
            &matrix,
            &[Run {
                x: 0,
                weight: 0,
                len: 16,
            }],
        )
        .unwrap();
        let stopped = |change: fn(&mut Job<'_>)| {
            let run = || {
                case.run(
                    &packed,
                    |mut job| {
                        change(&mut job);
                        job.run();
                    },
                    false,
                )
            };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
        };
        assert!(!stopped(|_| ()), "{isa}");
        assert!(stopped(|job| job.x = &job.x[1..]), "{isa}: x");
        assert!(stopped(|job| job.blocks.end += 1), "{isa}: blocks");
        assert!(
            stopped(|job| job.y = &mut core::mem::take(&mut job.y)[1..]),
            "{isa}: y"
        );
        assert!(
            stopped(|job| job.sums = Some(Sums {
                cells: &mut [],
                stride: 4
            })),
            "{isa}: sums"
        );
    }
}

#[test]
fn starts_that_do_not_ascend_are_refused() {
    assert!(StartList::new(vec![0, 4, 4, 9]).is_some());
    assert!(StartList::new(vec![0, 9, 4]).is_none());
}
