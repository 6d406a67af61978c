//! From a request to commitments, and from an answer to its receipt.
//!
//! ```text
//! Ask{prompt, parameters, nonce} ─begin(secrets)─▶ Begun{seed, commitments, Prefix of the stream} ─close(output, trace root, finish, time)─▶ Closed{receipt, bundle}
//! ```
//!
//! Pure: randomness and time are arguments. The commitments to input and parameters stand before the first token is drawn, since a stream's first chunk names them.

use credence_base::{
    ModelId, Name, NameError, Nonce, Profile, PublicKey, ReceiptDigest, TraceRoot,
};
use credence_claim::chain::Prefix;
use credence_claim::seed::{Request, derive};
use credence_claim::{
    Claim, ClaimFields, Commitments, ConstrainedDecoding, Counts, FinishReason, Opened, Openings,
    Roots, Salts, SeedSource, commitment,
};
use credence_exec::sampling::Parameters;
use credence_generate::{ENGINE, Output, OutputError, Prompt, PromptError, VERSION};
use credence_receipt::Bundle;
use zeroize::Zeroizing;

use crate::inference::{IssueError, Operator, seal};

/// What a client asks for, as one answer.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The model asked.
    pub model: ModelId,
    /// What it is asked.
    pub prompt: Prompt,
    /// How it is to answer; with a seed if the client chose one.
    pub parameters: Parameters,
    /// The client's nonce, if it sent one.
    pub nonce: Option<Nonce>,
}

/// Random bytes for one answer, drawn for it alone.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Whence its salts come.
    pub salt_master: Zeroizing<[u8; 32]>,
    /// The seed, if neither the client nor its nonce gives one. It becomes known with the parameters.
    pub seed: [u8; 32],
}

/// An answer that is committed to its input and parameters, and may be drawn.
#[derive(Debug, Clone)]
pub struct Begun {
    ask: Ask,
    operator: PublicKey,
    source: SeedSource,
    seed: [u8; 32],
    input: Vec<u8>,
    params: Vec<u8>,
    salts: Salts,
    roots: (credence_base::Digest, credence_base::Digest),
}

/// How an answer came out.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Text and tokens.
    pub output: Output,
    /// The inside of the run.
    pub trace_root: TraceRoot,
    /// Why it ends.
    pub finish: FinishReason,
}

/// A receipt, with what travels beside it.
#[derive(Debug)]
pub struct Closed {
    /// Receipt and openings: for the client alone.
    pub bundle: Bundle,
    /// The digest that names the receipt.
    pub receipt: ReceiptDigest,
}

/// Decides the seed and commits to input and parameters.
///
/// # Errors
/// [`PromptError::Json`] if a number in a message has no canonical form.
pub fn begin(operator: PublicKey, ask: Ask, secrets: &Secrets) -> Result<Begun, PromptError> {
    let mut ask = ask;
    let settings = ask.parameters.settings();
    let (source, given) = match (settings.temperature, settings.seed, ask.nonce) {
        (0, _, _) => (SeedSource::Nothing, None),
        (_, Some(seed), _) => (SeedSource::Client, Some(seed)),
        (_, None, Some(_)) => (SeedSource::Derived, None),
        (_, None, None) => (SeedSource::Operator, Some(secrets.seed)),
    };
    ask.parameters = ask.parameters.with_seed(given);
    let input = ask.prompt.encode()?;
    let params = ask.parameters.encode();
    let roots = (
        commitment::input_root(&input),
        commitment::params_root(&params),
    );
    let seed = match (source, ask.nonce) {
        (SeedSource::Derived, Some(nonce)) => derive(&Request {
            nonce,
            model: ask.model,
            input_root: roots.0,
            params_root: roots.1,
        }),
        (_, _) => given.unwrap_or_default(),
    };
    Ok(Begun {
        ask,
        operator,
        source,
        seed,
        input,
        params,
        salts: Salts::derive(&secrets.salt_master),
        roots,
    })
}

impl Begun {
    /// What is asked.
    #[must_use]
    pub const fn prompt(&self) -> &Prompt {
        &self.ask.prompt
    }

    /// How it is answered, with the seed where client or operator chose it.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.ask.parameters
    }

    /// Whence every draw comes; zeros if nothing is drawn.
    #[must_use]
    pub const fn seed(&self) -> [u8; 32] {
        self.seed
    }

    /// What a stream's first head is the digest of.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        let (input, params) = self.roots;
        Prefix {
            profile: Profile::Exact1,
            model: self.ask.model,
            input: commitment::input_commitment(&self.operator, &self.salts.input, &input),
            params: commitment::params_commitment(&self.operator, &self.salts.params, &params),
            nonce: self.ask.nonce,
            operator: self.operator,
        }
    }
}

/// Why a finished answer has no receipt. Never the client's fault.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// No claim or signature.
    #[error("no receipt can be made for the answer")]
    Issue(#[from] IssueError),
    /// The engine of a constrained decoding has no name that a claim can hold.
    #[error("the engine of constrained decodings has no proper name")]
    Engine(#[from] NameError),
    /// The answer has no canonical bytes.
    #[error("the answer cannot be written")]
    Output(#[from] OutputError),
}

/// The engine of a decoding whose parameters have a grammar.
fn constrained(parameters: &Parameters) -> Result<Option<ConstrainedDecoding>, NameError> {
    if parameters.settings().grammar.is_none() {
        return Ok(None);
    }
    Ok(Some(ConstrainedDecoding {
        engine: Name::new(ENGINE)?,
        version: Name::new(VERSION)?,
    }))
}

/// Claims that the model gave this answer, and signs it.
///
/// # Errors
/// [`CloseError`].
pub fn close(
    operator: &Operator,
    begun: Begun,
    outcome: &Outcome,
    time_unix_s: u64,
) -> Result<Closed, CloseError> {
    let output = outcome.output.encode()?;
    let (input_root, params_root) = begun.roots;
    let roots = Roots {
        input: input_root,
        params: params_root,
        output: commitment::output_root(&output),
        trace: outcome.trace_root,
    };
    let salts = begun.salts;
    let commitments = Commitments::new(operator.public_key(), &salts, &roots);
    let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model: begun.ask.model,
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts: Counts {
            input: count(begun.ask.prompt.ids().len()),
            output: count(outcome.output.tokens.len()),
        },
        finish: outcome.finish,
        nonce: begun.ask.nonce,
        seed: begun.source,
        constrained: constrained(&begun.ask.parameters)?,
    })
    .map_err(IssueError::from)?;
    let opened = |salt, content| Some(Opened { salt, content });
    let openings = Openings {
        input: opened(salts.input, begun.input),
        params: opened(salts.params, begun.params),
        output: opened(salts.output, output),
        trace: Some(salts.trace),
    };
    let (bundle, receipt) = seal(operator, claim, openings, time_unix_s)?;
    Ok(Closed { bundle, receipt })
}

#[cfg(test)]
mod tests {
    use credence_base::SigningKey;
    use credence_exec::sampling::Settings;
    use credence_receipt::Statement;

    use super::*;

    fn ask(temperature: u32, seed: Option<[u8; 32]>, nonce: Option<Nonce>) -> Ask {
        let settings = Settings {
            temperature,
            seed,
            ..Settings::neutral(5)
        };
        Ask {
            model: ModelId::from_bytes([1; 32]),
            prompt: Prompt::tokens(vec![1, 2, 3], 4).unwrap(),
            parameters: Parameters::new(settings).unwrap(),
            nonce,
        }
    }

    fn secrets() -> Secrets {
        Secrets {
            salt_master: Zeroizing::new([3; 32]),
            seed: [9; 32],
        }
    }

    fn operator() -> Operator {
        Operator::new(SigningKey::from_seed(&[1; 32]))
    }

    #[test]
    fn the_seed_comes_from_whom_the_claim_says() {
        let nonce = Some(Nonce::from_bytes([5; 32]));
        let client = Some([7; 32]);
        let cases = [
            (ask(0, None, None), SeedSource::Nothing, None),
            (ask(0, client, nonce), SeedSource::Nothing, None),
            (ask(1, client, None), SeedSource::Client, client),
            (ask(1, client, nonce), SeedSource::Client, client),
            (ask(1, None, nonce), SeedSource::Derived, None),
            (ask(1, None, None), SeedSource::Operator, Some([9; 32])),
        ];
        for (ask, source, in_params) in cases {
            let begun = begin(*operator().public_key(), ask, &secrets()).unwrap();
            assert_eq!(begun.source, source);
            assert_eq!(begun.parameters().settings().seed, in_params, "{source:?}");
            let (input_root, params_root) = begun.roots;
            let expected = match (source, nonce) {
                (SeedSource::Derived, Some(nonce)) => derive(&Request {
                    nonce,
                    model: begun.ask.model,
                    input_root,
                    params_root,
                }),
                _ => in_params.unwrap_or([0; 32]),
            };
            assert_eq!(begun.seed(), expected);
        }
    }

    #[test]
    fn the_claim_holds_what_the_prefix_promised() {
        let begun = begin(*operator().public_key(), ask(0, None, None), &secrets()).unwrap();
        let prefix = begun.prefix();
        let outcome = Outcome {
            output: Output::new("hi".to_owned(), vec![4, 5]),
            trace_root: TraceRoot::from_bytes([6; 32]),
            finish: FinishReason::Cancelled,
        };
        let closed = close(&operator(), begun, &outcome, 17).unwrap();
        let signed = closed.bundle.receipt().open().unwrap();
        let Statement::Inference(inference) = signed.statement() else {
            panic!("an inference");
        };
        let fields = inference.claim.fields();
        assert_eq!(
            (fields.input, fields.params, fields.model, fields.nonce),
            (prefix.input, prefix.params, prefix.model, prefix.nonce)
        );
        assert_eq!(
            (fields.counts.input, fields.counts.output, fields.finish),
            (3, 2, FinishReason::Cancelled)
        );
        assert_eq!(inference.time_unix_s, 17);
        assert_eq!(inference.operator, prefix.operator);
        assert_eq!(closed.receipt, closed.bundle.receipt().digest());
    }
}
