//! `credence demo --chat`: a question to a small chat model, its answer verified in a process of its own, and two lies that are caught.
//!
//! The model is the catalogue's; it is fetched and imported once, into the home folder. The first lie is told on the way: a word of the answer is
//! edited. The second is told by the operator, who edits the word before signing, so that everything fits: only running the model again gives it away.

use std::path::Path;

use credence_claim::{Opened, Openings};
use credence_generate::Output;
use credence_node::speech::issue::Outcome;
use credence_receipt::Bundle;
use serde::Serialize;
use serde_json::json;

use crate::args::{ChatArgs, EngineArgs, PullArgs};
use crate::commands::chat::{Said, Talker};
use crate::commands::demo_verify::{self, Asked, write};
use crate::commands::pull;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// The catalogue's model.
const MODEL: &str = "smollm2-135m";
const QUESTION: &str = "Name the three primary colours, and nothing else.";
/// What the demonstration leaves in the current folder.
const BUNDLE: &str = "demo.bundle.json";

/// What `demo --chat --json` prints.
#[derive(Debug, Serialize)]
struct DemoChatView {
    model: String,
    question: &'static str,
    answer: String,
    receipt: String,
    bundle: &'static str,
    verifications: Vec<Verification>,
}

/// One run of `credence verify`.
#[derive(Debug, Serialize)]
struct Verification {
    what: &'static str,
    exit_code: Option<i32>,
    expected_exit_code: u8,
}

struct Demo<'a> {
    context: &'a mut Context,
    folder: tempfile::TempDir,
}

/// Shows it all.
pub(crate) fn run(context: &mut Context, engine: EngineArgs) -> Result<(), CliError> {
    let folder = tempfile::tempdir()
        .map_err(|e| CliError::because(Exit::Io, "there is no place for temporary files", e))?;
    let mut demo = Demo { context, folder };
    demo.tell(
        "1. Fetch a small chat model, if it is not here, and make it an exact integer program\n",
    )?;
    demo.fetch()?;
    demo.tell(&format!("2. Ask it: {QUESTION}\n"))?;
    let (talker, said) = demo.ask(engine)?;
    write(Path::new(BUNDLE), &said.closed.bundle)?;
    demo.tell(&format!(
        "3. Verify it as a stranger would: a process that has `{BUNDLE}` and the model, and runs all tokens in one pass\n"
    ))?;
    let mut verifications = vec![demo.verify(Path::new(BUNDLE), "the honest bundle", 0)?];
    let lie = lie(&said.outcome);
    demo.tell(&format!(
        "4. Someone on the way edits the answer: {}\n",
        lie.output.text
    ))?;
    let copy = demo.folder.path().join("edited-on-the-way.bundle.json");
    write(&copy, &edited_on_the_way(&said, &lie.output)?)?;
    verifications.push(demo.verify(&copy, "edited on the way", Exit::Inconsistent.code())?);
    demo.tell("5. The operator itself tells the same lie, and signs it: signature and commitments are all in order\n")?;
    let copy = demo.folder.path().join("edited-before-signing.bundle.json");
    write(&copy, &talker.close(said.begun.clone(), &lie)?.bundle)?;
    verifications.push(demo.verify(&copy, "edited before signing", Exit::Refuted.code())?);
    demo.end(&talker, &said, verifications)
}

impl Demo<'_> {
    fn tell(&mut self, text: &str) -> Result<(), CliError> {
        demo_verify::tell(self.context, text)
    }

    /// Fetches the model unless it is here.
    fn fetch(&mut self) -> Result<(), CliError> {
        if self.context.model(MODEL).is_ok() {
            return Ok(());
        }
        if self.context.console.json() {
            let what = format!("there is no model called `{MODEL}` here");
            let hint = "`credence pull smollm2-135m` fetches it; with `--json` the demonstration prints one value alone";
            return Err(CliError::new(Exit::Missing, what).hint(hint));
        }
        pull::run(self.context, &PullArgs::of(MODEL))
    }

    fn ask(&mut self, engine: EngineArgs) -> Result<(Talker, Said), CliError> {
        let found = self.context.model(MODEL)?;
        let args = ChatArgs::of(MODEL, engine);
        let operator = self.context.operator()?;
        let talker = Talker::new(operator, found.model, &args)?;
        let messages = [json!({"role": "user", "content": QUESTION})];
        let console = &mut self.context.console;
        let quiet = console.json();
        let said = talker.say(&messages, |piece| {
            if quiet {
                return Ok(());
            }
            console.raw(piece.as_bytes())?;
            console.flush()
        })?;
        self.tell(&format!("\n\n   receipt {}\n", said.closed.receipt))?;
        Ok((talker, said))
    }

    /// Runs `credence verify` in a process of its own.
    fn verify(
        &mut self,
        bundle: &Path,
        what: &'static str,
        expected: u8,
    ) -> Result<Verification, CliError> {
        let home = self.context.home()?.path().to_owned();
        let asked = Asked {
            bundle,
            model: MODEL.as_ref(),
            home: Some(&home),
            what,
            expected,
        };
        Ok(Verification {
            exit_code: demo_verify::verify(self.context, &asked)?,
            what,
            expected_exit_code: expected,
        })
    }

    fn end(
        &mut self,
        talker: &Talker,
        said: &Said,
        verifications: Vec<Verification>,
    ) -> Result<(), CliError> {
        if self.context.console.json() {
            return self.context.console.data_json(&DemoChatView {
                model: talker.id().to_string(),
                question: QUESTION,
                answer: said.outcome.output.text.clone(),
                receipt: said.closed.receipt.to_string(),
                bundle: BUNDLE,
                verifications,
            });
        }
        self.tell(&format!(
            "The honest answer was accepted; both lies were refused, each for its own reason.\n\n\
             Try next:\n  credence chat {MODEL}\n  credence serve {MODEL}"
        ))
    }
}

/// The same run with other words: the tokens stay, the text does not.
fn lie(honest: &Outcome) -> Outcome {
    let mut words = honest.output.text.clone();
    words.push_str(" Trust me.");
    Outcome {
        output: Output::new(words, honest.output.tokens.clone()),
        ..honest.clone()
    }
}

/// The honest bundle with another opened answer.
fn edited_on_the_way(said: &Said, output: &Output) -> Result<Bundle, CliError> {
    let honest = said.closed.bundle.openings();
    let content = output
        .encode()
        .map_err(|e| CliError::ours("the edited answer cannot be written", e))?;
    let openings = Openings {
        output: honest.output.as_ref().map(|opened| Opened {
            salt: opened.salt,
            content,
        }),
        ..honest.clone()
    };
    Bundle::new(said.closed.bundle.receipt().clone(), openings, Vec::new())
        .map_err(|e| CliError::ours("the edited bundle cannot be made", e))
}
