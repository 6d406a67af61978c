//! The command line of those who check others' answers: audits, disputes, auditors, confidence.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use credence_base::{Digest, PublicKey};
use credence_log::VerifierKey;

use super::{EngineArgs, LogArgs, parse_key};

/// Whence the draws of a spot check come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draws {
    /// This machine's random bytes.
    Random,
    /// These bytes, which an audit drew.
    Drawn(Digest),
    /// The cosignatures of the checkpoint in the bundle's log proof.
    Checkpoint,
}

impl FromStr for Draws {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "random" => Ok(Self::Random),
            "checkpoint" => Ok(Self::Checkpoint),
            other => other.parse().map(Self::Drawn).map_err(|error| {
                format!("expected `random`, `checkpoint` or 64 hexadecimal digits: {error}")
            }),
        }
    }
}

/// Options of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence audit out.bundle.json --operator http://127.0.0.1:8191\n  \
    credence audit out.bundle.json --operator https://example.com --cells 256 --out audited.bundle.json\n  \
    credence audit out.bundle.json --operator https://example.com --challenge checkpoint --policy policy.toml\n\n\
    The bundle must be the whole one, with its openings: they entitle to see a part of the run. The operator runs the request again and opens what \
    this machine's random bytes draw. No model is needed: the program is checked against the 32 bytes of the model's id. What the check earns, \
    and with which bound, is printed; one wrong weight among millions is for `verify` with the model to find.\n\n\
    With --challenge checkpoint the draws follow from the receipt and from what witnesses signed of the log after it, so whoever has the bundle makes the same \
    draws, and nobody has to believe that this machine's bytes were random. The policy says which log and which witnesses.")]
pub(crate) struct AuditArgs {
    /// The bundle
    pub(crate) bundle: PathBuf,
    /// Where the operator answers
    #[arg(long, value_name = "URL")]
    pub(crate) operator: String,
    /// Whence the draws come: `random`, `checkpoint`, or 64 hexadecimal digits
    #[arg(long, value_name = "SOURCE", default_value = "random")]
    pub(crate) challenge: Draws,
    /// Names the log and its witnesses, in a TOML file; for `--challenge checkpoint`
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Cells to draw
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) cells: u32,
    /// Tokens of the answer to draw again; the last is always among them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) rows: u32,
    /// Write the evidence to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// What to do with disputes.
#[derive(Debug, Subcommand)]
pub(crate) enum DisputeCommand {
    /// Dispute an answer before a referee, with the model at hand
    #[command(after_help = "Examples:\n  \
        credence dispute open answer.bundle.json --referee http://127.0.0.1:8195\n  \
        credence dispute open answer.bundle.json --referee https://referee.example.com --out verdict.json\n\n\
        The answer is run again first; if nothing differs there is nothing to dispute. The referee leads both parties down to one cell, which decides. \
        The same command goes on with a dispute that is under way. The operator must serve with `--disputes` and this referee, or it loses by silence, which \
        shows nothing of the answer.\n\n\
        The verdict shows what was asked and answered: give it to those who may read that.")]
    Open(OpenArgs),
    /// Be the referee of other people's disputes, over HTTP
    #[command(after_help = "Examples:\n  \
        credence dispute referee\n  \
        credence dispute referee --listen 0.0.0.0:8195 --turn 3600 --state /var/lib/credence-referee\n\n\
        Needs no model and sees no run but what is opened to it. Every message is in a file before it counts, so a restart forgets nothing, and the referee's \
        clock stands still while it does not run. Verdicts are signed with this home's key.")]
    Referee(RefereeArgs),
    /// Print a dispute, message by message, with its verdict
    #[command(after_help = "Examples:\n  credence dispute show verdict.json")]
    Show {
        /// The verdict with its dispute
        file: PathBuf,
    },
    /// Reach a verdict again from the dispute in its bundle
    #[command(
        after_help = "Examples:\n  credence dispute verify verdict.json\n  credence dispute verify verdict.json --referee KEY\n\nExit code 8 if the referee's word is not what the dispute leads to."
    )]
    Verify {
        /// The verdict with its dispute
        file: PathBuf,
        /// Demand that this key signed it, 64 hexadecimal digits
        #[arg(long, value_name = "KEY", value_parser = parse_key)]
        referee: Option<PublicKey>,
    },
}

/// Options of `dispute open`.
#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// The bundle, with its openings
    pub(crate) bundle: PathBuf,
    /// Where the referee is
    #[arg(long, value_name = "URL")]
    pub(crate) referee: String,
    /// The referee's key, 64 hexadecimal digits: another that answers there is asked for nothing
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    pub(crate) referee_key: Option<PublicKey>,
    /// The claimed model: a name, an id, or a `.safetensors` file [default: the claimed one, from the home folder]
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Write the verdict here [default: the dispute's id, in the current folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Dispute even if nothing differs: the dispute is then lost
    #[arg(long)]
    pub(crate) anyway: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// Options of `dispute referee`.
#[derive(Debug, Args)]
pub(crate) struct RefereeArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8195")]
    pub(crate) listen: SocketAddr,
    /// The folder of disputes [default: `referee` in the home folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// How long each party has for each message, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=2_592_000))]
    pub(crate) turn: u32,
    /// Disputes under way at once; one more is refused
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) live_max: u16,
}

/// Options of `auditor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence auditor --operator http://127.0.0.1:8191 --log https://log.example.com KEY --keys receipts.txt --rate 0.05\n  \
    credence auditor --operator http://127.0.0.1:8191 --log https://log.example.com KEY --bundles answers/ --rate 1 --once\n  \
    credence auditor --operator http://127.0.0.1:8191 --prompts prompts.jsonl --honeypot-every 600\n\n\
    A log holds digests, and bundles are private: what is audited are answers whose bundles stand in --bundles, or whose lines `DIGEST KEY` stand in --keys, and \
    the answers to requests of its own, drawn from --prompts: a line each, {\"path\":\"/v1/chat/completions\",\"body\":{...}}, \
    with \"expect\":\"words\" where the answer is known, and \"model\":\"ID\" where the model is. Where the model is in the home \
    folder an answer is run again; else the operator is asked to open cells of the run.\n\n\
    Each audit is a signed receipt, in the folder and in this home's log unless --no-log. Exit code 8 if an answer was found false.")]
pub(crate) struct AuditorArgs {
    /// Where the operator answers
    #[arg(long, value_name = "URL")]
    pub(crate) operator: String,
    /// The operator's public key: whose receipts must come with the answers to --prompts
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    pub(crate) operator_key: Option<PublicKey>,
    /// A log to follow, a folder or an address, and its verifier key; may be given several times
    #[arg(long = "log", num_args = 2, value_names = ["PLACE", "KEY"], id = "followed")]
    pub(crate) logs: Vec<String>,
    /// The share of entries that is audited, 0 to 1, with at most six decimals
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = parse_share)]
    pub(crate) rate: u32,
    /// A folder of bundles that may be seen
    #[arg(long, value_name = "DIR")]
    pub(crate) bundles: Option<PathBuf>,
    /// A file with a line `DIGEST KEY` for each receipt that may be seen
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// Names logs, their witnesses and a quorum, in a TOML file: a checkpoint that does not meet it is not followed
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Requests to send as any client would, a JSON object in each line
    #[arg(long, value_name = "FILE", requires = "operator_key")]
    pub(crate) prompts: Option<PathBuf>,
    /// The mean time from one such request to the next, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, requires = "prompts", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) honeypot_every: u64,
    /// What such a request calls its sender
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "curl/8.5.0",
        requires = "prompts"
    )]
    pub(crate) user_agent: String,
    /// The auditor's folder [default: `auditor` in the home folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Seconds from one look to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) interval: u64,
    /// Ask at least so often before something counts as not answered
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tries: u32,
    /// … over at least so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) patience: u64,
    /// Look once, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Cells of a spot check
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) cells: u32,
    /// Where the audits are logged
    #[command(flatten)]
    pub(crate) own_log: OwnLogArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// The log of an auditor's own audits.
#[derive(Debug, Args)]
pub(crate) struct OwnLogArgs {
    /// Log the audits in this folder [default: `log` in the home folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Log no audit
    #[arg(long, conflicts_with = "audit_log")]
    pub(crate) no_log: bool,
}

impl OwnLogArgs {
    /// As a server would be told.
    pub(crate) fn log(&self) -> LogArgs {
        LogArgs {
            log: self.audit_log.clone(),
            no_log: self.no_log,
            log_s3: None,
            log_index: None,
            log_origin: None,
            witness: Vec::new(),
            quorum: None,
            log_wait: false,
            log_interval_ms: 250,
        }
    }
}

/// Options of `confidence`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence confidence answer.bundle.json\n  \
    credence confidence answer.bundle.json --audit-rate 0.05 --stake 1000\n  \
    credence confidence OPERATOR-KEY --audit-rate 0.05 --wrong 100\n\n\
    Of a bundle: what its check earns, each error with its number. Of an operator's key: the scoreboard of this home's auditor, with bounds on the rate of wrong \
    answers. With --audit-rate: the chance that a cheater is found, and the gain below which cheating does not pay. `docs/confidence.md` has the formulas. \
    Every number errs to the careful side.")]
pub(crate) struct ConfidenceArgs {
    /// A bundle, or an operator's public key in 64 hexadecimal digits
    pub(crate) subject: String,
    /// The share of answers that is audited, 0 to 1, with at most six decimals
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub(crate) audit_rate: Option<u32>,
    /// Audits are spot checks of so many cells [default: audits run the answer again]
    #[arg(long, value_name = "N", requires = "wrong_share", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) cells: Option<u32>,
    /// The share of a wrong answer's work that is wrong, 0 to 1: for --cells
    #[arg(long, value_name = "SHARE", requires = "cells", value_parser = parse_share)]
    pub(crate) wrong_share: Option<u32>,
    /// So many wrong answers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) wrong: u64,
    /// What a cheater loses when it is found, in any unit, a whole number
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) stake: Option<u64>,
    /// The scoreboard [default: that of the auditor of this home]
    #[arg(long, value_name = "FILE")]
    pub(crate) board: Option<PathBuf>,
    /// The bundle holds what an audit opened, by these draws: 64 hexadecimal digits, or `checkpoint`, with --policy
    #[arg(long, value_name = "SOURCE")]
    pub(crate) challenge: Option<Draws>,
    /// Cells that the audit drew
    #[arg(long, value_name = "N", default_value_t = 64, requires = "challenge")]
    pub(crate) drawn_cells: u32,
    /// Tokens that the audit drew again
    #[arg(long, value_name = "N", default_value_t = 1, requires = "challenge")]
    pub(crate) drawn_rows: u32,
    /// Names logs and witnesses, and how sure an attached spot check is to be, in a TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The model of a bundle [default: the claimed one, from the home folder]
    #[arg(long)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// A log's key.
pub(crate) fn parse_log_key(text: &str) -> Result<VerifierKey, String> {
    text.parse()
        .map_err(|error: credence_log::key::VerifierKeyError| crate::error::chain(&error))
}

/// A share of one, in millionths: digits, and at most six behind a point.
pub(crate) fn parse_share(text: &str) -> Result<u32, String> {
    let bad = || format!("`{text}` is no share: expected 0 to 1 with at most six decimals");
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) || decimals.len() > 6 || whole.len() > 1 {
        return Err(bad());
    }
    let whole: u32 = whole.parse().map_err(|_| bad())?;
    let decimals: u32 = format!("{decimals:0<6}").parse().map_err(|_| bad())?;
    let ppm = whole * 1_000_000 + decimals;
    if ppm > 1_000_000 {
        return Err(bad());
    }
    Ok(ppm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_exactly() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1_000_000)),
            ("1.0", Some(1_000_000)),
            ("0.05", Some(50_000)),
            ("0.000001", Some(1)),
            ("0.0000001", None),
            ("1.000001", None),
            ("2", None),
            (".5", None),
            ("0.", None),
            ("-0.5", None),
            ("5e-1", None),
            ("", None),
        ] {
            assert_eq!(parse_share(text).ok(), expected, "{text}");
        }
    }
}
