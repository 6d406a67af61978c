//! The command line of succinct proofs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{EngineArgs, LogArgs};

/// Options of `prove`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence prove out.bundle.json\n  \
    credence prove out.bundle.json --security 128 --out proved.bundle.json\n  \
    credence verify out.bundle.json --require snark --min-bits 100\n\n\
    Tensor models, encoders and language models (whatever draws their tokens but a grammar); what has no proof is refused by name. Whoever checks the proof reads the model's weights once \
    and runs nothing. The proof hides nothing: it may show values of the run.")]
pub(crate) struct ProveArgs {
    /// The bundle, with its openings
    pub(crate) bundle: PathBuf,
    /// The model: a name, an id, or a `.safetensors` file [default: the claimed one, from the home folder]
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Bits of security that the proof aims at, 100 or 128
    #[arg(long, alias = "bits", value_name = "BITS", default_value_t = 100, value_parser = parse_bits)]
    pub(crate) security: u32,
    /// Whether whoever checks reads the weights (`public`), or a card that someone vouches for (`committed`; see `credence weights`)
    #[arg(long, value_enum, default_value_t = WeightsMode::Public)]
    pub(crate) weights: WeightsMode,
    /// Write the bundle with the proof to FILE [default: in place of the bundle]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The most memory that the proof may take, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 8192)]
    pub(crate) memory: u64,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// How a proof's verifier knows the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsMode {
    /// It has the model.
    Public,
    /// It has a card, and someone's word.
    Committed,
}

/// What to do with commitments to weights.
#[derive(Debug, Subcommand)]
pub(crate) enum WeightsCommand {
    /// Commit to a model's weights, and sign and log that this is the commitment
    #[command(after_help = "Examples:\n  credence weights commit mine --out mine-weights.json")]
    Commit(WeightsCommitArgs),
    /// Derive the commitment again, and compare
    #[command(after_help = "Examples:\n  credence weights check mine-weights.json --model mine")]
    Check {
        /// The weights binding, a bundle
        binding: PathBuf,
        /// The model: a name, an id, or a `.safetensors` file [default: the one that the binding names, from the home folder]
        #[arg(long)]
        model: Option<String>,
    },
}

/// Options of `weights commit`.
#[derive(Debug, Args)]
pub(crate) struct WeightsCommitArgs {
    /// The model: a name, an id, or a `.safetensors` file
    pub(crate) model: String,
    /// Write the weights binding to FILE [default: named after the model, in the current folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

fn parse_bits(text: &str) -> Result<u32, String> {
    match text {
        "100" => Ok(100),
        "128" => Ok(128),
        _ => Err("a proof has 100 or 128 bits".to_owned()),
    }
}
