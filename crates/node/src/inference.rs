//! From a run to a signed answer: claim, commitments, receipt, bundle.
//!
//! Pure: the salts' master secret and the time are arguments ([`Draws`]).

use credence_base::{ModelId, Nonce, Profile, PublicKey, ReceiptDigest, Signature, SigningKey};
use credence_claim::chain::Head;
use credence_claim::{
    Claim, ClaimError, ClaimFields, Commitments, Counts, FinishReason, Opened, Openings, Roots,
    Salts, SeedSource, commitment,
};
use credence_exec::Execution;
use credence_generate::PromptError;
use credence_method_replay::TENSOR_PARAMS;
use credence_model::Tensors;
use credence_receipt::{Bundle, BundleError, Inference, SignError, Statement, sign};
use zeroize::Zeroizing;

/// Who answers.
#[derive(Debug)]
pub struct Operator {
    key: SigningKey,
    public_key: PublicKey,
}

impl Operator {
    /// Answers are signed with `key`.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        let public_key = key.public_key();
        Self { key, public_key }
    }

    /// Signs the head of a stream's chain.
    #[must_use]
    pub fn sign_head(&self, head: &Head) -> Signature {
        head.sign(&self.key)
    }

    /// The key that signs.
    pub(crate) const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The key that receipts name.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The inputs, in the client's order.
    pub inputs: Tensors,
    /// The client's nonce, if it sent one.
    pub nonce: Option<Nonce>,
}

/// What an answer needs that no program can compute: secret random bytes, and the time.
#[derive(Debug, Clone)]
pub struct Draws {
    /// Whence the salts of this one receipt come. Drawn again for each.
    pub salt_master: Zeroizing<[u8; 32]>,
    /// Seconds since 1970-01-01 UTC.
    pub time_unix_s: u64,
}

/// An answer with its receipt.
#[derive(Debug)]
pub struct Answer {
    /// The outputs, in the model's order.
    pub outputs: Tensors,
    /// Receipt and openings: for the client alone, since it shows input and output.
    pub bundle: Bundle,
    /// The digest that names the receipt.
    pub receipt: ReceiptDigest,
    /// Items of the batch.
    pub positions: u64,
}

/// Why no receipt could be made. None of these is the client's fault.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The claim contradicts itself.
    #[error("the claim cannot be made")]
    Claim(#[from] ClaimError),
    /// The receipt cannot be signed.
    #[error("the receipt cannot be signed")]
    Sign(#[from] SignError),
    /// The bundle cannot be put together.
    #[error("the bundle cannot be put together")]
    Bundle(#[from] BundleError),
    /// What was asked has no canonical form.
    #[error("what was asked cannot be written")]
    Prompt(#[from] PromptError),
}

/// Claims that `model` answered `question` by `execution`, and signs it.
///
/// # Errors
/// [`IssueError`].
pub fn issue(
    operator: &Operator,
    model: ModelId,
    question: &Question,
    execution: Execution,
    draws: &Draws,
) -> Result<Answer, IssueError> {
    let input = question.inputs.encode();
    let output = execution.outputs.encode();
    let roots = Roots {
        input: commitment::input_root(&input),
        params: commitment::params_root(TENSOR_PARAMS),
        output: commitment::output_root(&output),
        trace: execution.trace.root(),
    };
    let salts = Salts::derive(&draws.salt_master);
    let commitments = Commitments::new(&operator.public_key, &salts, &roots);
    let positions = execution.positions;
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model,
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts: Counts {
            input: positions,
            output: positions,
        },
        finish: FinishReason::Complete,
        nonce: question.nonce,
        seed: SeedSource::Nothing,
        constrained: None,
    })?;
    let opened = |salt, content| Some(Opened { salt, content });
    let openings = Openings {
        input: opened(salts.input, input),
        params: opened(salts.params, TENSOR_PARAMS.to_vec()),
        output: opened(salts.output, output),
        trace: Some(salts.trace),
    };
    let (bundle, receipt) = seal(operator, claim, openings, draws.time_unix_s)?;
    Ok(Answer {
        outputs: execution.outputs,
        bundle,
        receipt,
        positions,
    })
}

/// Signs a claim and puts its openings beside it.
pub(crate) fn seal(
    operator: &Operator,
    claim: Claim,
    openings: Openings,
    time_unix_s: u64,
) -> Result<(Bundle, ReceiptDigest), IssueError> {
    let statement = Statement::Inference(Inference {
        claim,
        operator: operator.public_key,
        time_unix_s,
    });
    let envelope = sign(&statement, &operator.key)?;
    let receipt = envelope.digest();
    Ok((Bundle::new(envelope, openings, Vec::new())?, receipt))
}
