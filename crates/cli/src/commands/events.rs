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
