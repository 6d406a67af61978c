//! An exchange between a client and a witness that others made, as it went over the wire: our witness answers their client as theirs did, and our client reads
//! what their witness said. `scripts/witness-interop.py` does the same with the partner itself.

use std::sync::{Arc, Mutex};

use credence_log::{AddCheckpoint, VerifierKey, cosignature};
use credence_witness::fetch::Prefix;
use credence_witness::{Ask, Client, Limits, Outcome, Proofs, ProofsError, WitnessAddress};
use serde_json::Value;

use crate::shared::{NOW, answer, folder, liar, run_for};

struct Exchange {
    request: String,
    status: u16,
    media_type: String,
    answer: String,
}

struct Vectors {
    log: VerifierKey,
    witness: VerifierKey,
    exchanges: Vec<Exchange>,
}

fn vectors() -> Vectors {
    let json: Value =
        serde_json::from_str(include_str!("../vectors/aics-witness-0.1.0.json")).unwrap();
    let text = |json: &Value| json.as_str().unwrap().to_owned();
    let exchanges = json["exchanges"].as_array().unwrap().iter();
    Vectors {
        log: text(&json["log"]).parse().unwrap(),
        witness: text(&json["witness"]).parse().unwrap(),
        exchanges: exchanges
            .map(|one| Exchange {
                request: text(&one["request"]),
                status: u16::try_from(one["status"].as_u64().unwrap()).unwrap(),
                media_type: text(&one["media_type"]),
                answer: text(&one["answer"]),
            })
            .collect(),
    }
}

fn parsed(exchange: &Exchange) -> AddCheckpoint {
    AddCheckpoint::parse(exchange.request.as_bytes()).unwrap()
}

#[test]
fn our_witness_answers_their_client_as_theirs_did() {
    let Vectors { log, exchanges, .. } = vectors();
    let dir = tempfile::tempdir().unwrap();
    let limits = (Limits::usual(), NOW);
    let ours = run_for(1, log, folder(dir.path()), limits);
    let key = ours.address(1).key;
    let mut seen = std::collections::BTreeSet::new();
    for exchange in &exchanges {
        // What they write, we write.
        assert_eq!(parsed(exchange).encode(), exchange.request);
        let reply = ours.post(&exchange.request);
        assert_eq!(reply.status, exchange.status, "{}", exchange.request);
        seen.insert(exchange.status);
        let body = String::from_utf8(reply.body).unwrap();
        match exchange.status {
            200 => {
                let note = format!("{}{body}", parsed(exchange).checkpoint.encode());
                let note = credence_log::Note::parse(note.as_bytes()).unwrap();
                assert_eq!(cosignature::times(&note, &key).unwrap().len(), 1);
            }
            409 => {
                assert_eq!(body, exchange.answer);
                assert_eq!(exchange.media_type, "text/x.tlog.size");
            }
            _ => {}
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [200, 409, 422]);
}

/// Gives the proof that their client sent.
struct Sent(Vec<credence_log::Hash>);

impl Proofs for Sent {
    fn consistency(&self, _: u64, _: u64) -> Result<Vec<credence_log::Hash>, ProofsError> {
        Ok(self.0.clone())
    }
}

#[test]
fn our_client_reads_what_their_witness_said() {
    let Vectors {
        log,
        witness,
        exchanges,
    } = vectors();
    for exchange in &exchanges {
        let asked = parsed(exchange);
        asked.checkpoint.verify(&log).unwrap();
        let said = (exchange.status, exchange.answer.clone());
        let heard = Arc::new(Mutex::new(said));
        let address = liar(move |socket| {
            let said = heard.lock().unwrap();
            answer(socket, said.0, said.1.as_bytes());
        });
        let note = format!("{}{}", asked.checkpoint.encode(), exchange.answer);
        let time = credence_log::Note::parse(note.as_bytes())
            .ok()
            .and_then(|note| {
                cosignature::times(&note, &witness)
                    .unwrap()
                    .first()
                    .copied()
            });
        let place = WitnessAddress {
            key: witness.clone(),
            prefix: Prefix::new(&format!("http://{address}")).unwrap(),
        };
        let client = Client::new(vec![place]).unwrap();
        let client = client.with_clock(Arc::new(move || time.unwrap_or(NOW)));
        let ask = Ask {
            quorum: 1,
            deadline: std::time::Duration::from_secs(10),
            linger: std::time::Duration::ZERO,
        };
        let proofs: Arc<dyn Proofs> = Arc::new(Sent(asked.proof.clone()));
        let found = client.ask(&asked.checkpoint, ask, &proofs).unwrap();
        let size = asked.checkpoint.unverified().size();
        let (_, outcome) = &found.outcomes[0];
        match exchange.status {
            200 => {
                let time_unix_s = time.unwrap();
                assert_eq!(outcome, &Outcome::Cosigned { time_unix_s });
                assert!(found.quorum && found.cosignatures.len() == 1);
                // One byte of it changed, and it counts for nothing.
                let mut forged = exchange.answer.clone().into_bytes();
                let at = forged.len() - 10;
                forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
                let note = [asked.checkpoint.encode().into_bytes(), forged].concat();
                let read = credence_log::Note::parse(&note);
                let times = read.map(|note| cosignature::times(&note, &witness));
                assert!(!matches!(times, Ok(Ok(times)) if !times.is_empty()));
            }
            409 if size < 513 => assert_eq!(outcome, &Outcome::Ahead { size: 513 }),
            // To a client that knew nothing: it asks again from there, and is told the same.
            409 => assert_eq!(outcome, &Outcome::Refused { status: 409 }),
            status => assert_eq!(outcome, &Outcome::Refused { status }, "{size}"),
        }
    }
}
