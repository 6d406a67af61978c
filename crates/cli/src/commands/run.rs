//! `credence run`: answers, and signs what came of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use credence_base::ReceiptDigest;
use credence_node::oip::{TensorJson, write_tensors};
use credence_node::{Answer, AnswerError, Hosted, Question, Service};
use credence_receipt::BUNDLE_LEN_MAX;
use credence_store::file::{self, Access};
use credence_store::{FolderReceipts, MemoryReceipts};
use serde::Serialize;

use crate::args::RunArgs;
use crate::context::{Context, engine_options};
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::tensors;
use crate::view::tensors::text;

/// What `run --json` prints: the answer in the form of the Open Inference Protocol, and where its receipt is.
#[derive(Debug, Serialize)]
struct RunView {
    model_name: String,
    model_version: String,
    outputs: Vec<TensorJson>,
    receipt: String,
    bundle: String,
}

/// Runs a model on a file's tensors.
pub(crate) fn run(context: &mut Context, args: &RunArgs) -> Result<(), CliError> {
    let found = context.model(&args.model)?;
    let inputs = tensors::read_file(&args.input)?;
    let operator = context.operator()?;
    let hosted = Hosted::new(
        found.called,
        found.model,
        engine_options(args.engine.threads),
    )
    .map_err(|e| CliError::ours("the model cannot be run on this machine", e))?;

    let question = Question {
        inputs,
        nonce: args.nonce,
    };
    // With a file of its own the bundle is kept there and nowhere else.
    let service = Service::new(operator, Vec::new(), Box::new(MemoryReceipts::new(0)));
    let start = Instant::now();
    let execution = service
        .execute(&hosted, &question)
        .map_err(|e| refused(&e, args))?;
    let ran = start.elapsed();
    let start = Instant::now();
    let answer = service
        .sign_and_keep(&hosted, &question, execution)
        .map_err(|e| refused(&e, args))?;
    let signed = start.elapsed();
    let bundle = keep(context, args, &answer)?;

    context.console.say(&format!(
        "ran {} in {}; claimed and signed in {}",
        items(answer.positions),
        duration(ran),
        duration(signed)
    ));
    if context.console.json() {
        return context.console.data_json(&RunView {
            model_name: hosted.name().to_owned(),
            model_version: hosted.id().to_string(),
            outputs: write_tensors(&answer.outputs),
            receipt: answer.receipt.to_string(),
            bundle: bundle.display().to_string(),
        });
    }
    context.console.data(&text(&answer.outputs))?;
    context.console.flush()?;
    context.console.say(&format!(
        "receipt {}\nbundle  {}\nhint: `credence verify {}` runs it again and compares",
        answer.receipt,
        bundle.display(),
        bundle.display()
    ));
    Ok(())
}

/// Writes the bundle where it was asked for, else among the receipts.
fn keep(context: &Context, args: &RunArgs, answer: &Answer) -> Result<PathBuf, CliError> {
    let bytes = answer
        .bundle
        .encode()
        .map_err(|e| CliError::ours("the bundle cannot be written", e))?;
    if bytes.len() > BUNDLE_LEN_MAX {
        let what = format!(
            "the bundle has {} bytes, more than the {BUNDLE_LEN_MAX} that `verify` reads",
            bytes.len()
        );
        return Err(CliError::new(Exit::Usage, what).hint("send fewer items at once"));
    }
    if let Some(path) = &args.receipt {
        file::write(path, &bytes, Access::Owner)?;
        return Ok(path.clone());
    }
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let receipts = FolderReceipts::new(context.home()?.make_receipts()?, len_max);
    let digest: ReceiptDigest = answer.receipt;
    credence_store::Receipts::put(&receipts, digest, &bytes)?;
    Ok(receipts.path(digest))
}

fn refused(error: &AnswerError, args: &RunArgs) -> CliError {
    if error.is_clients() {
        let what = format!(
            "`{}` cannot be answered: {}",
            args.input.display(),
            chain(error)
        );
        return CliError::new(Exit::Malformed, what).hint(format!(
            "`credence model show {}` says what the model takes",
            args.model
        ));
    }
    CliError::new(Exit::Failed, chain(error))
}

/// `1 item`, `2 items`.
pub(crate) fn items(count: u64) -> String {
    if count == 1 {
        "1 item".to_owned()
    } else {
        format!("{count} items")
    }
}

/// A duration with three digits.
pub(crate) fn duration(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    if us < 1e3 {
        format!("{us:.3} µs")
    } else if us < 1e6 {
        format!("{:.3} ms", us / 1e3)
    } else {
        format!("{:.3} s", us / 1e6)
    }
}
