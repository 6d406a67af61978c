//! Times Credence on the shipped models: running, tracing, making a receipt, replaying.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use credence_base::SigningKey;
use credence_exec::{Engine, Isa, Options};
use credence_format_onnx::{FILE_BYTES_MAX, Limits, Onnx};
use credence_import::{Clipping, ImportOptions, import};
use credence_method_replay::Replay;
use credence_model::{Elements, Model, Tensor, Tensors};
use credence_node::inference::{Draws, Operator, Question, issue};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_verify::{Facts, Policy, check};
use zeroize::Zeroizing;

use super::kernels::{Kernel, kernels, multiply_adds};
use super::measure::{Figures, measure};
use super::middle;

/// One model of `models/`, imported, with its held-out inputs.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) model: Arc<Model>,
    inputs: Tensors,
}

/// What was measured of one model at one batch size.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Answer and trace.
    pub(crate) run: Figures,
    /// Answer, trace, and the trace's root.
    pub(crate) run_and_root: Figures,
    /// The trace's root alone.
    pub(crate) root: Figures,
    /// Run, root and receipt.
    pub(crate) receipt: Figures,
    /// A whole check under the strict policy.
    pub(crate) verify: Figures,
    pub(crate) trace_bytes: usize,
}

impl Case {
    /// The median of each figure over rounds.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let of = |get: fn(&Self) -> Figures| middle(&rounds.iter().map(get).collect::<Vec<_>>());
        Self {
            run: of(|case| case.run),
            run_and_root: of(|case| case.run_and_root),
            root: of(|case| case.root),
            receipt: of(|case| case.receipt),
            verify: of(|case| case.verify),
            trace_bytes: rounds.first().map_or(0, |case| case.trace_bytes),
        }
    }
}

/// The one array of an npz, which is f32.
fn tensors(bytes: &[u8]) -> Result<Tensors, String> {
    let mut archive = npyz::npz::NpzArchive::new(std::io::Cursor::new(bytes)).map_err(text)?;
    let name = archive
        .array_names()
        .next()
        .ok_or("an empty archive")?
        .to_owned();
    let array = archive
        .by_name(&name)
        .map_err(text)?
        .ok_or("no such array")?;
    let shape = array.shape().to_vec();
    let elements = Elements::Fp32(array.into_vec().map_err(text)?);
    Tensors::new(vec![Tensor::new(name, shape, elements).map_err(text)?]).map_err(text)
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl Subject {
    /// Imports `models/NAME.onnx` as the command line does.
    ///
    /// # Errors
    /// What the importer says.
    pub(crate) fn import(root: &Path, name: &'static str) -> Result<Self, String> {
        let file = |ending: &str| {
            let path = root.join("models").join(format!("{name}.{ending}"));
            std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let calibration = tensors(&file("calibrate.npz")?)?;
        let onnx = Onnx::parse(
            &file("onnx")?,
            Limits {
                bytes_max: FILE_BYTES_MAX,
            },
        )
        .map_err(text)?;

        let options = ImportOptions {
            calibration: Some(&calibration),
            clipping: Clipping::LeastError,
            source: &[],
        };
        let model = import(onnx.graph(), &options).map_err(text)?.model;
        Ok(Self {
            name,
            model: Arc::new(model),
            inputs: tensors(&file("inputs.npz")?)?,
        })
    }

    /// Multiply-adds of one position.
    pub(crate) fn multiply_adds(&self) -> u64 {
        let program = self.model.program();
        let all = program.nodes().map(|(id, _, _)| multiply_adds(program, id));
        u64::try_from(all.sum::<usize>()).unwrap_or(u64::MAX)
    }

    /// What each kernel takes of runs of one batch size, on one thread.
    ///
    /// # Errors
    /// What any of the calls fails with.
    pub(crate) fn kernels(&self, batch: usize, seconds: f64) -> Result<Vec<Kernel>, String> {
        let options = Options {
            threads: NonZeroUsize::MIN,
            isa: Isa::detect(),
        };
        let engine = Engine::new(Arc::clone(&self.model), options).map_err(text)?;
        let engine = engine.timed();
        let request = self.batch(0, batch)?;
        let mut runs = 0;
        measure(seconds, || {
            runs += 1;
            engine.run(&request).map(drop).map_err(text)
        })?;
        let positions = super::language::real(runs * batch);
        Ok(kernels(
            self.model.program(),
            &engine.step_times(),
            positions,
        ))
    }

    /// `batch` rows beginning at row `first`, which wraps around.
    fn batch(&self, first: usize, batch: usize) -> Result<Tensors, String> {
        let tensor = self.inputs.iter().next().ok_or("no input")?;
        let Elements::Fp32(rows) = tensor.elements() else {
            return Err("inputs are not FP32".to_owned());
        };
        let (count, shape) = tensor.shape().split_first().ok_or("no batch axis")?;
        let count = usize::try_from(*count).map_err(text)?;
        let width = rows.len() / count;
        let picked = (0..batch).flat_map(|k| {
            rows.iter()
                .skip((first + k) % count * width)
                .take(width)
                .copied()
        });
        let shape = [u64::try_from(batch).map_err(text)?]
            .into_iter()
            .chain(shape.iter().copied())
            .collect();
        let tensor =
            Tensor::new(tensor.name(), shape, Elements::Fp32(picked.collect())).map_err(text)?;
        Tensors::new(vec![tensor]).map_err(text)
    }

    /// Times everything at one batch size. Calls rotate over distinct real inputs, as the peer's do.
    ///
    /// # Errors
    /// What any of the calls fails with.
    pub(crate) fn time(
        &self,
        batch: usize,
        threads: NonZeroUsize,
        seconds: f64,
    ) -> Result<Case, String> {
        let options = Options {
            threads,
            isa: Isa::detect(),
        };
        let engine = Engine::new(Arc::clone(&self.model), options).map_err(text)?;
        let requests = (0..32)
            .map(|k| self.batch(k * batch, batch))
            .collect::<Result<Vec<_>, _>>()?;
        let mut at = 0;
        let mut next = || {
            at = (at + 1) % requests.len();
            requests.get(at).ok_or("no request").map_err(str::to_owned)
        };
        let run = measure(seconds, || engine.run(next()?).map(drop).map_err(text))?;
        let run_and_root = measure(seconds, || {
            let execution = engine.run(next()?).map_err(text)?;
            std::hint::black_box(execution.trace.root());
            Ok(())
        })?;
        let execution = engine.run(next()?).map_err(text)?;
        let root = measure(seconds, || {
            std::hint::black_box(execution.trace.root());
            Ok(())
        })?;
        let trace_bytes = execution.trace.bytes().len();
        let (bundle, receipt) = self.receipt(&engine, next()?, seconds)?;
        let replay = Replay::new(Arc::clone(&self.model), options).map_err(text)?;
        let facts = Facts::at(TIME_UNIX_S);
        let verify = measure(seconds, || {
            check(&bundle, &Policy::strict(), &[&replay], &facts)
                .map(drop)
                .map_err(text)
        })?;
        Ok(Case {
            run,
            run_and_root,
            root,
            receipt,
            verify,
            trace_bytes,
        })
    }

    /// A bundle for one request, and the time to make it once run and traced.
    fn receipt(
        &self,
        engine: &Engine,
        request: &Tensors,
        seconds: f64,
    ) -> Result<(Bundle, Figures), String> {
        let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
        let question = Question {
            inputs: request.clone(),
            nonce: None,
        };
        let draws = Draws {
            salt_master: Zeroizing::new([2; 32]),
            time_unix_s: TIME_UNIX_S,
        };
        let make = || {
            let execution = engine.run(request).map_err(text)?;
            issue(&operator, self.model.id(), &question, execution, &draws).map_err(text)
        };
        // The run and its trace are part of the call; the caller subtracts them.
        let figures = measure(seconds, || make().map(drop))?;
        let bundle = make()?.bundle;
        let bytes = bundle.encode().map_err(text)?;
        Ok((
            Bundle::decode(&bytes, BUNDLE_LEN_MAX).map_err(text)?,
            figures,
        ))
    }
}

/// The time of the receipts and of the verifier: any will do.
const TIME_UNIX_S: u64 = 1_800_000_000;
