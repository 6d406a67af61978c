//! `credence auditor`: audits a sample of an operator's answers until it is told to stop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use credence_hub::Hub;
use credence_log::VerifierKey;
use credence_node::shutdown_signal;
use credence_store::KeyFile;
use credence_watch::auditor::{
    Auditor, AuditorEvent, AuditorSetup, Honeypots, Library, Means, ModelSource, Patience, Prompts,
    Times, board_path, run_auditor,
};
use credence_watch::cards::Cards;
use credence_watch::{Followed, Place};
use credence_witness::fetch::{Fetcher, Prefix};
use credence_witness::system_clock;

use crate::args::{AuditorArgs, parse_log_key};
use crate::commands::serve::log_to_stderr;
use crate::commands::serve_log::{self, Log};
use crate::commands::verify::read_policy;
use crate::commands::{confidence, events, honeypots};
use crate::context::{Context, engine_options};
use crate::error::CliError;
use crate::exit::Exit;

/// Tokens that are drawn again in a spot check.
const ROWS: u32 = 1;

/// Runs an auditor. It ends with a code of its own if an answer was found false.
pub(crate) fn run(context: &mut Context, args: &AuditorArgs) -> Result<(), CliError> {
    log_to_stderr();
    if args.logs.is_empty() && args.prompts.is_none() {
        return Err(CliError::new(Exit::Usage, "there is nothing to audit")
            .hint("`--log PLACE KEY` names a log, `--prompts FILE` requests to send"));
    }
    context.operator()?;
    let log = if args.own_log.no_log {
        None
    } else {
        Some(serve_log::open(context, &args.own_log.log())?)
    };
    let found = audit(context, args, log.as_ref());
    let closed = log.map_or(Ok(()), Log::close);
    let refuted = found?;
    closed?;
    if refuted {
        return Err(CliError::new(Exit::Refuted, "an answer was found false"));
    }
    Ok(())
}

fn audit(context: &mut Context, args: &AuditorArgs, log: Option<&Log>) -> Result<bool, CliError> {
    let refuted = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&refuted);
    let mut setup = setup(context, args)?;
    setup.publish = log.map(Log::publish);
    let folder = setup.folder.clone();
    let rounds = (Duration::from_secs(args.interval), args.once);
    events::run(&mut context.console, words, |send| {
        let stop = shutdown_signal()
            .map_err(|e| CliError::ours("the system takes no handler for signals", e))?;
        // Whoever listens to events lives as long as the auditor.
        setup.sink = Arc::new(move |event| drop(send.send(event)));
        let fail = |e| CliError::because(Exit::Io, "the auditor cannot run", e);
        let auditor = Auditor::open(setup).map_err(fail)?;
        Ok(async move {
            let found = run_auditor(auditor, rounds, stop).await.map_err(fail)?;
            told.store(found, Ordering::Relaxed);
            Ok(())
        })
    })?;
    let text = confidence::board_text(&board_path(&folder))?;
    context.console.say(&text);
    Ok(refuted.load(Ordering::Relaxed))
}

fn usage(what: String, error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::because(Exit::Usage, what, error)
}

/// The logs, each with what the policy asks of its checkpoints.
fn followed(args: &AuditorArgs) -> Result<Vec<Followed>, CliError> {
    let policy = match &args.policy {
        None => None,
        Some(path) => {
            let demand = read_policy(path)?.log.ok_or_else(|| {
                let what = format!("`{}` has no table `[log]`", path.display());
                CliError::new(Exit::Usage, what)
            })?;
            Some(demand.policy)
        }
    };
    let mut logs = Vec::new();
    for pair in args.logs.chunks(2) {
        let [place, key] = pair else {
            return Err(CliError::new(Exit::Usage, "a log is its place and its key"));
        };
        let log: VerifierKey = parse_log_key(key)
            .map_err(|words| CliError::new(Exit::Usage, format!("`{key}`: {words}")))?;
        if policy
            .as_ref()
            .is_some_and(|own| !own.logs().contains(&log))
        {
            let what = format!("the policy does not name the log `{key}`");
            return Err(CliError::new(Exit::Usage, what));
        }
        let parsed = Place::parse(place, Path::new("."))
            .map_err(|e| usage(format!("`{place}` is no place"), e))?;
        let source = parsed
            .open()
            .map_err(|e| CliError::because(Exit::Missing, "there is no log to follow", e))?;
        logs.push(Followed {
            log,
            source,
            policy: policy.clone(),
        });
    }
    Ok(logs)
}

fn honeypots(args: &AuditorArgs) -> Result<Option<Honeypots>, CliError> {
    // The one is not given without the other.
    let (Some(path), Some(operator)) = (&args.prompts, args.operator_key) else {
        return Ok(None);
    };
    let read = Prompts::read(path).and_then(|prompts| {
        prompts.check(honeypots::is_readable)?;
        Ok(prompts)
    });
    let prompts = read.map_err(|e| {
        let what = format!("`{}` cannot be used", path.display());
        CliError::because(Exit::Malformed, what, e)
    })?;
    Ok(Some(Honeypots {
        prompts,
        every_s: if args.once { 1 } else { args.honeypot_every },
        client: Fetcher::named(&args.user_agent),
        operator,
        same: Arc::new(honeypots::is_same),
    }))
}

fn setup(context: &Context, args: &AuditorArgs) -> Result<AuditorSetup, CliError> {
    let operator = Prefix::new(&args.operator)
        .map_err(|e| usage(format!("`{}` is no address", args.operator), e))?;
    let own = context.home()?.path().join("auditor");
    let folder = args.state.clone().unwrap_or(own);
    Ok(AuditorSetup {
        logs: followed(args)?,
        rate_ppm: args.rate,
        library: Library::new(args.bundles.clone(), args.keys.clone()),
        means: Means {
            models: models(context)?,
            options: engine_options(args.engine.threads),
            operator,
            cells: args.cells,
            rows: ROWS,
            cards: Cards::at(&folder.join("cards")),
        },
        honeypots: honeypots(args)?,
        times: Times {
            patience: Patience {
                tries: args.tries,
                over_s: args.patience,
            },
            ..Times::usual()
        },
        folder,
        key: KeyFile::at(context.home()?.operator_key()).read()?,
        clock: system_clock(),
        publish: None,
        sink: Arc::new(|_| {}),
    })
}

/// The models of this home. One that is damaged is none; the answer is then spot-checked.
fn models(context: &Context) -> Result<ModelSource, CliError> {
    let hub = Hub::at(context.home()?.models());
    Ok(Arc::new(move |id| match hub.load(id) {
        Ok(loaded) => Some(Arc::new(loaded.model)),
        Err(error) => {
            tracing::debug!(%error, "no model {id}");
            None
        }
    }))
}

fn words(event: &AuditorEvent) -> String {
    match event {
        AuditorEvent::Looked {
            log,
            size,
            new,
            drawn,
            unseen,
        } => format!(
            "`{log}`: {size} entries, {new} of them new; {drawn} drawn, {unseen} of those not ours to see"
        ),
        AuditorEvent::Audited {
            receipt,
            method,
            outcome,
            honeypot,
            words,
            ..
        } => {
            let own = if *honeypot { " (our own request)" } else { "" };
            let why = words.as_deref().map(|why| format!(": {why}"));
            format!(
                "{}receipt {receipt}{own}: {outcome} by {method}{}",
                if *outcome == "refuted" { "FALSE: " } else { "" },
                why.unwrap_or_default()
            )
        }
        AuditorEvent::Waits {
            receipt,
            tries,
            words,
        } => format!("receipt {receipt}: not answered {tries} times, asked again later: {words}"),
        AuditorEvent::NoAnswer { words, counted } => {
            let then = if *counted {
                ""
            } else {
                ", and is not counted yet"
            };
            format!("a request of our own had no answer with its receipt{then}: {words}")
        }
        AuditorEvent::LogFailed { log, words } => format!("`{log}` cannot be followed: {words}"),
        AuditorEvent::NotLogged { audit, words } => {
            format!("audit {audit} is kept and not logged: {words}")
        }
    }
}
