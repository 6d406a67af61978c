//! From a float model's file to a model that can be kept, with a report on how faithful it is.
//!
//! ```text
//! bytes ─Format::parse─▶ FloatModel::Tensors ─import─▶ Model
//!                            └─ float outputs on the calibration inputs ─▶ fidelity::measure ◀─ Model
//!                        FloatModel::Language ─▶ `language`
//! ```
//!
//! It decides nothing: whether the error is small enough is for whoever asked.

use std::sync::Arc;

use credence_import::fidelity::{Fidelity, FidelityError, measure};
use credence_import::language::{
    EncoderFidelityError, LanguageFidelityError, LanguageLowerError, SampleError, TextSpecError,
};
use credence_import::{
    Clipping, EvaluateError, Graph, ImportError, ImportOptions, Imported, Options, Tensors,
    evaluate, import,
};
use credence_model::{Model, Provenance};
use credence_wiring::{Bytes, FloatModel, Format, ParseError, TensorModel};

/// How far scales reach. On the shipped models all three ways are within noise of each other (`docs/spec/import.md`).
const CLIPPING: Clipping = Clipping::LeastError;

/// Why a file became no model.
#[derive(Debug, thiserror::Error)]
pub enum ImportFileError {
    /// The file is refused by its format.
    #[error("the file cannot be read")]
    Parse(#[source] Box<ParseError>),
    /// It does not become an integer program.
    #[error("the model cannot be imported")]
    Import(#[source] Box<ImportError>),
    /// No engine ran the float model, so there is nothing to compare with.
    #[error("the float model cannot be run on the calibration inputs")]
    Evaluate(#[from] EvaluateError),
    /// The comparison failed.
    #[error("the fidelity cannot be measured")]
    Fidelity(#[source] Box<FidelityError>),
    /// A language model's tokenizer is not taken.
    #[error("the model's text cannot be imported")]
    Text(#[source] Box<TextSpecError>),
    /// A text to calibrate or compare on gives no tokens.
    #[error("the {what} cannot be used")]
    Sample {
        /// Which text.
        what: &'static str,
        /// Why not.
        source: SampleError,
    },
    /// It does not become a language model's integer program.
    #[error("the language model cannot be imported")]
    Language(#[source] Box<LanguageLowerError>),
    /// The comparison of a language model failed.
    #[error("the language model's fidelity cannot be measured")]
    LanguageFidelity(#[source] Box<LanguageFidelityError>),
    /// The comparison of an encoder failed.
    #[error("the encoder's fidelity cannot be measured")]
    EncoderFidelity(#[source] Box<EncoderFidelityError>),
}

/// Whose float outputs the exact ones were compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloatReference {
    /// Of an engine that shares nothing with the importer.
    Independent,
    /// Of the importer's own reading of the model, in f64: a mistake in that reading would not be seen.
    Own {
        /// Why the independent engine could not run it.
        reason: String,
    },
}

/// How close a model comes to its float model.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The numbers.
    pub fidelity: Fidelity,
    /// Compared with whom.
    pub reference: FloatReference,
}

impl Measured {
    /// The one number that limits apply to, `0` for equal. The largest over all outputs of: the mean absolute error, as a share of
    /// the largest magnitude of the float output; and, where an output chooses, the share of rows for which it chooses otherwise.
    #[must_use]
    pub fn error(&self) -> f64 {
        let outputs = self.fidelity.outputs.iter();
        outputs.map(output_error).fold(0.0, f64::max)
    }
}

/// The error of one output, as [`Measured::error`] says.
#[must_use]
pub fn output_error(output: &credence_import::fidelity::OutputFidelity) -> f64 {
    let reals = output.errors.map_or(0.0, |errors| {
        if errors.mean > 0.0 {
            errors.mean / errors.magnitude.max(f64::MIN_POSITIVE)
        } else {
            0.0
        }
    });
    let choices = output.top_1.map_or(0.0, |top_1| 1.0 - top_1.share());
    reals.max(choices)
}

/// A model that was made from a file.
#[derive(Debug)]
pub struct Candidate {
    /// The model.
    pub model: Arc<Model>,
    /// Where it came from.
    pub provenance: Provenance,
    /// What was left out or taken to mean something, one sentence each.
    pub notes: Vec<String>,
    /// How close it comes; `None` without inputs to compare on.
    pub measured: Option<Measured>,
}

/// Reads a float model's file.
///
/// # Errors
/// [`ImportFileError::Parse`], naming the node, tensor or setting.
pub fn parse_file(format: Format, bytes: Bytes) -> Result<FloatModel, ImportFileError> {
    parse_file_with(format, bytes, &[])
}

/// As [`parse_file`], with sizes for the symbolic dimensions of a model of tensors, by name or as `input.axis`.
///
/// # Errors
/// As [`parse_file`]; also for a name that no input has.
pub fn parse_file_with(
    format: Format,
    bytes: Bytes,
    dims: &[(String, usize)],
) -> Result<FloatModel, ImportFileError> {
    format
        .parse_with(bytes, dims)
        .map_err(|e| ImportFileError::Parse(Box::new(e)))
}

/// Imports a model of tensors, calibrates with `inputs` if there are any, and measures on them.
///
/// # Errors
/// [`ImportFileError`], naming the node or tensor and the remedy.
pub fn import_tensors(
    float: &TensorModel,
    inputs: Option<&Tensors>,
    options: Options,
) -> Result<Candidate, ImportFileError> {
    let source = float.source();
    let Imported { model, provenance } = import(
        float.graph(),
        &ImportOptions {
            calibration: inputs,
            clipping: CLIPPING,
            source: &source,
        },
    )
    .map_err(|e| ImportFileError::Import(Box::new(e)))?;
    let model = Arc::new(model);
    let measured = match inputs {
        Some(inputs) => {
            let (outputs, reference) = float_outputs(float, inputs)?;
            let fidelity = measure(&model, inputs, &outputs, options)
                .map_err(|e| ImportFileError::Fidelity(Box::new(e)))?;
            Some(Measured {
                fidelity,
                reference,
            })
        }
        None => None,
    };
    Ok(Candidate {
        model,
        provenance,
        notes: float.notes().to_vec(),
        measured,
    })
}

fn float_outputs(
    float: &TensorModel,
    inputs: &Tensors,
) -> Result<(Tensors, FloatReference), EvaluateError> {
    let graph: &Graph = float.graph();
    match float.float_outputs(inputs) {
        Ok(outputs) => Ok((outputs, FloatReference::Independent)),
        Err(error) => {
            let reason = error.to_string();
            Ok((evaluate(graph, inputs)?, FloatReference::Own { reason }))
        }
    }
}
