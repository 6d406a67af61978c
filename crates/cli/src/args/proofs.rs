//! The command line of succinct proofs.

use std::path::PathBuf;

use clap::Args;

use super::EngineArgs;

/// Options of `prove`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence prove out.bundle.json\n  \
    credence prove out.bundle.json --security 128 --out proved.bundle.json\n  \
    credence verify out.bundle.json --require snark --min-bits 100\n\n\
    Tensor models of the ops of arithmetic.md, section 5 (no attention, no norms by their own scale); what has no proof is refused by name. Whoever checks the proof reads the model's weights once \
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
    /// Write the bundle with the proof to FILE [default: in place of the bundle]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The most memory that the proof may take, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 8192)]
    pub(crate) memory: u64,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

fn parse_bits(text: &str) -> Result<u32, String> {
    match text {
        "100" => Ok(100),
        "128" => Ok(128),
        _ => Err("a proof has 100 or 128 bits".to_owned()),
    }
}
