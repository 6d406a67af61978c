//! `credence completions`: what a shell can complete.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::context::Context;
use crate::error::CliError;

pub(crate) fn run(context: &mut Context, shell: Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "credence", &mut script);
    context.console.raw(&script)
}
