//! What this machine's kernels reach at best: the arithmetic of a matrix product whose weights stay in cache, and reading weights from memory.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exact::{Dtype, Input, Linear, NodeId, Op, ParamId, Rescale, Shift};
use credence_exec::{Engine, Isa, Options};
use credence_model::{
    BorderType, Decode, Elements, Encode, InputSpec, Model, NodeSpec, OutputSpec, ParamSpec,
    ProgramSpec, Tensor, Tensors,
};

use super::measure::measure;

/// Billions of multiply-adds a second.
pub(crate) struct Peak {
    pub(crate) isa: Isa,
    /// 256 vectors times a matrix of 512 × 512, which stays in the second-level cache.
    pub(crate) in_cache_g: f64,
    /// One vector times a matrix of 8000 × 8000, which does not fit any cache; as many bytes are read.
    pub(crate) from_memory_g: f64,
}

impl Peak {
    /// Measures both on so many threads.
    ///
    /// # Errors
    /// What the engine says, which it should not.
    pub(crate) fn measure(threads: usize, seconds: f64) -> Result<Self, String> {
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let options = Options {
            threads,
            isa: Isa::detect(),
        };
        Ok(Self {
            isa: options.isa,
            in_cache_g: product((512, 256), options, seconds)?,
            from_memory_g: product((8000, 1), options, seconds)?,
        })
    }
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// Times `vectors` vectors times a square matrix.
fn product((width, vectors): (u32, u32), options: Options, seconds: f64) -> Result<f64, String> {
    let model = Arc::new(square(width, vectors)?);
    let engine = Engine::new(model, options).map_err(text)?;
    let count = usize::try_from(u64::from(width) * u64::from(vectors)).map_err(text)?;
    let x = [-3.0, 0.0, 5.0, 7.0].into_iter().cycle().take(count);
    let shape = vec![1, vectors.into(), width.into()];
    let x = Tensor::new("x", shape, Elements::Fp32(x.collect())).map_err(text)?;
    let request = Tensors::new(vec![x]).map_err(text)?;
    let figures = measure(seconds, || engine.run(&request).map(drop).map_err(text))?;
    Ok(f64::from(width) * f64::from(width) * f64::from(vectors) / figures.wall_median_s / 1e9)
}

/// One linear layer without bias, of a square matrix.
fn square(width: u32, vectors: u32) -> Result<Model, String> {
    let node = |name: &str, op, dtype, cut| NodeSpec {
        name: name.into(),
        op,
        dtype,
        cut,
    };
    let param = |name: &str, dtype, shape: &[u32]| ParamSpec {
        name: name.into(),
        dtype,
        shape: shape.to_vec(),
    };
    let linear = Linear {
        x: NodeId(0),
        weight: ParamId(0),
        bias: None,
    };
    let rescale = Rescale {
        x: NodeId(1),
        multiplier: ParamId(1),
        shift: Shift::try_from(20).map_err(text)?,
        min: -127,
        max: 127,
    };
    let spec = ProgramSpec {
        profile: "exact-1".into(),
        inputs: vec![input(&[vectors, width])],
        params: vec![
            param("w", Dtype::I8, &[width, width]),
            param("m", Dtype::I32, &[1]),
        ],
        nodes: vec![
            node("x", Op::Input(Input { index: 0 }), Dtype::I8, true),
            node("dot", Op::Linear(linear), Dtype::I32, false),
            node("y", Op::Rescale(rescale), Dtype::I8, true),
        ],
        outputs: vec![OutputSpec {
            name: "y".into(),
            node: NodeId(2),
            decode: Decode::Integer {},
        }],
        language: None,
    };
    let cells = usize::try_from(u64::from(width) * u64::from(width)).map_err(text)?;
    let weights: Vec<u8> = (0..=255_u8).cycle().take(cells).collect();
    Model::new(spec, vec![weights, 1024_i32.to_le_bytes().to_vec()]).map_err(text)
}

fn input(shape: &[u32]) -> InputSpec {
    InputSpec {
        name: "x".into(),
        dtype: BorderType::Fp32,
        shape: shape.to_vec(),
        encode: Encode::Quantise {
            multiplier: 1,
            shift: 0,
            min: -8,
            max: 7,
        },
    }
}
