//! The client: a quorum among witnesses that are down, slow, wrong or hostile.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use credence_log::cosignature::{self, cosign};
use credence_witness::{Ask, Client, ClientError, Outcome, Proofs, WitnessAddress};

use crate::shared::{
    History, NOW, TRUE, answer, at, folder, liar, log_signer, run, says, witness_signer,
};

fn ask(quorum: usize) -> Ask {
    Ask {
        quorum,
        deadline: Duration::from_millis(1500),
        linger: Duration::from_millis(300),
    }
}

/// A client by the witnesses' clock.
fn client(witnesses: Vec<WitnessAddress>) -> Client {
    let asking = Client::new(witnesses).unwrap();
    asking.with_clock(Arc::new(|| NOW))
}

fn proofs(history: History) -> Arc<dyn Proofs> {
    Arc::new(history)
}

/// Witnesses 3 to 15: down, wrong, giant, endless, dripping, silent, talking rubbish, changing their minds, sending elsewhere.
fn liars() -> Vec<WitnessAddress> {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let down = closed.local_addr().unwrap();
    drop(closed);
    let wrong_key = cosign(&TRUE.checkpoint(9), NOW, &witness_signer(77))
        .unwrap()
        .encode();
    let wrong_text = cosign(&TRUE.checkpoint(8), NOW, &witness_signer(5))
        .unwrap()
        .encode();
    let giant = vec![b'x'; 8 << 20];
    let endless = liar(|socket| {
        drop(socket.write_all(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n"));
        while socket.write_all(b"4\r\nxxxx\r\n").is_ok() {}
    });
    let dripping = liar(|socket| {
        drop(socket.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n"));
        while socket.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let silent = liar(|_| std::thread::sleep(Duration::from_secs(3)));
    let redirect = liar(|socket| {
        drop(socket.write_all(
            b"HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        ));
    });
    vec![
        at(down, 3),
        at(says(200, wrong_key), 4),
        at(says(200, wrong_text), 5),
        at(says(200, giant), 6),
        at(endless, 7),
        at(dripping, 8),
        at(silent, 9),
        at(says(200, "rubbish"), 10),
        at(says(409, "rubbish\n"), 11),
        at(says(409, "5\n"), 12),
        at(says(500, ""), 13),
        at(says(409, "1000\n"), 14),
        at(redirect, 15),
    ]
}

#[test]
fn a_quorum_is_found_among_liars() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let good = [run(1, folder(a.path())), run(2, folder(b.path()))];
    let mut witnesses = vec![good[0].address(1), good[1].address(2)];
    witnesses.extend(liars());
    let asking = client(witnesses);
    let start = Instant::now();
    let asked = asking
        .ask(&TRUE.checkpoint(9), ask(2), &proofs(TRUE))
        .unwrap();
    assert!(
        start.elapsed() < Duration::from_millis(1400),
        "the slow ones are not waited for"
    );
    assert!(asked.quorum);
    assert_eq!(asked.cosignatures.len(), 2);
    let mut signed = TRUE.checkpoint(9);
    for line in asked.cosignatures {
        signed.note_mut().add(line).unwrap();
    }
    for witness in [1, 2] {
        let key = witness_signer(witness);
        assert_eq!(
            cosignature::times(signed.note(), key.verifier())
                .unwrap()
                .len(),
            1
        );
    }
    let outcome = |at: usize| asked.outcomes[at].1.clone();
    assert!(matches!(outcome(0), Outcome::Cosigned { .. }));
    assert!(
        matches!(outcome(2), Outcome::Failed { .. }),
        "{:?}",
        outcome(2)
    );
    for at in [3, 4, 9, 10] {
        assert_eq!(outcome(at), Outcome::BadAnswer, "{at}");
    }
    assert!(matches!(outcome(5), Outcome::Failed { reason } if reason.contains("more than")));
    assert!(matches!(outcome(6), Outcome::Failed { reason } if reason.contains("more than")));
    for at in [7, 8] {
        assert!(matches!(outcome(at), Outcome::Pending), "{:?}", outcome(at));
    }
    assert_eq!(outcome(11), Outcome::Refused { status: 409 });
    assert_eq!(outcome(12), Outcome::Refused { status: 500 });
    assert_eq!(outcome(13), Outcome::Ahead { size: 1000 });
    assert_eq!(outcome(14), Outcome::Refused { status: 302 });
    // Those that still owe an answer are not asked again.
    let again = asking
        .ask(&TRUE.checkpoint(9), ask(1), &proofs(TRUE))
        .unwrap();
    assert!(again.quorum);
    assert_eq!(again.outcomes[8].1, Outcome::Busy);
    // More than there are honest ones is not to be had, and asking ends at the deadline.
    let start = Instant::now();
    let short = asking
        .ask(&TRUE.checkpoint(9), ask(3), &proofs(TRUE))
        .unwrap();
    assert!(!short.quorum);
    assert_eq!(short.cosignatures.len(), 2);
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn the_client_learns_what_a_witness_has() {
    let dir = tempfile::tempdir().unwrap();
    let witness = run(1, folder(dir.path()));
    let new = || client(vec![witness.address(1)]);
    let asking = new();
    for size in [1, 7, 300, 300, 301] {
        let asked = asking
            .ask(&TRUE.checkpoint(size), ask(1), &proofs(TRUE))
            .unwrap();
        assert!(asked.quorum, "{size}: {:?}", asked.outcomes);
    }
    // Refusals: none, since the client went on from what it knew.
    let refused = || {
        let events = witness.events.lock().unwrap();
        let refused = |e: &&credence_witness::WitnessEvent| {
            matches!(e, credence_witness::WitnessEvent::Refused { .. })
        };
        events.iter().filter(refused).count()
    };
    assert_eq!(refused(), 0);
    // One that knows nothing is told once.
    let asked = new()
        .ask(&TRUE.checkpoint(302), ask(1), &proofs(TRUE))
        .unwrap();
    assert!(asked.quorum);
    assert_eq!(refused(), 1);
    let asked = asking
        .ask(&TRUE.checkpoint(5), ask(1), &proofs(TRUE))
        .unwrap();
    assert_eq!(asked.outcomes[0].1, Outcome::Ahead { size: 302 });
    // A log that forks is found out by the witness's answer.
    let fork = History {
        fork_at: 1,
        branch: 2,
    };
    let asked = new()
        .ask(&fork.checkpoint(302), ask(1), &proofs(fork))
        .unwrap();
    assert_eq!(asked.outcomes[0].1, Outcome::SplitView { size: 302 });
    let asked = new()
        .ask(&fork.checkpoint(400), ask(1), &proofs(fork))
        .unwrap();
    assert_eq!(asked.outcomes[0].1, Outcome::Refused { status: 422 });
    assert!(!asked.quorum);
}

#[test]
fn a_witness_that_forgets_is_not_counted() {
    let line = cosign(&TRUE.checkpoint(7), NOW, &witness_signer(1));
    let line = line.unwrap().encode();
    let asked = AtomicBool::new(false);
    // It cosigns once, and then knows nothing of it.
    let forgetful = liar(move |socket| {
        let (status, body) = if asked.swap(true, Ordering::SeqCst) {
            (409, "0\n")
        } else {
            (200, line.as_str())
        };
        answer(socket, status, body.as_bytes());
    });
    let asking = client(vec![at(forgetful, 1)]);
    let first = asking.ask(&TRUE.checkpoint(7), ask(1), &proofs(TRUE));
    assert!(first.unwrap().quorum);
    let second = asking.ask(&TRUE.checkpoint(9), ask(1), &proofs(TRUE));
    let second = second.unwrap();
    let expected = Outcome::Forgot {
        cosigned: 7,
        says: 0,
    };
    assert_eq!(second.outcomes[0].1, expected);
    assert!(!second.quorum);
}

#[test]
fn keys_that_would_count_twice_are_refused() {
    let address = says(500, "");
    let log = WitnessAddress {
        key: log_signer().verifier().clone(),
        ..at(address, 1)
    };
    assert!(matches!(
        Client::new(vec![log]),
        Err(ClientError::Algorithm(_))
    ));
    let twice = vec![at(address, 1), at(address, 1)];
    assert!(matches!(
        Client::new(twice),
        Err(ClientError::SameKey { .. })
    ));
    let asking = client(vec![at(address, 1)]);
    assert!(matches!(
        asking.ask(&TRUE.checkpoint(1), ask(2), &proofs(TRUE)),
        Err(ClientError::Quorum {
            quorum: 2,
            witnesses: 1
        })
    ));
}

#[test]
fn a_cosignature_of_another_time_counts_for_nothing() {
    let cosigned = |time: u64, at: u8| cosign(&TRUE.checkpoint(9), time, &witness_signer(at));
    let times = [
        (NOW + 120, true),
        (NOW - 120, true),
        (NOW + 121, false),
        (NOW - 121, false),
        (u64::MAX >> 1, false),
        (1, false),
    ];
    let seats: Vec<_> = (1..)
        .zip(times)
        .map(|(seat, (time, _))| at(says(200, cosigned(time, seat).unwrap().encode()), seat))
        .collect();
    let asked = client(seats)
        .ask(&TRUE.checkpoint(9), ask(2), &proofs(TRUE))
        .unwrap();
    assert!(asked.quorum);
    assert_eq!(asked.cosignatures.len(), 2);
    for ((time, counts), (_, outcome)) in times.into_iter().zip(&asked.outcomes) {
        let expected = if counts {
            Outcome::Cosigned { time_unix_s: time }
        } else {
            Outcome::WrongTime {
                time_unix_s: time,
                now_unix_s: NOW,
            }
        };
        assert_eq!(*outcome, expected);
    }
}
