//! A log, witnesses on loopback sockets, and servers that misbehave.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::proof::{Plan, TileSet};
use credence_log::{
    AddCheckpoint, Algorithm, Checkpoint, Edge, Hash, KeyName, SignedCheckpoint, Signer,
};
use credence_witness::fetch::{Bounds, Fetcher, Prefix, Reply};
use credence_witness::{
    Limits, NoteFolder, Notes, Proofs, ProofsError, WitnessAddress, WitnessEvent, WitnessServer,
    listen,
};

pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn signer(name: &str, algorithm: Algorithm, seed: u8) -> Signer {
    let name = KeyName::new(name).unwrap();
    Signer::new(name, algorithm, SigningKey::from_seed(&[seed; 32]))
}

pub(crate) fn log_signer() -> Signer {
    signer("log.example/receipts", Algorithm::Ed25519, 1)
}

pub(crate) fn witness_signer(at: u8) -> Signer {
    let name = format!("w{at}.example");
    signer(&name, Algorithm::CosignatureV1, 100 + at)
}

/// A history: from `fork_at` on, its entries are those of branch `branch`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History {
    pub(crate) fork_at: u64,
    pub(crate) branch: u8,
}

/// The history without a fork.
pub(crate) const TRUE: History = History {
    fork_at: 0,
    branch: 0,
};

impl History {
    pub(crate) fn tree(self, size: u64) -> (Edge, TileSet) {
        let (mut edge, mut tiles) = (Edge::new(), TileSet::new());
        for at in 0..size {
            let mut bytes = [0x5a; 32];
            bytes[..8].copy_from_slice(&at.to_le_bytes());
            if at >= self.fork_at {
                bytes[31] ^= self.branch;
            }
            let leaf = Hash::of_receipt(&ReceiptDigest::from_bytes(bytes));
            edge.append(leaf).unwrap();
        }
        tiles.extend(edge.take_tiles());
        (edge, tiles)
    }

    pub(crate) fn checkpoint(self, size: u64) -> SignedCheckpoint {
        self.checkpoint_of(&log_signer(), size)
    }

    pub(crate) fn checkpoint_of(self, log: &Signer, size: u64) -> SignedCheckpoint {
        Checkpoint::new(log.verifier().name(), size, self.tree(size).0.root())
            .unwrap()
            .sign(log)
            .unwrap()
    }

    pub(crate) fn proof(self, old: u64, new: u64) -> Vec<Hash> {
        let plan = Plan::consistency(old, new).unwrap();
        plan.make(&self.tree(new).1).unwrap()
    }

    pub(crate) fn request(self, old: u64, new: u64) -> String {
        AddCheckpoint {
            old_size: old,
            proof: self.proof(old, new),
            checkpoint: self.checkpoint(new),
        }
        .encode()
    }
}

impl Proofs for History {
    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ProofsError> {
        Ok(self.proof(old, new))
    }
}

/// A witness that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) prefix: Prefix,
    pub(crate) events: Arc<Mutex<Vec<WitnessEvent>>>,
    // The runtime ends first, and with it the server and its hold on the state.
    _runtime: tokio::runtime::Runtime,
}

impl Running {
    pub(crate) fn post(&self, body: &str) -> Reply {
        let url = self.prefix.join("add-checkpoint");
        Fetcher::new().post(&url, body, bounds()).unwrap()
    }

    pub(crate) fn address(&self, at: u8) -> WitnessAddress {
        WitnessAddress {
            key: witness_signer(at).verifier().clone(),
            prefix: self.prefix.clone(),
        }
    }
}

pub(crate) fn bounds() -> Bounds {
    Bounds {
        len_max: 1 << 20,
        time_max: Duration::from_secs(10),
    }
}

pub(crate) fn run(at: u8, notes: Arc<dyn Notes>) -> Running {
    run_with(at, notes, Limits::usual())
}

pub(crate) fn run_with(at: u8, notes: Arc<dyn Notes>, limits: Limits) -> Running {
    run_from(at, notes, limits, NOW)
}

/// Witness `at` over these notes, with a clock that ticks at each look.
pub(crate) fn run_from(at: u8, notes: Arc<dyn Notes>, limits: Limits, start: u64) -> Running {
    run_for(at, log_signer().verifier().clone(), notes, (limits, start))
}

/// The same for another log.
pub(crate) fn run_for(
    at: u8,
    log: credence_log::VerifierKey,
    notes: Arc<dyn Notes>,
    (limits, start): (Limits, u64),
) -> Running {
    let events = Arc::new(Mutex::new(Vec::new()));
    let ticks = AtomicU64::new(start);
    let heard = Arc::clone(&events);
    let server = WitnessServer::open(
        witness_signer(at),
        vec![log],
        notes,
        Arc::new(move || ticks.fetch_add(1, Ordering::Relaxed)),
        Arc::new(move |event| heard.lock().unwrap().push(event)),
    )
    .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let router = Arc::new(server).router("/witness");
    runtime.spawn(listen::serve(
        listener,
        router,
        limits,
        std::future::pending::<()>(),
    ));
    Running {
        prefix: Prefix::new(&format!("http://{address}/witness")).unwrap(),
        events,
        _runtime: runtime,
    }
}

pub(crate) fn folder(path: &Path) -> Arc<dyn Notes> {
    Arc::new(NoteFolder::open(path).unwrap())
}

/// A server that reads a request's head and then does as `answer` says with the connection.
pub(crate) fn liar(answer: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut seen = Vec::new();
            let mut byte = [0];
            while !seen.ends_with(b"\r\n\r\n") && socket.read(&mut byte).is_ok_and(|n| n == 1) {
                seen.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&seen).to_lowercase();
            let len = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok())
                .unwrap_or(0);
            let mut body = vec![0; len];
            if socket.read_exact(&mut body).is_ok() {
                answer(&mut socket);
            }
        }
    });
    address
}

/// Writes an answer of this status and body.
pub(crate) fn answer(socket: &mut std::net::TcpStream, status: u16, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // Whoever asked may have hung up.
    drop(socket.write_all(head.as_bytes()));
    drop(socket.write_all(body));
}

/// A server that always answers so.
pub(crate) fn says(status: u16, body: impl Into<Vec<u8>>) -> SocketAddr {
    let body = body.into();
    liar(move |socket| answer(socket, status, &body))
}

pub(crate) fn at(address: SocketAddr, witness: u8) -> WitnessAddress {
    WitnessAddress {
        key: witness_signer(witness).verifier().clone(),
        prefix: Prefix::new(&format!("http://{address}")).unwrap(),
    }
}
