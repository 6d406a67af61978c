//! The command line of keys: showing them, and stating what becomes of them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use credence_base::PublicKey;

use super::{LogArgs, parse_key};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print the public key that receipts of this home are signed with
    #[command(
        after_help = "Examples:\n  credence key show\n  credence verify out.bundle.json --operator \"$(credence key show)\""
    )]
    Show,
    /// State that another key takes this one's place, and put it there
    #[command(
        after_help = "Examples:\n  credence key rotate\n  credence key rotate --to \"$(credence key show --home /srv/next)\"\n\n\
            Whoever accepts the old key accepts the new one with this statement (`credence verify --key-statement`), if a log that they believe shows it. \
            A new key is made and put in the old one's place, which is kept beside it; with `--to` no file changes."
    )]
    Rotate {
        /// The key that takes its place [default: a new one]
        #[arg(long, value_name = "KEY", value_parser = parse_key)]
        to: Option<PublicKey>,
        #[command(flatten)]
        statement: StatementArgs,
    },
    /// State that the key signs nothing after a time
    #[command(after_help = "Examples:\n  credence key expire --at 2027-12-31T23:59:59Z")]
    Expire {
        /// The last second in which it may sign, as in `2027-12-31T23:59:59Z`; a day alone means its first second
        #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
        at: u64,
        #[command(flatten)]
        statement: StatementArgs,
    },
    /// State that the key may be in wrong hands: no receipt that was not logged before counts
    #[command(
        after_help = "Examples:\n  credence key revoke\n  credence key revoke --since 2026-11-01 --out revoked.bundle.json"
    )]
    Revoke {
        /// The first second in which it may have been [default: now]
        #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
        since: Option<u64>,
        #[command(flatten)]
        statement: StatementArgs,
    },
}

/// Where a statement about a key goes.
#[derive(Debug, Args)]
pub(crate) struct StatementArgs {
    /// Write the statement to FILE [default: named after the key, in the current folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Have the server that runs at URL with this key log the statement, as only one process at a time writes a log
    #[arg(long, value_name = "URL", conflicts_with_all = ["log", "no_log", "log_s3", "log_index", "log_origin", "witness"])]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}
