//! Random small graphs: our f64 evaluation against tract's run of the same file, and the exact program against both.
//!
//! The two readings of ONNX share no code but the protobuf decoder. Every operator comes up here.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::support::build::{File, float, int, ints};
use crate::support::{import_with, parse};
use credence_exec::{Isa, Options};
use credence_format_onnx::reference::Runner;
use credence_import::fidelity::measure;
use credence_import::{Elements, Tensor, Tensors, evaluate};
use proptest::prelude::*;

/// Numbers that look random and are the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 40).unwrap()
    }

    /// Below `end`.
    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    /// In −1 .. 1.
    fn unit(&mut self) -> f32 {
        f32::from(i16::try_from(self.below(2001)).unwrap() - 1000) / 1000.0
    }

    fn units(&mut self, count: i64, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.unit() * scale).collect()
    }
}

/// A file while values of a known shape go through random operators.
struct Growing {
    file: File,
    numbers: Numbers,
    value: String,
    /// Shape of one position.
    shape: Vec<i64>,
    count: usize,
}

impl Growing {
    fn step(&mut self, op: &str, more: &str, attributes: &[tract_onnx::pb::AttributeProto]) {
        self.count += 1;
        let result = format!("v{}", self.count);
        let inputs = format!("{} {more}", self.value);
        self.file.node(op, &inputs, &result, attributes);
        self.value = result;
    }

    fn weight(&mut self, dims: &[i64], scale: f32) -> String {
        let name = format!("w{}", self.file.graph().initializer.len());
        let values = self.numbers.units(dims.iter().product(), scale);
        self.file.floats(&name, dims, &values);
        name
    }

    fn image(&mut self, choice: u32) {
        let [channels, height, width] = <[i64; 3]>::try_from(self.shape.as_slice()).unwrap();
        match choice {
            0 => {
                let out = i64::from(self.numbers.below(6) + 1);
                self.conv(out, 1);
            }
            1 => self.conv(channels, channels),
            2 => self.batch_normalization(),
            3 | 4 if height > 1 && width > 1 => self.pool(choice == 3),
            5 => {
                self.step("Transpose", "", &[ints("perm", &[0, 1, 3, 2])]);
                self.shape = vec![channels, width, height];
            }
            6 => {
                let twin = self.value.clone();
                self.step("Concat", &twin, &[int("axis", 1)]);
                self.shape[0] *= 2;
            }
            _ => {}
        }
    }

    fn conv(&mut self, out: i64, groups: i64) {
        let (channels, height, width) = (self.shape[0], self.shape[1], self.shape[2]);
        let kernel = [1, i64::from(self.numbers.below(2) * 2 + 1)];
        let pad = i64::from(self.numbers.below(2));
        let stride = i64::from(self.numbers.below(2) + 1);
        if width + 2 * pad < kernel[1] {
            return;
        }
        let weight = self.weight(&[out, channels / groups, kernel[0], kernel[1]], 0.8);
        let bias = self.weight(&[out], 0.5);
        let attributes = [
            ints("kernel_shape", &kernel),
            ints("pads", &[pad; 4]),
            ints("strides", &[stride, 1]),
            int("group", groups),
        ];
        self.step("Conv", &format!("{weight} {bias}"), &attributes);
        let rows = (height + 2 * pad - 1) / stride + 1;
        self.shape = vec![out, rows, width + 2 * pad - kernel[1] + 1];
    }

    fn batch_normalization(&mut self) {
        let channels = self.shape[0];
        let names: Vec<String> = (0..3).map(|_| self.weight(&[channels], 1.0)).collect();
        let variance = format!("var{}", self.count);
        let values = self.numbers.units(channels, 0.5);
        let values: Vec<f32> = values.iter().map(|v| v + 1.0).collect();
        self.file.floats(&variance, &[channels], &values);
        let operands = format!("{} {variance}", names.join(" "));
        self.step("BatchNormalization", &operands, &[float("epsilon", 1e-3)]);
    }

    fn pool(&mut self, max: bool) {
        let (channels, height, width) = (self.shape[0], self.shape[1], self.shape[2]);
        let (op, pad) = if max {
            ("MaxPool", 1)
        } else {
            ("AveragePool", 0)
        };
        let mut attributes = vec![
            ints("kernel_shape", &[2, 2]),
            ints("strides", &[2, 1]),
            ints("pads", &[pad, 0, 0, 0]),
        ];
        if !max {
            attributes.push(int("count_include_pad", 1));
        }
        self.step(op, "", &attributes);
        self.shape = vec![channels, (height + pad - 2) / 2 + 1, width - 1];
    }

    /// Operators for any shape.
    fn any(&mut self, choice: u32) {
        match choice {
            0 => self.step("Relu", "", &[]),
            1 => {
                let ends = ["low", "high"].map(|end| format!("{end}{}", self.count));
                self.file
                    .floats(&ends[0], &[], &[-0.5])
                    .floats(&ends[1], &[], &[0.9]);
                self.step("Clip", &ends.join(" "), &[]);
            }
            2 => self.step("LeakyRelu", "", &[float("alpha", 0.2)]),
            3 => self.step("Sigmoid", "", &[]),
            4 => self.step("Tanh", "", &[]),
            5 => {
                let before = self.value.clone();
                self.step("Relu", "", &[]);
                let op = if self.numbers.below(2) == 0 {
                    "Add"
                } else {
                    "Sub"
                };
                self.step(op, &before, &[]);
            }
            6 => {
                let last = *self.shape.last().unwrap();
                let weight = self.weight(&[last], 1.5);
                let op = ["Mul", "Add", "Sub"][usize::try_from(self.numbers.below(3)).unwrap()];
                self.step(op, &weight, &[]);
            }
            _ => self.step("Identity", "", &[]),
        }
    }

    fn flatten_and_finish(&mut self) {
        self.step("Flatten", "", &[]);
        let cells: i64 = self.shape.iter().product();
        let (weight, bias) = (self.weight(&[cells, 5], 0.6), self.weight(&[5], 0.5));
        self.step("MatMul", &weight, &[]);
        self.step("Add", &bias, &[]);
        self.shape = vec![5];
        if self.numbers.below(2) == 0 {
            self.any(0);
            let (weight, bias) = (self.weight(&[4, 5], 0.8), self.weight(&[4], 0.5));
            self.step(
                "Gemm",
                &format!("{weight} {bias}"),
                &[int("transB", 1), float("alpha", 1.5)],
            );
            self.shape = vec![4];
        }
        let logits = self.value.clone();
        self.file.output(&logits, &self.shape);
        self.step("Softmax", "", &[int("axis", 1)]);
        self.file.output(&self.value, &self.shape);
        self.value = logits;
        self.step("ArgMax", "", &[int("axis", 1), int("keepdims", 0)]);
        self.file.labels(&self.value);
    }
}

fn grown(seed: u64, steps: u32) -> (File, Tensors) {
    let mut growing = Growing {
        file: File::new(13),
        numbers: Numbers(seed),
        value: "x".to_owned(),
        shape: Vec::new(),
        count: 0,
    };
    let sides = [
        growing.numbers.below(3) + 1,
        growing.numbers.below(4) + 3,
        growing.numbers.below(4) + 3,
    ];
    growing.shape = sides.map(i64::from).to_vec();
    let shape = growing.shape.clone();
    growing.file.input("x", &shape);
    for _ in 0..steps {
        let choice = growing.numbers.below(7);
        if growing.numbers.below(2) == 0 {
            growing.image(choice);
        } else {
            growing.any(choice);
        }
        if growing.shape[0] > 16 {
            break;
        }
    }
    growing.flatten_and_finish();
    let cells: i64 = shape.iter().product();
    let values = growing.numbers.units(24 * cells, 2.0);
    let dims = core::iter::once(24).chain(shape.iter().map(|&d| u64::try_from(d).unwrap()));
    let x = Tensor::new("x", dims.collect(), Elements::Fp32(values)).unwrap();
    (growing.file, Tensors::new(vec![x]).unwrap())
}

fn reals(tensor: &Tensor) -> &[f32] {
    match tensor.elements() {
        Elements::Fp32(all) => all,
        other => panic!("{other:?}"),
    }
}

fn check(seed: u64, steps: u32) -> Result<(), TestCaseError> {
    let (file, inputs) = grown(seed, steps);
    let onnx = parse(&file.bytes());
    let ours = evaluate(onnx.graph(), &inputs).unwrap();
    let theirs = Runner::new(&onnx).unwrap().run(&inputs).unwrap();
    for (a, b) in ours.iter().zip(theirs.iter()).take(2) {
        prop_assert_eq!(a.shape(), b.shape());
        let largest = reals(b).iter().fold(1.0_f32, |most, x| x.abs().max(most));
        for (x, y) in reals(a).iter().zip(reals(b)) {
            prop_assert!(
                (x - y).abs() <= 1e-4 * largest,
                "{}: {} and {}",
                a.name(),
                x,
                y
            );
        }
    }
    let imported = import_with(&onnx, Some(&inputs));
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let fidelity = measure(&Arc::new(imported.model), &inputs, &ours, options).unwrap();
    for output in &fidelity.outputs {
        if let Some(errors) = output.errors {
            prop_assert!(errors.cosine >= 0.98, "{:?}", output);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn both_readings_agree_and_the_program_follows(seed in any::<u64>(), steps in 0_u32..9) {
        check(seed, steps)?;
    }
}
