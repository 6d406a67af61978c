//! Commands that go on until they are told to stop, and say what happens: a line for each event.

use std::future::Future;

use serde::Serialize;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::console::Console;
use crate::error::CliError;

/// Where events are sent.
pub(crate) type Events<E> = UnboundedSender<E>;

/// Runs what `start` gives to its end, and prints what it sends as it comes.
pub(crate) fn run<E, F>(
    console: &mut Console,
    words: impl Fn(&E) -> String,
    start: impl FnOnce(Events<E>) -> Result<F, CliError>,
) -> Result<(), CliError>
where
    E: Serialize,
    F: Future<Output = Result<(), CliError>>,
{
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::ours("no threads can be started", e))?;
    let done = runtime.block_on(async {
        let (send, mut receive) = unbounded_channel();
        let mut running = core::pin::pin!(start(send)?);
        loop {
            tokio::select! {
                biased;
                event = receive.recv() => match event {
                    Some(event) => print(console, &words, &event)?,
                    // Nobody sends any more, so it is about to end.
                    None => return running.await,
                },
                done = &mut running => {
                    drain(console, &words, &mut receive)?;
                    return done;
                }
            }
        }
    });
    runtime.shutdown_timeout(core::time::Duration::from_millis(100));
    done
}

fn drain<E: Serialize>(
    console: &mut Console,
    words: &impl Fn(&E) -> String,
    receive: &mut UnboundedReceiver<E>,
) -> Result<(), CliError> {
    while let Ok(event) = receive.try_recv() {
        print(console, words, &event)?;
    }
    Ok(())
}

fn print<E: Serialize>(
    console: &mut Console,
    words: &impl Fn(&E) -> String,
    event: &E,
) -> Result<(), CliError> {
    if console.json() {
        console.data_json(event)?;
    } else {
        console.data(&words(event))?;
    }
    console.flush()
}

#[cfg(test)]
mod tests {
    use credence_court::CourtEvent;
    use credence_watch::{Alarm, MonitorEvent};
    use credence_witness::WitnessEvent;
    use serde_json::Value;

    use super::*;

    fn holds(schema: &str, event: &impl Serialize) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas");
        let schema = std::fs::read(format!("{folder}/{schema}.v1.json")).unwrap();
        let schema: Value = serde_json::from_slice(&schema).unwrap();
        let event = serde_json::to_value(event).unwrap();
        credence_testkit::schema::fits(&schema, &event).unwrap();
    }

    fn text(words: &str) -> String {
        words.to_owned()
    }

    #[test]
    fn every_alarm_of_a_monitor_fits_its_schema() {
        let reason = text("r");
        let alarms = [
            Alarm::Equivocation { size: 1 },
            Alarm::Fork {
                smaller: 1,
                larger: 2,
            },
            Alarm::Rollback { seen: 2, shown: 1 },
            Alarm::Inconsistent {
                from: 1,
                to: 2,
                reason: reason.clone(),
            },
            Alarm::UnknownKey { reason },
            Alarm::Withheld {
                peer: text("p"),
                size: 2,
                seen: 0,
            },
        ];
        for alarm in alarms {
            for evidence in [None, Some(text("e"))] {
                let event = MonitorEvent::Alarm {
                    log: text("l"),
                    words: alarm.to_string(),
                    alarm: alarm.clone(),
                    files: evidence.iter().map(Into::into).collect(),
                    evidence,
                };
                holds("cli-monitor", &event);
            }
        }
    }

    #[test]
    fn every_other_event_of_a_monitor_fits_its_schema() {
        let (log, peer, reason) = (text("l"), text("p"), text("r"));
        for event in [
            MonitorEvent::FirstSeen {
                log: log.clone(),
                size: 0,
            },
            MonitorEvent::Grown {
                log: log.clone(),
                from: 0,
                to: 1,
            },
            MonitorEvent::Stale {
                log: log.clone(),
                size: 0,
                seen: 1,
            },
            MonitorEvent::Unreachable {
                log: log.clone(),
                reason: reason.clone(),
            },
            MonitorEvent::PeerAgrees {
                log: log.clone(),
                peer: peer.clone(),
                size: 1,
            },
            MonitorEvent::PeerFailed {
                log: log.clone(),
                peer,
                reason: reason.clone(),
            },
            MonitorEvent::NotKept { log, reason },
        ] {
            holds("cli-monitor", &event);
        }
    }

    #[test]
    fn every_event_of_a_witness_and_a_referee_fits_its_schema() {
        let (origin, reason) = (text("o"), text("r"));
        for event in [
            WitnessEvent::Cosigned {
                origin: origin.clone(),
                size: 0,
            },
            WitnessEvent::Refused {
                origin: None,
                status: 400,
            },
            WitnessEvent::Refused {
                origin: Some(origin.clone()),
                status: 503,
            },
            WitnessEvent::SplitView {
                origin: origin.clone(),
                size: 1,
                evidence: text("e"),
            },
            WitnessEvent::NotDurable { origin, reason },
        ] {
            holds("cli-witness", &event);
        }
        let id = "ab".repeat(32);
        for loser in ["operator", "challenger", "nobody"] {
            for reason in credence_dispute::Reason::ALL {
                let event = CourtEvent::Ended {
                    dispute: id.clone(),
                    loser: text(loser),
                    reason: text(reason.as_str()),
                };
                holds("cli-dispute-referee", &event);
            }
        }
        holds("cli-dispute-referee", &CourtEvent::Failed { what: id });
    }
}
