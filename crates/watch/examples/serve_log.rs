//! Makes a log of so many entries in a folder, and serves it until standard input ends: `serve_log FOLDER ENTRIES`. The log's key is
//! public, so it is good for nothing else.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::entry::{self, EntriesId};
use credence_log::{Algorithm, Checkpoint, Edge, Hash, KeyName, Signer, VerifierKey};
use credence_watch::{Place, run_log_server};

fn make(folder: &Path, size: u64) -> Result<VerifierKey, Box<dyn Error>> {
    let put = |path: String, bytes: &[u8]| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, bytes)
    };
    let mut edge = Edge::new();
    let mut entries = Vec::new();
    for at in 0..size {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&at.to_be_bytes());
        let entry = ReceiptDigest::from_bytes(bytes);
        edge.append(Hash::of_receipt(&entry))?;
        entries.push(entry);
    }
    for tile in edge.take_tiles() {
        put(tile.id().path(), &tile.encode())?;
    }
    for (bundle, entries) in (0u64..).zip(entries.chunks(256)) {
        let id = EntriesId::in_tree(bundle, size).ok_or("no such bundle")?;
        put(id.path(), &entry::encode(entries))?;
    }
    let name = KeyName::new("toy.example/log")?;
    let log = Signer::new(
        name.clone(),
        Algorithm::Ed25519,
        SigningKey::from_seed(&[1; 32]),
    );
    let checkpoint = Checkpoint::new(&name, size, edge.root())?.sign(&log)?;
    put("checkpoint".to_owned(), checkpoint.encode().as_bytes())?;
    println!("{}", log.verifier());
    Ok(log.verifier().clone())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: serve_log FOLDER ENTRIES";
    let folder = arguments.next().ok_or(usage)?;
    let log = make(Path::new(&folder), arguments.next().ok_or(usage)?.parse()?)?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop((ended, stop.send(())));
    });
    let listening = Arc::new(|address| println!("listening on {address}"));
    run_log_server(
        &Place::Folder(folder.into()),
        log,
        "127.0.0.1:0".parse()?,
        listening,
        async {
            drop(stopped.await);
        },
    )
    .await?;
    Ok(())
}
