//! Runs a witness from a configuration file until its standard input ends: `witness FILE`. Events go to standard output, one in a line.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use credence_store::{KeyFile, Made};
use credence_witness::{Host, Limits, WitnessConfig, config, system_clock};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: witness FILE")?;
    let folder = Path::new(&file).parent().unwrap_or_else(|| Path::new("."));
    let config = WitnessConfig::parse(&std::fs::read_to_string(&file)?, folder)?;
    let (key, made) = KeyFile::at(config.key.clone()).read_or_make()?;
    let name = config.name.clone();
    let algorithm = credence_log::Algorithm::CosignatureV1;
    println!(
        "{}",
        credence_log::VerifierKey::new(name, algorithm, key.public_key())
    );
    let host = Host {
        begins: made == Made::New,
        clock: system_clock(),
        sink: Arc::new(|event| println!("{event:?}")),
        listening: Arc::new(|address| println!("listening on {address}")),
        limits: Limits::usual(),
    };
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop((ended, stop.send(())));
    });
    config::run(config, key, host, async { drop(stopped.await) }).await?;
    Ok(())
}
