//! `credence serve`: answers over HTTP until it is told to stop.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use credence_court::CourtClient;
use credence_method_spot::Demand;
use credence_node::http::Limits;
use credence_node::{Care, Disputing, Grace, Hosted, Logging, Service, serve, shutdown_signal};
use credence_store::Receipts;
use credence_witness::fetch::Prefix;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::args::ServeArgs;
use crate::commands::serve_log::{self, Log};
use crate::commands::serve_receipts;
use crate::context::{Context, engine_options};
use crate::error::CliError;
use crate::exit::Exit;
use crate::policy::public_key;

/// How long requests under way may go on after the signal to stop, beyond the time that each may take anyway.
const GRACE_MARGIN: Duration = Duration::from_secs(5);

/// From one look at the referees to the next.
const DISPUTES_EVERY: Duration = Duration::from_secs(1);

/// The line that `serve --json` prints when it listens.
#[derive(Debug, Serialize)]
struct ListeningView {
    url: String,
    address: String,
    operator: String,
    /// The log's verifier key.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    models: Vec<ServedView>,
}

/// A model that is served.
#[derive(Debug, Serialize)]
struct ServedView {
    name: String,
    id: String,
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(context: &mut Context, args: &ServeArgs) -> Result<(), CliError> {
    log_to_stderr();
    let models = load(context, args)?;
    let served: Vec<ServedView> = models
        .iter()
        .map(|hosted| ServedView {
            name: hosted.name().to_owned(),
            id: hosted.id().to_string(),
        })
        .collect();
    let operator = context.operator()?;
    let key = operator.public_key().to_string();
    let kept = serve_receipts::open(context, args)?;
    let (log, logging) = open_log(context, args, &*kept.receipts)?.unzip();
    let verifier = log.as_ref().map(|log| log.verifier.to_string());
    let care = Care {
        logging,
        attached: attached(args)?,
    };
    let service = Arc::new(Service::with_care(operator, models, kept.receipts, care));
    let limits = Limits {
        body_bytes_max: args.body_bytes_max,
        concurrent_max: usize::from(args.concurrent_max),
        request_time_max: Duration::from_secs(args.timeout),
        ..Limits::usual()
    };
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::ours("no threads can be started", e))?;
    let done = runtime.block_on(async {
        let stop = shutdown_signal()
            .map_err(|e| CliError::ours("the system takes no handler for signals", e))?;
        let (listener, address) = listen(args.listen).await?;
        // For as long as requests are answered.
        let _disputing = disputing(&service, &args.disputes)?;
        announce(context, address, (key, verifier), served)?;
        let grace = Grace(limits.request_time_max.saturating_add(GRACE_MARGIN));
        serve(listener, service, limits, grace, stop)
            .await
            .map_err(|e| CliError::because(Exit::Io, "the listener failed", e))
    });
    stop(runtime);
    let logged = log.map_or(Ok(()), Log::close);
    done?;
    logged?;
    context
        .console
        .say("stopped: all requests that were under way have been answered");
    Ok(())
}

/// How sure the spot check is to be whose evidence is attached, if any is.
fn attached(args: &ServeArgs) -> Result<Option<Demand>, CliError> {
    let demand = Demand {
        bits: args.spot_bits,
        share_ppm: args.spot_share,
        ..Demand::USUAL
    };
    demand.cells().map_err(|e| CliError::of(Exit::Usage, e))?;
    Ok(args.spot.then_some(demand))
}

/// Begins to answer disputes, if referees are named: each by its address and its key.
fn disputing(service: &Service, referees: &[String]) -> Result<Option<Disputing>, CliError> {
    if referees.is_empty() {
        return Ok(None);
    }
    let courts = referees.chunks(2).map(|pair| {
        let [text, key] = pair else {
            return Err(CliError::new(
                Exit::Usage,
                "a referee is its address and its key",
            ));
        };
        let prefix = Prefix::new(text).map_err(|e| {
            CliError::because(Exit::Usage, format!("`{text}` is no referee's address"), e)
        })?;
        let key = public_key(key).map_err(|e| {
            CliError::because(Exit::Usage, format!("`{key}` is no referee's key"), e)
        })?;
        Ok(CourtClient::new(prefix).of(key))
    });
    let courts = courts.collect::<Result<Vec<_>, CliError>>()?;
    let started = service.answer_disputes(courts, DISPUTES_EVERY);
    started
        .map(Some)
        .map_err(|e| CliError::ours("no thread can be started for disputes", e))
}

/// The log, if receipts are to be logged, and how they are. What was kept before and is not in it is appended.
fn open_log(
    context: &mut Context,
    args: &ServeArgs,
    receipts: &dyn Receipts,
) -> Result<Option<(Log, Logging)>, CliError> {
    if args.log.no_log || (args.no_keep && !args.log.is_asked()) {
        return Ok(None);
    }
    let log = serve_log::open(context, &args.log)?;
    let logging = log.logging(&args.log)?;
    serve_log::catch_up(&logging, receipts)?;
    Ok(Some((log, logging)))
}

/// Requests are answered or given up by now; a run that nobody waits for must not keep the process alive.
fn stop(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}

/// Loads every model before the port is opened: whoever can connect is served.
fn load(context: &Context, args: &ServeArgs) -> Result<Vec<Hosted>, CliError> {
    let named: Vec<String> = if args.models.is_empty() {
        let entries = context.hub()?.list()?;
        let names = entries.iter().flat_map(|entry| &entry.names);
        names.map(ToString::to_string).collect()
    } else {
        args.models.clone()
    };
    if named.is_empty() {
        return Err(CliError::new(Exit::Missing, "there is no model to serve")
            .hint("`credence model import FILE.onnx --calibrate inputs.npz` adds one"));
    }
    let load = |text: &String| {
        let found = context.model(text)?;
        // Requests to models of tensors run beside each other; the answers of a language model run together.
        let together = found.model.program().language().is_some();
        let threads = args.threads.or((!together).then_some(NonZeroUsize::MIN));
        let options = engine_options(threads);
        Hosted::new(found.called, found.model, options)
            .map_err(|e| CliError::ours("the model cannot be run on this machine", e))
    };
    named.iter().map(load).collect()
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CliError> {
    let fail = |e| {
        CliError::because(Exit::Io, format!("cannot listen on `{address}`"), e)
            .hint("another program may have the port: `--listen 127.0.0.1:0` takes a free one")
    };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

fn announce(
    context: &mut Context,
    address: SocketAddr,
    (operator, log): (String, Option<String>),
    models: Vec<ServedView>,
) -> Result<(), CliError> {
    let url = format!("http://{address}");
    if context.console.json() {
        return context.console.data_json(&ListeningView {
            url,
            address: address.to_string(),
            operator,
            log,
            models,
        });
    }
    for model in &models {
        let text = format!("serving `{}`, model {}", model.name, model.id);
        context.console.say(&text);
    }
    context.console.say(&format!("signing with key {operator}"));
    if let Some(log) = log {
        context
            .console
            .say(&format!("logging; the log's key is {log}"));
    }
    context.console.say(&format!("listening on {url}"));
    Ok(())
}

/// Sends the log of the libraries to standard error.
pub(crate) fn log_to_stderr() {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .with_target(false);
    // It fails only where a subscriber is installed already, and then the log has a place.
    drop(subscriber.try_init());
}
