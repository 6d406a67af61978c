//! Strangers, floods and garbage: bounded in memory, disk and time, and nobody loses by them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use credence_court::{ClientError, Filing, Pass, Rules, Standing};
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
    let stranger = court.pass(&key(9), id);
    assert_eq!(status(court.client.entries(id, &stranger)), 403);
    assert_eq!(status(court.client.filing(id, &stranger)), 403);
    let list = court.list_pass(&key(9));
    assert!(court.client.under_way(&list).unwrap().is_empty());
    let own = referee().public_key();
    let old = Pass::sign(&operator(), (&own, Some(id)), NOON - 301);
    assert_eq!(status(court.client.entries(id, &old)), 403);
    let old = Pass::sign(&operator(), (&own, None), NOON - 301);
    assert_eq!(status(court.client.under_way(&old)), 403);
    // Good for the list, or for another dispute, and not for this one.
    let other = credence_base::Digest::from_bytes([8; 32]);
    for pass in [
        court.list_pass(&operator()),
        court.pass(&operator(), &other),
    ] {
        assert_eq!(status(court.client.entries(id, &pass)), 403);
        assert_eq!(status(court.client.filing(id, &pass)), 403);
    }
    for key in [operator(), challenger()] {
        let pass = court.pass(&key, id);
        let own = court.client.under_way(&court.list_pass(&key)).unwrap();
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
            .under_way(&court.list_pass(&operator()))
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
        // Of the operator all that it claimed is awaited, which may be long.
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
    let late = court
        .client
        .under_way(&court.list_pass(&operator()))
        .unwrap();
    for notice in &late {
        court.ended(notice);
    }
    for seed in 30..34 {
        file(&first, NOON + 1000, seed).unwrap();
    }
    court.later(1000);
    for notice in court
        .client
        .under_way(&court.list_pass(&operator()))
        .unwrap()
    {
        court.ended(&notice);
    }
    assert_eq!(status(file(&first, NOON + 2000, 40)), 507, "eight kept");
}

#[test]
fn an_operator_and_a_challenger_have_so_many_at_once() {
    let rules = Rules {
        live_max: 16,
        live_of_operator_max: 3,
        kept_max: 16,
        models_max: 8,
        models_of_one_max: 1,
        ..crate::common::rules()
    };
    let wall = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(NOON));
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let court = Court::by((folder, wall), rules);
    let (first, second) = (told(4, Lie::None, 2), told(6, Lie::None, 2));
    let file = |told: &crate::common::Told, seed: u8| {
        let terms = Terms {
            challenger: key(seed).public_key(),
            ..told.terms(NOON)
        };
        let draft = told.draft(terms, told.player.card_bytes().to_vec());
        court
            .client
            .file(&Filing::sign(draft, &key(seed), &referee().public_key()))
    };
    file(&first, 20).unwrap();
    assert_eq!(status(file(&second, 20)), 429, "one model of one key");
    assert_eq!(names(&court.folder.path().join("cards")), 1);
    file(&second, 21).unwrap();
    file(&first, 22).unwrap();
    assert_eq!(status(file(&first, 23)), 429, "three against one operator");
    assert_eq!(names(&court.folder.path().join("disputes")), 3);
}

#[test]
fn what_ended_long_ago_is_removed_with_the_cards_that_none_names() {
    let rules = Rules {
        kept_s: 20_000,
        ..crate::common::rules()
    };
    let (court, told) = (Court::new(), told(4, Lie::Trace, 2));
    let old = told.file(&court);
    told.play(&court, &old);
    let (folder, wall) = court.stop();
    let disputes = folder.path().join("disputes");
    // What was begun and not filed, or removed in part, is none.
    let half = disputes.join("ab".repeat(32));
    std::fs::create_dir_all(half.join("entries")).unwrap();
    wall.fetch_add(19_000, std::sync::atomic::Ordering::Relaxed);
    let court = Court::by((folder, wall), rules);
    assert!(!half.exists());
    court.client.notice(&old.dispute).unwrap();
    let (folder, wall) = court.stop();
    wall.fetch_add(2000, std::sync::atomic::Ordering::Relaxed);
    let court = Court::by((folder, wall), rules);
    assert_eq!(status(court.client.notice(&old.dispute)), 404);
    assert_eq!(names(&court.folder.path().join("disputes")), 0);
    assert_eq!(names(&court.folder.path().join("cards")), 0);
    // It can be filed anew.
    let again = told.file(&court);
    assert_eq!(told.play(&court, &again).loser, Some(Party::Operator));
}

#[test]
fn another_referee_in_its_place_is_asked_for_nothing() {
    let court = Court::new();
    let (own, other) = (referee().public_key(), key(9).public_key());
    court.client.clone().of(own).about().unwrap();
    let refused = court.client.clone().of(other).about();
    assert!(
        matches!(refused, Err(ClientError::Referee { expected, got }) if (expected, got) == (other, own))
    );
}

/// Before a message is read its dispute is looked up, and what it awaits is the limit.
#[test]
fn a_message_is_read_as_far_as_its_dispute_asks() {
    let (court, told) = (Court::new(), told(4, Lie::Trace, 2));
    let none = format!("POST /v1/disputes/{}/messages", "ab".repeat(32));
    let answer = raw(&court, &none, &vec![0; 4 << 20]);
    assert!(answer.contains("404") || answer.is_empty(), "{answer}");
    let notice = told.file(&court);
    told.step(&court, &notice, Party::Operator, Some);
    // Now the challenger is asked for a number.
    let path = format!("POST /v1/disputes/{}/messages", notice.dispute);
    assert!(raw(&court, &path, &[0; 256]).contains("409"));
    assert!(raw(&court, &path, &[0; 257]).contains("413"));
    assert_eq!(told.play(&court, &notice).loser, Some(Party::Operator));
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
