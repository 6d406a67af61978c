//! The command line of `verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use credence_base::{Name, Nonce, PublicKey};

use super::audits::Draws;
use super::{EngineArgs, parse_key};

/// What a file holds that `verify` checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum FileKind {
    /// A model's answer, held to the policy
    #[default]
    Answer,
    /// What a monitor or a witness keeps against a log
    Evidence,
    /// A log's two truths, as a receipt
    Equivocation,
    /// What becomes of an operator's key; a policy's `operators` and `[log]` are asked of it
    KeyStatement,
    /// Who lost a dispute
    Verdict,
}

/// Options of `verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence verify out.bundle.json\n  \
    credence verify out.bundle.json --model mine.safetensors\n  \
    credence verify out.bundle.json --policy policy.toml --json\n  \
    credence verify --stream answer.sse out.bundle.json\n  \
    credence verify --kind evidence log.example.com.evidence\n\n\
    Without --policy, a receipt must be signed and the model, run again, must give exactly its output and its trace. \
    Nothing is sent or fetched. A file that holds no answer is refused unless --kind names what it holds. A stream without \
    its bundle shows no more than a signature: ask for that with --require signed.\n\n\
    Exit codes: 0 the policy is met; 3 malformed; 4 bad signature; 5 the parts contradict each other; 6 policy unmet; \
    7 something is missing, such as the model; 8 refuted: the claim is false; 9 a file cannot be read; 1 a fault of this machine.")]
pub(crate) struct VerifyArgs {
    /// The bundle
    #[arg(required_unless_present = "stream")]
    pub(crate) bundle: Option<PathBuf>,
    /// What the file must hold: an answer, or one of the things that are confirmed whatever a policy says of answers
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub(crate) kind: FileKind,
    /// Check a streamed answer, saved as it came, and that the bundle, if one is given, is of its words
    #[arg(long, value_name = "FILE")]
    pub(crate) stream: Option<PathBuf>,
    /// The model it must be about: a name, an id, or a `.safetensors` file [default: the claimed one, from the home folder]
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// What to demand, in a TOML file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["operator", "require", "nonce", "max_age", "min_bits", "voucher"])]
    pub(crate) policy: Option<PathBuf>,
    /// Accept this operator's public key, 64 hexadecimal digits; may be repeated
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    pub(crate) operator: Vec<PublicKey>,
    /// Demand this method, `signed`, `replay`, `spot` or `snark`; may be repeated [default: signed and replay]
    #[arg(long, value_name = "METHOD")]
    pub(crate) require: Vec<Name>,
    /// Check the evidence of an audit against the 32 bytes that it drew, in hexadecimal, or `checkpoint`: the policy then names the log's witnesses
    #[arg(long, value_name = "SOURCE", requires = "bundle")]
    pub(crate) challenge: Option<Draws>,
    /// Cells that the audit drew
    #[arg(long, value_name = "N", default_value_t = 64, requires = "challenge")]
    pub(crate) cells: u32,
    /// Tokens that the audit drew again
    #[arg(long, value_name = "N", default_value_t = 1, requires = "challenge")]
    pub(crate) rows: u32,
    /// Demand that the claim holds this nonce
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<Nonce>,
    /// Honour this statement about an operator's key, a bundle; may be repeated
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub(crate) key_statement: Vec<PathBuf>,
    /// Refuse receipts that are older, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_age: Option<u64>,
    /// Check a proof with committed weights by this weights binding, a bundle, instead of by the model
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// Take this key's word for committed weights, 64 hexadecimal digits; may be repeated [default: anyone's, and the assurance says whose]
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    pub(crate) voucher: Vec<PublicKey>,
    /// Refuse a check that lets a wrong output pass with a chance of more than 2^-BITS, 1 to 128
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(1..=128))]
    pub(crate) min_bits: Option<u32>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}
