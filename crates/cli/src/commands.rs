//! The commands, one file each.

mod audit;
mod auditor;
mod chat;
mod completions;
mod confidence;
mod demo;
mod demo_chat;
mod demo_verify;
mod dispute;
mod dispute_view;
mod events;
mod honeypots;
mod import;
mod import_encoder;
mod import_language;
mod key;
mod key_statement;
mod log;
mod model;
mod monitor;
mod prove;
mod pull;
mod run;
mod serve;
mod serve_log;
mod serve_receipts;
mod verify;
mod verify_evidence;
mod verify_shown;
mod verify_stream;
mod weights;
mod witness;

use crate::args::{Command, KeyCommand, ModelCommand, WeightsCommand};
use crate::context::Context;
use crate::error::CliError;

/// Does what the command line says.
pub(crate) fn run(context: &mut Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Model(ModelCommand::Import(args)) => import::run(context, &args),
        Command::Model(ModelCommand::List) => model::list(context),
        Command::Model(ModelCommand::Show { model }) => model::show(context, &model),
        Command::Model(ModelCommand::Rm { model }) => model::remove(context, &model),
        Command::Pull(args) => pull::run(context, &args),
        Command::Run(args) => run::run(context, &args),
        Command::Chat(args) => chat::run(context, &args),
        Command::Verify(args) => verify::run(context, &args),
        Command::Prove(args) => prove::run(context, &args),
        Command::Weights(WeightsCommand::Commit(args)) => weights::commit(context, &args),
        Command::Weights(WeightsCommand::Check { binding, model }) => {
            weights::check(context, &binding, model.as_deref())
        }
        Command::Audit(args) => audit::run(context, &args),
        Command::Dispute(command) => dispute::run(context, command),
        Command::Auditor(args) => auditor::run(context, &args),
        Command::Confidence(args) => confidence::run(context, &args),
        Command::Serve(args) => serve::run(context, &args),
        Command::Log(command) => log::run(context, command),
        Command::Witness { file, new } => witness::run(context, &file, new),
        Command::Monitor { file } => monitor::run(context, &file),
        Command::Demo(args) if args.chat => demo_chat::run(context, args.engine),
        Command::Demo(args) => demo::run(context, &args),
        Command::Key(KeyCommand::Show) => key::show(context),
        Command::Key(KeyCommand::Rotate { to, statement }) => {
            key_statement::rotate(context, to, &statement)
        }
        Command::Key(KeyCommand::Expire { at, statement }) => {
            key_statement::expire(context, at, &statement)
        }
        Command::Key(KeyCommand::Revoke { since, statement }) => {
            key_statement::revoke(context, since, &statement)
        }
        Command::Completions { shell } => completions::run(context, shell),
    }
}
