//! `credence demo`: the whole way on real digits, and two lies that are caught.
//!
//! Everything it needs is in the binary: a small model, calibration inputs and held-out digits (`models/README.md`).
//! Each verification is a process of its own, `credence verify`, which is given a bundle and a model's file and knows
//! nothing else.
//!
//! The first lie is told by someone on the way, who edits the answer: the commitment gives it away. The second is told by the operator,
//! who edits the answer *before* signing it, so that everything fits: only running the model again gives it away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_base::{ModelId, Name};
use credence_claim::{Opened, Openings};
use credence_exec::Execution;
use credence_hub::{Hub, parse_file};
use credence_model::{Elements, FILE_EXTENSION, Tensor, Tensors};
use credence_node::inference::issue;
use credence_node::{Answer, AnswerError, Draws, Hosted, Operator, Question, Service};
use credence_receipt::Bundle;
use credence_store::{Home, KeyFile, MemoryReceipts};
use credence_wiring::{FloatModel, Format};
use serde::Serialize;

use crate::args::DemoArgs;
use crate::commands::demo_verify::{self, Asked, write};
use crate::commands::import::{Source, make, refused};
use crate::context::{Context, engine_options};
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::tensors::{TENSORS_BYTES_MAX, read_npz};
use crate::view::digits::{SIDE, row};
use crate::view::fidelity::FidelityView;

const MODEL: &[u8] = include_bytes!("../../../../models/digits-cnn.onnx");
const CALIBRATE: &[u8] = include_bytes!("../../../../models/digits-cnn.calibrate.npz");
const INPUTS: &[u8] = include_bytes!("../../../../models/digits-cnn.inputs.npz");
const LABELS: &[u8] = include_bytes!("../../../../models/digits-cnn.labels.npz");

/// What the demonstration leaves in the current folder.
const BUNDLE: &str = "demo.bundle.json";

/// How many digits are asked about, and how many stand in a row.
const DIGITS: usize = 8;
const DIGITS_IN_ROW: usize = 4;

const PIXELS: usize = SIDE * SIDE;

/// What `demo --json` prints.
#[derive(Debug, Serialize)]
struct DemoView {
    model: String,
    model_file: String,
    home: String,
    bundle: String,
    labels: Vec<i64>,
    answers: Vec<i64>,
    verifications: Vec<VerificationView>,
}

/// One run of `credence verify`.
#[derive(Debug, Serialize)]
struct VerificationView {
    bundle: String,
    what: &'static str,
    exit_code: Option<i32>,
    expected_exit_code: u8,
}

/// What the steps share.
struct Demo<'a> {
    context: &'a mut Context,
    home: Home,
    folder: PathBuf,
    model_file: PathBuf,
}

/// Digits with what is known about them.
struct Digits {
    images: Tensors,
    pixels: Vec<f32>,
    labels: Vec<i64>,
}

/// Shows it all.
pub(crate) fn run(context: &mut Context, args: &DemoArgs) -> Result<(), CliError> {
    let folder = tempfile::Builder::new()
        .prefix("credence-demo-")
        .tempdir()
        .map_err(|e| CliError::because(Exit::Io, "there is no place for temporary files", e))?
        .keep();
    let mut demo = Demo {
        context,
        home: Home::at(folder.join("home")),
        model_file: PathBuf::new(),
        folder,
    };
    let hosted = demo.import(args)?;
    let digits = digits()?;
    let (question, answer) = demo.ask(&hosted, &digits)?;
    let answers = best(&answer.outputs)?;

    demo.tell(&format!("4. Verify it as a stranger would: a process that has `{BUNDLE}` and the model's file, no more\n"))?;
    let mut verifications = vec![demo.verify(Path::new(BUNDLE), "the honest bundle", 0)?];

    let lie = edited(&answer.outputs)?;
    let copy = demo.folder.join("edited-on-the-way.bundle.json");
    write(&copy, &edit_on_the_way(&answer, &lie.outputs)?)?;
    demo.tell(&format!(
        "5. Someone on the way edits one byte of the answer: the score of {} becomes {}, and the first digit a {}\n",
        lie.label, lie.score, lie.becomes
    ))?;
    verifications.push(demo.verify(&copy, "edited on the way", Exit::Inconsistent.code())?);

    let copy = demo.folder.join("edited-before-signing.bundle.json");
    write(
        &copy,
        &demo.lie(hosted.id(), &hosted, &question, lie.outputs)?,
    )?;
    demo.tell(
        "6. The operator itself tells the same lie, and signs it: signature and commitments are all in order\n",
    )?;
    verifications.push(demo.verify(&copy, "edited before signing", Exit::Refuted.code())?);
    demo.end(&DemoView {
        model: hosted.id().to_string(),
        model_file: demo.model_file.display().to_string(),
        home: demo.home.path().display().to_string(),
        bundle: BUNDLE.to_owned(),
        labels: digits.labels,
        answers,
        verifications,
    })
}

impl Demo<'_> {
    fn tell(&mut self, text: &str) -> Result<(), CliError> {
        demo_verify::tell(self.context, text)
    }

    fn import(&mut self, args: &DemoArgs) -> Result<Hosted, CliError> {
        self.tell(
            "1. Import a float model, `models/digits-cnn.onnx`, as an exact integer program\n",
        )?;
        let inputs = read(CALIBRATE)?;
        let file = Path::new("digits-cnn.onnx");
        let float = parse_file(Format::Onnx, Arc::new(MODEL)).map_err(|e| refused(file, &e))?;
        let FloatModel::Tensors(model) = &float else {
            return Err(CliError::new(
                Exit::Failed,
                "the demo's model takes no tensors",
            ));
        };
        let made = make(
            &self.context.console,
            &Source {
                file,
                model,
                inputs: Some(&inputs),
                threads: args.engine.threads,
            },
        )?;
        let name = Name::new("digits-cnn").map_err(|e| CliError::ours("the demo's model", e))?;
        let hub = Hub::at(self.home.models());
        let kept = hub.put(&made.model, &made.provenance, &name)?;
        // A copy under a short name, which is easier to read and to type than an id.
        self.model_file = self.folder.join(format!("{name}.{FILE_EXTENSION}"));
        std::fs::copy(&kept, &self.model_file)
            .map_err(|e| CliError::because(Exit::Io, "the model's file cannot be copied", e))?;
        if let Some(measured) = &made.measured {
            self.tell(&format!("{}\n", FidelityView::new(measured).text()))?;
        }
        let text = format!(
            "   model {}\n   file  {}\n",
            made.model.id(),
            self.model_file.display()
        );
        self.tell(&text)?;
        Hosted::new(
            name.as_str().to_owned(),
            made.model,
            engine_options(args.engine.threads),
        )
        .map_err(|e| CliError::ours("the model cannot be run on this machine", e))
    }

    fn ask(&mut self, hosted: &Hosted, digits: &Digits) -> Result<(Question, Answer), CliError> {
        self.tell(&format!(
            "2. Run it on {DIGITS} digits that it has not seen\n"
        ))?;
        let service = Service::new(
            self.operator()?,
            Vec::new(),
            Box::new(MemoryReceipts::new(0)),
        );
        let question = Question {
            inputs: digits.images.clone(),
            nonce: None,
        };
        let answer = service
            .answer(hosted, &question)
            .map_err(|e| unexpected(&e))?;
        let answers = best(&answer.outputs)?;
        let images: Vec<&[f32]> = digits.pixels.chunks(PIXELS).collect();
        let words: Vec<String> = answers
            .iter()
            .zip(&digits.labels)
            .map(|(answer, label)| format!("answer {answer}, is {label}"))
            .collect();
        let rows = images
            .chunks(DIGITS_IN_ROW)
            .zip(words.chunks(DIGITS_IN_ROW));
        for (images, words) in rows {
            self.tell(&format!("{}\n", row(images, words)))?;
        }
        write(Path::new(BUNDLE), &answer.bundle)?;
        self.tell(&format!(
            "3. Claim and sign it: `{BUNDLE}`\n\n   receipt {}\n",
            answer.receipt
        ))?;
        Ok((question, answer))
    }

    fn operator(&self) -> Result<Operator, CliError> {
        let (key, _) = KeyFile::at(self.home.operator_key()).read_or_make()?;
        Ok(Operator::new(key))
    }

    /// Runs `credence verify` in a process of its own.
    fn verify(
        &mut self,
        bundle: &Path,
        what: &'static str,
        expected: u8,
    ) -> Result<VerificationView, CliError> {
        let asked = Asked {
            bundle,
            model: self.model_file.as_os_str(),
            home: None,
            what,
            expected,
        };
        Ok(VerificationView {
            exit_code: demo_verify::verify(self.context, &asked)?,
            bundle: bundle.display().to_string(),
            what,
            expected_exit_code: expected,
        })
    }

    /// The operator runs the model as asked, replaces the answer, and signs that.
    fn lie(
        &self,
        id: ModelId,
        hosted: &Hosted,
        question: &Question,
        outputs: Tensors,
    ) -> Result<Bundle, CliError> {
        let operator = self.operator()?;
        let service = Service::new(operator, Vec::new(), Box::new(MemoryReceipts::new(0)));
        let honest = service
            .execute(hosted, question)
            .map_err(|e| unexpected(&e))?;
        let execution = Execution { outputs, ..honest };
        let draws = Draws::from_system().map_err(|e| unexpected(&e))?;
        let answer = issue(service.operator(), id, question, execution, &draws);
        Ok(answer
            .map_err(|e| CliError::ours("the lie cannot be signed", e))?
            .bundle)
    }

    fn end(&mut self, view: &DemoView) -> Result<(), CliError> {
        if self.context.console.json() {
            return self.context.console.data_json(view);
        }
        self.tell(&format!(
            "The honest answer was accepted; both lies were refused, each for its own reason.\n\n\
             Try next:\n  credence verify {BUNDLE} --model {}\n  credence serve --home {}",
            view.model_file, view.home
        ))
    }
}

/// The first digits of the held-out set, with their labels.
fn digits() -> Result<Digits, CliError> {
    let odd = || CliError::new(Exit::Failed, "the demo's digits are not as they should be");
    let (inputs, labels) = (read(INPUTS)?, read(LABELS)?);
    let (image, label) = (inputs.iter().next(), labels.iter().next());
    let (Some(image), Some(label)) = (image, label) else {
        return Err(odd());
    };
    let (Elements::Fp32(pixels), Elements::Int64(labels)) = (image.elements(), label.elements())
    else {
        return Err(odd());
    };
    let pixels = pixels.get(..DIGITS * PIXELS).ok_or_else(odd)?.to_vec();
    let labels = labels.get(..DIGITS).ok_or_else(odd)?.to_vec();
    let count = u64::try_from(DIGITS).unwrap_or(0);
    let shape = image.shape().get(1..).unwrap_or_default();
    let shape = [&[count], shape].concat();
    let images = Tensor::new(image.name(), shape, Elements::Fp32(pixels.clone()))
        .and_then(|tensor| Tensors::new(vec![tensor]))
        .map_err(|e| CliError::ours("the demo's digits are not as they should be", e))?;
    Ok(Digits {
        images,
        pixels,
        labels,
    })
}

fn read(npz: &[u8]) -> Result<Tensors, CliError> {
    read_npz(npz, TENSORS_BYTES_MAX)
        .map_err(|e| CliError::ours("the demo's data cannot be read", e))
}

/// The scores of the one output, by item.
fn scores(outputs: &Tensors) -> Result<(&Tensor, &[f32]), CliError> {
    let tensor = outputs.iter().next();
    match tensor.map(|tensor| (tensor, tensor.elements())) {
        Some((tensor, Elements::Fp32(all))) => Ok((tensor, all)),
        _ => Err(CliError::new(
            Exit::Failed,
            "the demo's model gives no scores",
        )),
    }
}

/// The class with the best score, for each item.
fn best(outputs: &Tensors) -> Result<Vec<i64>, CliError> {
    let (tensor, all) = scores(outputs)?;
    let classes = tensor.shape().last().copied().unwrap_or(1);
    let classes = usize::try_from(classes).unwrap_or(1).max(1);
    Ok(all.chunks(classes).map(best_of).collect())
}

fn best_of(scores: &[f32]) -> i64 {
    let best = scores
        .iter()
        .zip(0_i64..)
        .reduce(|a, b| if b.0 > a.0 { b } else { a });
    best.map_or(0, |(_, class)| class)
}

/// A false answer that differs in one byte.
struct Lie {
    outputs: Tensors,
    label: i64,
    score: f32,
    becomes: i64,
}

/// Turns the sign of the first item's best score: one bit of one byte.
fn edited(outputs: &Tensors) -> Result<Lie, CliError> {
    let (tensor, all) = scores(outputs)?;
    let label = best(outputs)?.first().copied().unwrap_or(0);
    let mut all = all.to_vec();
    let mut score = 0.0;
    if let Some(best) = usize::try_from(label).ok().and_then(|at| all.get_mut(at)) {
        *best = -*best;
        score = *best;
    }
    let outputs = Tensor::new(tensor.name(), tensor.shape().to_vec(), Elements::Fp32(all))
        .and_then(|tensor| Tensors::new(vec![tensor]))
        .map_err(|e| CliError::ours("the lie cannot be told", e))?;
    let becomes = best(&outputs)?.first().copied().unwrap_or(0);
    Ok(Lie {
        outputs,
        label,
        score,
        becomes,
    })
}

/// The honest bundle with another opened answer.
fn edit_on_the_way(answer: &Answer, outputs: &Tensors) -> Result<Bundle, CliError> {
    let honest = answer.bundle.openings();
    let openings = Openings {
        output: honest.output.as_ref().map(|opened| Opened {
            salt: opened.salt,
            content: outputs.encode(),
        }),
        ..honest.clone()
    };
    Bundle::new(answer.bundle.receipt().clone(), openings, Vec::new())
        .map_err(|e| CliError::ours("the edited bundle cannot be made", e))
}

fn unexpected(error: &AnswerError) -> CliError {
    CliError::new(Exit::Failed, chain(error))
}
