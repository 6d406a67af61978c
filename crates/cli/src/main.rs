//! The one binary, `credence`.
//!
//! ```text
//! args ──▶ commands::* ──▶ hub, node, verify ──▶ view::* ──▶ Console (data on stdout, talk on stderr)
//!                                      └──▶ CliError ──▶ one line, a hint, an exit code
//! ```
//!
//! It deliberately holds no logic that another program would want: what a command does stands in the library crates,
//! here are words, files and exit codes. `verify` opens no socket.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod console;
mod context;
mod error;
mod exit;
mod policy;
mod tensors;
mod time;
mod view;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::console::Console;
use crate::context::Context;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut context = Context::new(Console::standard(cli.json), cli.home);
    let done = commands::run(&mut context, cli.command);
    // A command that failed keeps its own code, whether or not what it wrote arrived.
    let done = done.and_then(|()| context.console.flush());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(context.console.flush());
            context.console.say(&error.words());
            ExitCode::from(error.exit().code())
        }
    }
}
