//! `credence monitor`: follows logs until it is told to stop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use credence_node::shutdown_signal;
use credence_store::KeyFile;
use credence_watch::{Host, MonitorConfig, MonitorEvent, run_monitor};
use credence_witness::system_clock;

use crate::commands::events;
use crate::commands::serve::log_to_stderr;
use crate::commands::witness::{bad_config, read_config};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs a monitor. It ends with a code of its own if there was an alarm.
pub(crate) fn run(context: &mut Context, path: &Path) -> Result<(), CliError> {
    log_to_stderr();
    let (text, folder) = read_config(path)?;
    let config = MonitorConfig::parse(&text, folder).map_err(|e| bad_config(path, e))?;
    context.operator()?;
    let key = KeyFile::at(context.home()?.operator_key()).read()?;
    let alarmed = Arc::new(AtomicBool::new(false));
    let alarm = Arc::clone(&alarmed);
    events::run(&mut context.console, words, |send| {
        let stop = shutdown_signal()
            .map_err(|e| CliError::ours("the system takes no handler for signals", e))?;
        let host = Host {
            key: Some(key),
            clock: system_clock(),
            sink: Arc::new(move |event| {
                if matches!(event, MonitorEvent::Alarm { .. }) {
                    alarm.store(true, Ordering::Relaxed);
                }
                // Whoever listens to events lives as long as the monitor.
                drop(send.send(event));
            }),
            listening: Arc::new(|address| tracing::info!("peers may ask http://{address}")),
        };
        let running = run_monitor(config, host, stop);
        Ok(async move {
            running
                .await
                .map_err(|e| CliError::because(Exit::Io, "the monitor cannot run", e))
        })
    })?;
    if alarmed.load(Ordering::Relaxed) {
        return Err(CliError::new(Exit::Inconsistent, "a log gave alarm"));
    }
    Ok(())
}

fn words(event: &MonitorEvent) -> String {
    match event {
        MonitorEvent::FirstSeen { log, size } => {
            format!("`{log}`: first seen, with {size} entries; nothing is known of it before this")
        }
        MonitorEvent::Grown { log, from, to } => {
            format!("`{log}`: grew from {from} to {to} entries, and continues what it was")
        }
        MonitorEvent::Stale { log, size, seen } => {
            format!("`{log}`: shows {size} entries, an older state; {seen} were seen")
        }
        MonitorEvent::Unreachable { log, reason } => format!("`{log}`: cannot be read: {reason}"),
        MonitorEvent::PeerAgrees { log, peer, size } => {
            format!("`{log}`: `{peer}` has seen {size} entries, which agree")
        }
        MonitorEvent::PeerFailed { log, peer, reason } => {
            format!("`{log}`: `{peer}` cannot be asked: {reason}")
        }
        MonitorEvent::NotKept { log, reason } => {
            format!("`{log}`: what was seen cannot be kept: {reason}")
        }
        MonitorEvent::Alarm {
            log, words, files, ..
        } => {
            let kept = files
                .iter()
                .map(|file| format!("; evidence: `{}`", file.display()));
            format!("`{log}`: ALARM: {words}{}", kept.collect::<String>())
        }
    }
}
