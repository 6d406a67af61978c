//! Strangers, floods and garbage: bounded in memory, disk and time, and nobody loses by them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use credence_court::{ClientError, Filing, Pass, Standing};
use credence_dispute::{Party, Terms};

use crate::common::{Court, Lie, NOON, challenger, key, names, operator, referee, told};

fn status<T: core::fmt::Debug>(refused: Result<T, ClientError>) -> u16 {
    match refused {
        Err(ClientError::Refused { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn strangers_read_nothing_of_what_was_asked() {
    let (court, told) = (Court::new(), told(4, Lie::Output, 2));
    let notice = told.file(&court);
    let id = &notice.dispute;
    let stranger = court.pass(&key(9));
    assert_eq!(status(court.client.entries(id, &stranger)), 403);
    assert_eq!(status(court.client.filing(id, &stranger)), 403);
    assert!(court.client.under_way(&stranger).unwrap().is_empty());
    let old = Pass::sign(&operator(), &referee().public_key(), NOON - 301);
    assert_eq!(status(court.client.entries(id, &old)), 403);
    assert_eq!(status(court.client.under_way(&old)), 403);
    for key in [operator(), challenger()] {
        let pass = court.pass(&key);
        let own = court.client.under_way(&pass).unwrap();
        assert_eq!(own, std::slice::from_ref(&notice));
        court.client.entries(id, &pass).unwrap();
        let filing = court.client.filing(id, &pass).unwrap();
        filing.check(&referee().public_key()).unwrap();
    }
    assert_eq!(status(court.client.verdict(id, None)), 404);
    told.play(&court, &notice);
    assert_eq!(status(court.client.verdict(id, Some(&stranger))), 403);
    assert!(
        court
            .client
            .under_way(&court.pass(&operator()))
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        status(
            court
                .client
                .notice(&credence_base::Digest::from_bytes([1; 32]))
        ),
        404
    );
}

#[test]
fn garbage_changes_nothing_and_stands_nowhere() {
    let (court, told) = (Court::new(), told(4, Lie::Trace, 2));
    let notice = told.file(&court);
    let id = &notice.dispute;
    for len in [0, 1, 63, 64, 65, 1000, 100_000] {
        let message = vec![0x5a; len];
        assert_eq!(status(court.client.say(id, &message)), 409, "{len}");
    }
    // Well signed, by the party that is not awaited.
    let message =
        credence_dispute::sign(&challenger(), &notice.terms.id(), Party::Challenger, &[15]);
    assert_eq!(status(court.client.say(id, &message)), 409);
    let folder = court.folder.path().join("disputes").join(id.to_string());
    assert_eq!(names(&folder.join("entries")), 0);
    assert_eq!(court.client.notice(id).unwrap(), notice);
    assert_eq!(told.play(&court, &notice).loser, Some(Party::Operator));
    assert_eq!(status(court.client.say(id, &message)), 409);
}

#[test]
fn disputes_and_models_are_bounded() {
    let (court, first) = (Court::new(), told(4, Lie::None, 2));
    let file = |told: &crate::common::Told, at: u64, seed: u8| {
        let terms = Terms {
            challenger: key(seed).public_key(),
            ..told.terms(at)
        };
        let draft = told.draft(terms, told.player.card_bytes().to_vec());
        let filing = Filing::sign(draft, &key(seed), &referee().public_key());
        court.client.file(&filing)
    };
    file(&first, NOON, 20).unwrap();
    file(&first, NOON + 1, 20).unwrap();
    assert_eq!(status(file(&first, NOON + 2, 20)), 429, "two of one key");
    file(&told(6, Lie::None, 2), NOON, 21).unwrap();
    assert_eq!(
        status(file(&told(7, Lie::None, 2), NOON, 22)),
        507,
        "two models"
    );
    file(&first, NOON, 22).unwrap();
    assert_eq!(status(file(&first, NOON, 23)), 429, "four at once");
    assert_eq!(names(&court.folder.path().join("disputes")), 4);
    assert_eq!(names(&court.folder.path().join("cards")), 2);
    court.later(1000);
    let late = court.client.under_way(&court.pass(&operator())).unwrap();
    for notice in &late {
        court.ended(notice);
    }
    for seed in 30..34 {
        file(&first, NOON + 1000, seed).unwrap();
    }
    court.later(1000);
    for notice in court.client.under_way(&court.pass(&operator())).unwrap() {
        court.ended(&notice);
    }
    assert_eq!(status(file(&first, NOON + 2000, 40)), 507, "eight kept");
}

/// Sends a head that announces a body, and so much of it; gives the first line of the answer.
fn raw(court: &Court, head: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(&court.address).unwrap();
    let head = format!("{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    socket
        .write_all(format!("content-length: {}\r\n\r\n", body.len()).as_bytes())
        .unwrap();
    // The server may answer and close before all has come.
    for part in body.chunks(1 << 16) {
        if socket.write_all(part).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    drop(socket.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_flood_is_cut_off_and_others_are_served() {
    let (court, told) = (Court::new(), told(4, Lie::Trace, 2));
    let notice = told.file(&court);
    let path = format!("POST /v1/disputes/{}/messages", notice.dispute);
    let endless = vec![0; (32 << 20) + 1];
    let answer = raw(&court, &path, &endless);
    assert!(answer.contains("413") || answer.is_empty(), "{answer}");
    // Half-sent bodies take all the room for long ones; usual messages need none of it.
    let mut held = Vec::new();
    for _ in 0..6 {
        let mut socket = TcpStream::connect(&court.address).unwrap();
        let head = format!("{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 33554432\r\n\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        if socket.write_all(&vec![0; 30 << 20]).is_ok() {
            held.push(socket);
        }
    }
    assert_eq!(told.play(&court, &notice).loser, Some(Party::Operator));
    drop(held);
    for (head, expected) in [
        ("GET /", "404"),
        ("GET /v1/disputes/xyz", "404"),
        ("GET /v1/disputes", "403"),
        ("GET /v1/disputes?key=zz&time=1&signature=zz", "403"),
        ("GET /v1/disputes?else=1", "400"),
        ("DELETE /v1/referee", "405"),
        ("POST /v1/disputes", "400"),
    ] {
        let answer = raw(&court, head, b"");
        assert!(answer.contains(expected), "{head}: {answer}");
    }
    let over = court.client.notice(&notice.dispute).unwrap();
    assert!(matches!(over.standing, Standing::Over(..)));
}

#[test]
fn one_folder_has_one_referee() {
    let court = Court::new();
    let folder = court.folder.path().to_owned();
    let lock = std::fs::OpenOptions::new()
        .write(true)
        .open(folder.join("lock"))
        .unwrap();
    assert!(lock.try_lock().is_err());
}
