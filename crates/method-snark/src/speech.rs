//! What a claim about a language model says, decoded: the tokens of its run, and what must follow from the logits that a proof shows.
//!
//! ```text
//! Case ─▶ Speech { tokens, sampled positions } ─circuit, proof─▶ logits ─▶ every token drawn anew, words, finish: the claimed ones
//! Case ─▶ Speech { tokens, the last position } ─circuit, proof─▶ an encoder's vector, decoded: the claimed one
//! ```
//!
//! Tokens are drawn by the one implementation there is, so all parameters but a grammar are checked, whatever they are. It deliberately runs no model, and knows no proof.

use credence_base::Profile;
use credence_claim::seed::{Request, derive};
use credence_claim::{
    Case, ClaimFields, Fact, FinishReason, MethodError, Part, Refutation, SeedSource, commitment,
};
use credence_exec::sampling::Parameters;
use credence_generate::{
    Content, Finish, Generation, GenerationError, Limits, Output, Prompt, PromptError,
};
use credence_model::{
    BorderValueError, Decode, LanguageSpec, Tensor, TensorError, Tensors, decode_elements,
};
use credence_text::{Text, TextError, TextSpec};

use crate::circuit::Extent;
use crate::known::Known;
use crate::subject::{check_fixed, check_params, malformed};

/// The name of the one tensor that an encoder's output holds.
const EMBEDDING: &str = "embedding";

/// Why contents have no sense, or a model has no text.
#[derive(Debug, thiserror::Error)]
enum SpeechError {
    #[error("this model takes tensors, not text")]
    NotLanguage,
    #[error("the model's tokeniser or template is refused")]
    Text(#[from] TextError),
    #[error("the model's tokeniser has {got} tokens, its program {expected}: import it again")]
    Vocabulary { expected: usize, got: usize },
    #[error("an embedding is of a text or of tokens, not of a conversation")]
    Conversation,
    #[error("the answer has no token")]
    Empty,
    #[error("token {got} is not in the model's vocabulary of {vocabulary}")]
    Token { got: u32, vocabulary: u32 },
    #[error("the run has {got} tokens, more than the model's context of {max}")]
    Context { got: usize, max: usize },
    #[error("the logits are not those of the answer's positions")]
    Logits,
    #[error("the vector cannot be decoded")]
    Decode(#[from] BorderValueError),
    #[error("the vector is no tensor")]
    Tensor(#[from] TensorError),
}

/// What must follow from what is shown.
#[derive(Debug)]
enum Told {
    /// An answer.
    Answer {
        drawn: Vec<u32>,
        parameters: Box<Parameters>,
        seed: [u8; 32],
        limits: Limits,
    },
    /// A vector.
    Vector(Decode),
}

/// A claim about a language model that can be proved.
#[derive(Debug)]
pub struct Speech<'a> {
    prompt: Prompt,
    tokens: Vec<u32>,
    text: Text,
    told: Told,
    bound: Vec<(&'static str, Vec<u8>)>,
    output: &'a [u8],
    finish: FinishReason,
    seed: SeedSource,
}

fn refuted<T>(refutation: Refutation) -> Result<T, MethodError> {
    Err(MethodError::Refuted(refutation))
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn narrow(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl<'a> Speech<'a> {
    /// Reads a claim about this language model.
    ///
    /// # Errors
    /// [`MethodError`]: something is not opened, has no sense, or contradicts the claim.
    pub fn read(model: &dyn Known, case: &Case<'a>) -> Result<Self, MethodError> {
        let language = model.program().spec().language.as_ref();
        let Some(language) = language else {
            return Err(malformed(Part::Input, SpeechError::NotLanguage));
        };
        let text = text(model, language).map_err(|e| MethodError::Failed(Box::new(e)))?;
        let prompt = Prompt::decode(case.input()?).map_err(|e| malformed(Part::Input, e))?;
        match prompt.check(&text) {
            Ok(()) => {}
            Err(PromptError::Ids) => return refuted(Refutation::Prompt),
            Err(error) => return Err(malformed(Part::Input, error)),
        }
        let output = case.output()?;
        let (run, told) = match &language.encoder {
            Some(encoder) => vector(&encoder.decode, &prompt, case)?,
            None => answer(language, &prompt, case)?,
        };
        let tokens = [prompt.ids(), run.as_slice()].concat();
        check_tokens(language, &tokens)?;
        let fields = case.claim().fields();
        let bound = vec![
            ("claim", case.claim().encode()),
            ("operator", case.operator().as_bytes().to_vec()),
            ("input", case.input()?.to_vec()),
            ("parameters", case.params()?.to_vec()),
            ("output", output.to_vec()),
        ];
        Ok(Self {
            prompt,
            tokens,
            text,
            told,
            bound,
            output,
            finish: fields.finish,
            seed: fields.seed,
        })
    }

    /// The tokens of the run.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// How long the run is, and how many of its last positions are sampled.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent {
            positions: self.tokens.len(),
            sampled: match &self.told {
                Told::Answer { drawn, .. } => drawn.len(),
                Told::Vector(_) => 1,
            },
        }
    }

    /// What a proof is bound to, with labels.
    #[must_use]
    pub fn bound(&self) -> Vec<(&str, &[u8])> {
        let pairs = self.bound.iter();
        pairs
            .map(|(label, bytes)| (*label, bytes.as_slice()))
            .collect()
    }

    /// Checks that the claimed answer follows from the cells of the logits at sampled positions, or the claimed vector from those of the embedding.
    ///
    /// # Errors
    /// [`MethodError`], naming the first token that differs.
    pub fn check(&self, case: &Case<'_>, cells: &[i64]) -> Result<(), MethodError> {
        match &self.told {
            Told::Vector(decode) => self.check_vector(case, decode, cells),
            Told::Answer {
                drawn,
                parameters,
                seed,
                limits,
            } => {
                let place = (*seed, self.prompt.choice());
                let mut generation = Generation::new(&self.text, parameters, place, *limits);
                let width = cells.len().checked_div(drawn.len()).unwrap_or(0);
                let mut logits = cells.chunks(width.max(1));
                for (index, &claimed) in drawn.iter().enumerate() {
                    let row = logits.next().unwrap_or_default();
                    draw(&mut generation, row, (index, claimed))?;
                }
                self.check_end(case, generation)
            }
        }
    }

    fn check_end(
        &self,
        case: &Case<'_>,
        mut generation: Generation<'_>,
    ) -> Result<(), MethodError> {
        let got = match generation.finish() {
            Some(Finish::Stop) => FinishReason::Stop,
            Some(Finish::Length) => FinishReason::Length,
            None => FinishReason::Cancelled,
        };
        if self.finish != got {
            let claimed = self.finish;
            return refuted(Refutation::Finish { claimed, got });
        }
        if generation.finish().is_none() {
            generation.cancel();
        }
        let content = generation.output().encode();
        case.check_output(&content.map_err(|e| malformed(Part::Output, e))?)
    }

    fn check_vector(
        &self,
        case: &Case<'_>,
        decode: &Decode,
        cells: &[i64],
    ) -> Result<(), MethodError> {
        let tensors = || -> Result<Tensors, SpeechError> {
            let elements = decode_elements(decode, cells)?;
            let tensor = Tensor::new(EMBEDDING, vec![wide(cells.len())], elements)?;
            Ok(Tensors::new(vec![tensor])?)
        };
        let made = tensors().map_err(|e| malformed(Part::Output, e))?;
        if made.encode() == self.output {
            return Ok(());
        }
        case.check_output(&made.encode())
    }

    /// What is not checked of such a claim, in words.
    #[must_use]
    pub fn unsaid(&self) -> Vec<String> {
        let (date, extra) = match self.prompt.content() {
            Content::Chat(chat) => (chat.date.is_some(), !chat.extra.is_empty()),
            Content::Text(_) | Content::Tokens => (false, false),
        };
        let all = [
            (
                true,
                "probabilities of tokens that came with the answer, if any did: they are answered, not claimed",
            ),
            (
                self.prompt.choice() > 0,
                "whether the client asked for as many answers as the number of this one says",
            ),
            (
                date,
                "whether the client sent the date that the template was given",
            ),
            (
                extra,
                "whether the client sent the further values that the template was given",
            ),
            (
                self.finish == FinishReason::Length,
                "whether the client asked for an answer no longer than this one, or left its length to the operator",
            ),
            (
                self.finish == FinishReason::Cancelled,
                "whether the client left: an answer that could have gone on was cut here, and the claim says that it was cancelled",
            ),
            (
                self.seed == SeedSource::Operator,
                "how the operator chose the seed: it may have tried many until it liked the answer (send a nonce or a seed)",
            ),
            (
                self.seed == SeedSource::Client,
                "whether the seed is the one that the client sent, as the claim says",
            ),
        ];
        let told = all.into_iter().filter(|(told, _)| *told);
        told.map(|(_, what)| what.to_owned()).collect()
    }
}

/// The tokeniser and template that the model pins.
fn text(model: &dyn Known, language: &LanguageSpec) -> Result<Text, SpeechError> {
    let param = model.param(language.text);
    let bytes = param.map(|param| param.bytes().to_vec());
    let text = Text::new(&TextSpec::from_bytes(&bytes.unwrap_or_default())?)?;
    let (expected, got) = (narrow(language.vocabulary), text.vocab_len());
    if got != expected {
        return Err(SpeechError::Vocabulary { expected, got });
    }
    Ok(text)
}

/// An encoder's claim: it runs the prompt, and its last position has the vector.
fn vector(
    decode: &Decode,
    prompt: &Prompt,
    case: &Case<'_>,
) -> Result<(Vec<u32>, Told), MethodError> {
    check_fixed(case)?;
    check_params(case)?;
    if matches!(prompt.content(), Content::Chat(_)) {
        return Err(malformed(Part::Input, SpeechError::Conversation));
    }
    check_counts(case, (prompt.ids().len(), 1))?;
    Ok((Vec::new(), Told::Vector(decode.clone())))
}

/// An answer's claim: what it runs beside the prompt, and what must follow.
fn answer(
    language: &LanguageSpec,
    prompt: &Prompt,
    case: &Case<'_>,
) -> Result<(Vec<u32>, Told), MethodError> {
    // Naming every field makes a new one an error here until someone decides how it is checked.
    let ClaimFields {
        profile: Profile::Exact1,
        model: _,
        input: _,
        params: _,
        output: _,
        trace: _,
        counts: _,
        finish: _,
        nonce: _,
        seed: _,
        constrained,
    } = case.claim().fields();
    let parameters = Parameters::decode(case.params()?).map_err(|e| malformed(Part::Params, e))?;
    // Which tokens a grammar allows is not known here: that is for a replay to check.
    match (constrained, &parameters.settings().grammar) {
        (None, None) => {}
        (Some(_), None) => {
            return refuted(Refutation::Feature {
                feature: "constrained decoding",
            });
        }
        (None, Some(_)) => return refuted(Refutation::Unconstrained),
        (Some(named), Some(_)) => return Err(MethodError::Missing(Fact::Engine(named.clone()))),
    }
    let output = Output::decode(case.output()?).map_err(|e| malformed(Part::Output, e))?;
    let seed = seed(case, &parameters)?;
    check_counts(case, (prompt.ids().len(), output.tokens.len()))?;
    let vocabulary = language.vocabulary;
    if let Some(&got) = output.tokens.iter().find(|&&token| token >= vocabulary) {
        return Err(malformed(
            Part::Output,
            SpeechError::Token { got, vocabulary },
        ));
    }
    let Some((_, run)) = output.tokens.split_last() else {
        return Err(malformed(Part::Output, SpeechError::Empty));
    };
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: narrow(language.context),
    };
    let told = Told::Answer {
        drawn: output.tokens.clone(),
        parameters: Box::new(parameters),
        seed,
        limits,
    };
    Ok((run.to_vec(), told))
}

fn check_tokens(language: &LanguageSpec, tokens: &[u32]) -> Result<(), MethodError> {
    let vocabulary = language.vocabulary;
    if let Some(&got) = tokens.iter().find(|&&token| token >= vocabulary) {
        return Err(malformed(
            Part::Input,
            SpeechError::Token { got, vocabulary },
        ));
    }
    let (got, max) = (tokens.len(), narrow(language.context));
    if got > max {
        return Err(malformed(Part::Output, SpeechError::Context { got, max }));
    }
    Ok(())
}

fn check_counts(case: &Case<'_>, (input, output): (usize, usize)) -> Result<(), MethodError> {
    let counts = case.claim().fields().counts;
    let (claimed, got) = (counts.input, wide(input));
    if claimed != got {
        return refuted(Refutation::InputCount { claimed, got });
    }
    let (claimed, got) = (counts.output, wide(output));
    if claimed != got {
        return refuted(Refutation::OutputCount { claimed, got });
    }
    Ok(())
}

/// The seed of all draws, from where the claim says that it comes.
fn seed(case: &Case<'_>, parameters: &Parameters) -> Result<[u8; 32], MethodError> {
    let fields = case.claim().fields();
    let given = parameters.settings().seed;
    let draws = parameters.settings().temperature > 0;
    match (fields.seed, given, fields.nonce) {
        (SeedSource::Nothing, None, _) if !draws => Ok([0; 32]),
        (SeedSource::Derived, None, Some(nonce)) if draws => Ok(derive(&Request {
            nonce,
            model: fields.model,
            input_root: commitment::input_root(case.input()?),
            params_root: commitment::params_root(case.params()?),
        })),
        (SeedSource::Client, Some(seed), _) if draws => Ok(seed),
        // A client that sent a nonce is owed the seed that follows from it.
        (SeedSource::Operator, Some(seed), None) if draws => Ok(seed),
        _ => refuted(Refutation::Seed),
    }
}

/// Draws one token anew.
fn draw(
    generation: &mut Generation<'_>,
    row: &[i64],
    (index, claimed): (usize, u32),
) -> Result<(), MethodError> {
    let logits = row.iter().map(|&cell| i32::try_from(cell));
    let logits: Result<Vec<i32>, _> = logits.collect();
    let Ok(logits) = logits else {
        return Err(malformed(Part::Evidence, SpeechError::Logits));
    };
    let index = wide(index);
    match generation.step(&logits) {
        Ok(piece) if piece.token == claimed => Ok(()),
        Ok(piece) => refuted(Refutation::Token {
            index,
            claimed,
            got: piece.token,
        }),
        Err(GenerationError::Ended) => refuted(Refutation::OutputLength { got: index }),
        Err(error) => Err(malformed(Part::Params, error)),
    }
}
