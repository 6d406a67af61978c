//! The nodes of a random program, one after another, each reading values that stand before it.

mod selecting;
mod tensor;

use credence_exact::{
    Add, Conv, Dtype, Input, Linear, MaxPool, Multiplier, NodeId, Op, ParamId, Reindex, Rescale,
    Shift, SumPool, Window,
};
use credence_model::{
    BorderType, Decode, Encode, InputSpec, NodeSpec, OutputSpec, ParamSpec, ProgramSpec,
};

use super::random::Choices;

/// A node that later nodes may read.
#[derive(Clone, Debug)]
struct Value {
    id: NodeId,
    dims: Vec<u32>,
    dtype: Dtype,
    /// Its cells are in `0..entries`, so that they can select rows of a table.
    entries: Option<u32>,
}

impl Value {
    fn cells(&self) -> u32 {
        self.dims.iter().product()
    }

    fn last(&self) -> u32 {
        self.dims.last().copied().unwrap_or(1)
    }

    fn is_narrow(&self) -> bool {
        self.dtype != Dtype::I32
    }
}

struct Builder<'a> {
    choices: &'a mut Choices,
    spec: ProgramSpec,
    params: Vec<Vec<u8>>,
    values: Vec<Value>,
}

/// A program and its weights; most are valid.
pub(super) fn program(choices: &mut Choices) -> (ProgramSpec, Vec<Vec<u8>>) {
    let spec = ProgramSpec {
        profile: "exact-1".to_owned(),
        inputs: Vec::new(),
        params: Vec::new(),
        nodes: Vec::new(),
        outputs: Vec::new(),
        language: None,
    };
    let mut builder = Builder {
        choices,
        spec,
        params: Vec::new(),
        values: Vec::new(),
    };
    for _ in 0..builder.choices.size(1, 3) {
        builder.input();
    }
    for _ in 0..builder.choices.size(3, 14) {
        builder.layer();
    }
    builder.outputs();
    (builder.spec, builder.params)
}

impl Builder<'_> {
    fn node(&mut self, op: Op, dims: Vec<u32>, dtype: Dtype, cut: bool) -> Value {
        let id = u32::try_from(self.spec.nodes.len()).unwrap_or(u32::MAX);
        let name = format!("{}-{id}", op.name());
        self.spec.nodes.push(NodeSpec {
            name,
            op,
            dtype,
            cut,
        });
        let value = Value {
            id: NodeId(id),
            dims,
            dtype,
            entries: None,
        };
        self.values.push(value.clone());
        value
    }

    fn param(&mut self, dtype: Dtype, shape: Vec<u32>, entries: &[i32]) -> ParamId {
        let id = u32::try_from(self.spec.params.len()).unwrap_or(u32::MAX);
        let bytes = entries
            .iter()
            .flat_map(|e| e.to_le_bytes().into_iter().take(dtype.width()));
        self.params.push(bytes.collect());
        self.spec.params.push(ParamSpec {
            name: format!("param-{id}"),
            dtype,
            shape,
        });
        ParamId(id)
    }

    fn vector(&mut self, entries: &[i32]) -> ParamId {
        let length = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        self.param(Dtype::I32, vec![length], entries)
    }

    /// 8-bit weights in one of several styles, most with their ends in it.
    fn weights(&mut self, shape: Vec<u32>) -> ParamId {
        let cells = shape.iter().product();
        let style = self.choices.size(0, 5);
        let entries: Vec<i32> = (0..cells)
            .map(|_| match style {
                0 => -128,
                1 => 127,
                2 => *self.choices.pick(&[-128, 127]),
                3 if self.choices.chance(80) => 0,
                _ => self.choices.int(-128, 127),
            })
            .collect();
        self.param(Dtype::I8, shape, &entries)
    }

    fn bias(&mut self, length: u32) -> Option<ParamId> {
        let reach = *self.choices.pick(&[0, 100, 100_000, 1 << 30]);
        let entries: Vec<i32> = (0..length)
            .map(|_| self.choices.int(-reach, reach))
            .collect();
        self.choices.chance(70).then(|| self.vector(&entries))
    }

    /// A value that `fits`, most often a late one.
    fn value(&mut self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let fitting: Vec<Value> = self
            .values
            .iter()
            .filter(|value| fits(value))
            .cloned()
            .collect();
        let late = fitting.len().saturating_sub(3);
        let from = if self.choices.chance(75) { late } else { 0 };
        (!fitting.is_empty()).then(|| self.choices.pick(&fitting[from..]).clone())
    }

    fn input(&mut self) {
        let shape = match self.choices.size(0, 3) {
            0 => vec![self.choices.size(1, 70)],
            1 => vec![self.choices.size(1, 6), self.choices.size(1, 40)],
            _ => {
                let channels = *self.choices.pick(&[1, 2, 3, 4, 5, 8, 16, 19]);
                vec![channels, self.choices.size(1, 9), self.choices.size(1, 9)]
            }
        };
        let (dtype, encode, inside) = self.encoding();
        let index = u32::try_from(self.spec.inputs.len()).unwrap_or(u32::MAX);
        self.spec.inputs.push(InputSpec {
            name: format!("input-{index}"),
            dtype,
            shape: shape.clone(),
            encode,
        });
        let cut = self.choices.chance(70);
        let value = self.node(Op::Input(Input { index }), shape.clone(), inside, cut);
        if let [channels, height, width] = shape[..] {
            // As importers do: channels last from here on.
            let op = Op::Reindex(Reindex {
                x: value.id,
                shape: vec![height, width, channels],
                offset: 0,
                strides: [width, 1, height * width]
                    .map(|s| i32::try_from(s).unwrap_or(0))
                    .to_vec(),
            });
            let cut = self.choices.chance(30);
            self.node(op, vec![height, width, channels], inside, cut);
        }
    }

    fn encoding(&mut self) -> (BorderType, Encode, Dtype) {
        let (min, max, inside) = match self.choices.size(0, 4) {
            0..=2 => (-128, 127, Dtype::I8),
            3 => (-30_000, 32_767, Dtype::I16),
            _ => (-2_000_000_000, 2_000_000_000, Dtype::I32),
        };
        match self.choices.size(0, 5) {
            0 => (BorderType::Int32, Encode::Integer { min, max }, inside),
            1 => (BorderType::Int64, Encode::Integer { min, max }, inside),
            2 => (BorderType::Fp32, Encode::OrderKey {}, Dtype::I32),
            _ => {
                let multiplier = self.choices.int(1, (1 << 24) - 1);
                let shift = self.choices.int(-3, 24);
                let encode = Encode::Quantise {
                    multiplier,
                    shift,
                    min,
                    max,
                };
                (BorderType::Fp32, encode, inside)
            }
        }
    }

    /// One layer: an op whose operands exist, and the rounding behind sums.
    fn layer(&mut self) {
        let made = match self.choices.size(0, 20) {
            0..=2 => self.linear(),
            3..=5 => self.conv(),
            6 => self.pool(false),
            7 => self.pool(true),
            8 => self.add(),
            9 => self.table(),
            10 => self.reindex(),
            11 => self.concat(),
            12 => self.softmax(),
            13 => self.trees().or_else(|| self.gather_sum()),
            14 => self.gather_sum(),
            15 => self.gather(),
            16 => self.mat_mul(),
            17 => self.divide(),
            18 => self.mul(),
            19 => self.norm(),
            _ => self.arg_max(),
        };
        match made {
            Some(sum) if self.choices.chance(85) => {
                self.rescale(&sum);
            }
            Some(_) => {}
            None => {
                if let Some(value) = self.value(|_| true) {
                    self.rescale(&value);
                }
            }
        }
    }

    fn accumulator(&mut self, op: Op, dims: Vec<u32>, dtype: Dtype) -> Option<Value> {
        let cut = self.choices.chance(15);
        Some(self.node(op, dims, dtype, cut))
    }

    fn linear(&mut self) -> Option<Value> {
        let x = self.value(|v| v.dtype == Dtype::I8 && !v.dims.is_empty() && v.last() <= 900)?;
        let rows = self.choices.size(1, 70);
        let weight = self.weights(vec![rows, x.last()]);
        let bias = self.bias(rows);
        let mut dims = x.dims;
        if let Some(last) = dims.last_mut() {
            *last = rows;
        }
        let op = Op::Linear(Linear {
            x: x.id,
            weight,
            bias,
        });
        self.accumulator(op, dims, Dtype::I32)
    }

    fn window(&mut self, x: &Value, overhang: u32) -> Window {
        let axis = |choices: &mut Choices, length: u32| {
            let kernel = choices.size(1, length.min(5));
            let stride = choices.size(1, 3);
            let fits = (length - 1) / (kernel.max(2) - 1);
            let dilation = if choices.chance(75) {
                1
            } else {
                choices.size(1, fits.max(1))
            };
            let reach = (dilation * (kernel - 1)).min(overhang);
            let pads = [choices.size(0, reach), choices.size(0, reach)];
            (kernel, stride, pads, dilation)
        };
        let (ky, sy, [top, bottom], dy) = axis(self.choices, x.dims[0]);
        let (kx, sx, [left, right], dx) = axis(self.choices, x.dims[1]);
        Window {
            kernel: [ky, kx],
            stride: [sy, sx],
            pad: [top, left, bottom, right],
            dilation: [dy, dx],
        }
    }

    fn windows(x: &Value, window: Window) -> [u32; 2] {
        [0, 1].map(|axis| {
            let padded = x.dims[axis] + window.pad[axis] + window.pad[axis + 2];
            let reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
            (padded - reach) / window.stride[axis] + 1
        })
    }

    fn conv(&mut self) -> Option<Value> {
        let x = self.value(|v| v.dtype == Dtype::I8 && v.dims.len() == 3)?;
        let channels = x.last();
        let window = self.window(&x, 40);
        let divisors: Vec<u32> = (1..=channels).filter(|&d| channels % d == 0).collect();
        let groups = match self.choices.size(0, 5) {
            0 => channels,
            1 => *self.choices.pick(&divisors),
            _ => 1,
        };
        let per_group = if groups == channels {
            self.choices.size(1, 3)
        } else {
            self.choices.size(1, 35)
        };
        let per_group = if groups == channels && self.choices.chance(60) {
            1
        } else {
            per_group
        };
        let outputs = (groups * per_group).min(groups * (200 / groups).max(1));
        let weight = self.weights(vec![
            outputs,
            window.kernel[0],
            window.kernel[1],
            channels / groups,
        ]);
        let bias = self.bias(outputs);
        let [rows, columns] = Self::windows(&x, window);
        let op = Op::Conv(Conv {
            x: x.id,
            weight,
            bias,
            window,
            groups,
        });
        self.accumulator(op, vec![rows, columns, outputs], Dtype::I32)
    }

    fn pool(&mut self, sum: bool) -> Option<Value> {
        let x = self.value(|v| v.dims.len() == 3 && (!sum || v.is_narrow()))?;
        // A maximum needs a cell in every window: less than half of it may hang over.
        let window = self.window(&x, if sum { 40 } else { 0 });
        let [rows, columns] = Self::windows(&x, window);
        let dims = vec![rows, columns, x.last()];
        if sum {
            let op = Op::SumPool(SumPool { x: x.id, window });
            return self.accumulator(op, dims, Dtype::I32);
        }
        let mut window = window;
        if window.kernel.iter().all(|&k| k > 1) && self.choices.chance(50) {
            // One cell of overhang on every side, and steps that keep every window on the value.
            window.pad = [1, 1, 1, 1];
            window.stride = [1, 1];
            window.dilation = [1, 1];
        }
        let [rows, columns] = Self::windows(&x, window);
        let dtype = if self.choices.chance(15) {
            Dtype::I32
        } else {
            x.dtype
        };
        let cut = self.choices.chance(60);
        let op = Op::MaxPool(MaxPool { x: x.id, window });
        let mut pooled = self.node(op, vec![rows, columns, x.last()], dtype, cut);
        self.passes_on(&x, &mut pooled);
        None
    }

    /// A value whose cells are some of another's selects what that one selects.
    fn passes_on(&mut self, x: &Value, y: &mut Value) {
        y.entries = x.entries;
        if let Some(last) = self.values.last_mut() {
            last.entries = x.entries;
        }
    }

    fn clamps(&mut self) -> (i32, i32, Dtype) {
        match self.choices.size(0, 7) {
            0..=3 => (-128, 127, Dtype::I8),
            4 => (0, 127, Dtype::I8),
            5 => (-5, 7, *self.choices.pick(&[Dtype::I8, Dtype::I16])),
            6 => (-32_768, 32_767, Dtype::I16),
            _ => (-1 << 25, 1 << 25, Dtype::I32),
        }
    }

    fn rescale(&mut self, x: &Value) {
        let per_channel = self.choices.chance(60);
        let entries = if per_channel { x.last() } else { 1 };
        let shift = u8::try_from(self.choices.size(1, 46)).unwrap_or(1);
        // About as large as the shift, so that results are neither all 0 nor all at their clamps; in some, far larger.
        let wide: u32 = if x.is_narrow() { 1 } else { 12 };
        let about = u32::from(shift)
            .saturating_sub(self.choices.size(0, wide))
            .min(30);
        let bits = if self.choices.chance(15) { 30 } else { about };
        let most = (1_i32 << bits).max(1);
        let least = *self.choices.pick(&[0, 1, most / 2]);
        let multipliers: Vec<i32> = (0..entries)
            .map(|_| self.choices.int(least.min(most), most))
            .collect();
        let multiplier = self.vector(&multipliers);
        let (min, max, dtype) = self.clamps();
        let cut = self.choices.chance(60);
        let Ok(shift) = Shift::try_from(shift) else {
            return;
        };
        let op = Op::Rescale(Rescale {
            x: x.id,
            multiplier,
            shift,
            min,
            max,
        });
        self.node(op, x.dims.clone(), dtype, cut);
        if min == 0
            && let Some(last) = self.values.last_mut()
        {
            last.entries = Some(128);
        }
    }

    fn add(&mut self) -> Option<Value> {
        let a = self.value(|_| true)?;
        let b = self.value(|v| v.dims == a.dims)?;
        let shift = u8::try_from(self.choices.size(1, 30)).unwrap_or(1);
        let most = 1_i32 << u32::from(shift).min(28);
        let mut multiplier = || Multiplier::try_from(self.choices.int(0, most)).ok();
        let (a_multiplier, b_multiplier) = (multiplier()?, multiplier()?);
        let (min, max, dtype) = self.clamps();
        let op = Op::Add(Add {
            a: a.id,
            b: b.id,
            a_multiplier,
            b_multiplier,
            negate_b: self.choices.chance(40),
            shift: Shift::try_from(shift).ok()?,
            min,
            max,
        });
        let cut = self.choices.chance(60);
        self.node(op, a.dims, dtype, cut);
        None
    }

    /// Shows every value that nothing reads, and sometimes another.
    fn outputs(&mut self) {
        let read: Vec<NodeId> = self
            .spec
            .nodes
            .iter()
            .flat_map(|node| node.op.operands())
            .collect();
        let extra = self.value(|_| true).map(|value| value.id);
        for value in self.values.clone() {
            let is_input = matches!(
                self.spec.nodes[usize::try_from(value.id.0).unwrap_or(0)].op,
                Op::Input(_)
            );
            let unread = !read.contains(&value.id) && !is_input;
            if unread || Some(value.id) == extra {
                self.output(&value);
            }
        }
    }

    fn output(&mut self, value: &Value) {
        let decode = match (value.entries, self.choices.size(0, 2)) {
            (Some(entries), 0) => Decode::Lookup {
                values: (0..entries)
                    .map(|_| self.choices.range(-1_000_000, 1_000_000))
                    .collect(),
            },
            (_, 1) => Decode::Integer {},
            _ => Decode::Scale {
                multiplier: self.choices.int(1, i32::MAX),
                shift: self.choices.int(0, 126),
            },
        };
        if let Some(node) = usize::try_from(value.id.0)
            .ok()
            .and_then(|at| self.spec.nodes.get_mut(at))
        {
            node.cut = true;
        }
        let name = format!("output-{}", self.spec.outputs.len());
        self.spec.outputs.push(OutputSpec {
            name,
            node: value.id,
            decode,
        });
    }
}
