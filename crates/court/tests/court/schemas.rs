//! What a referee says over HTTP, and to whoever runs it, fits the published schemas.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use credence_testkit::schema::fits;
use serde_json::Value;

use crate::common::{Court, Lie, operator, told};

/// It fits, and with a member too many it does not.
fn holds(name: &str, value: &Value) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas");
    let bytes = std::fs::read(format!("{folder}/{name}.v1.json")).unwrap();
    let schema = serde_json::from_slice(&bytes).unwrap();
    fits(&schema, value).unwrap();
    let mut more = value.clone();
    more["mood"] = "good".into();
    assert!(fits(&schema, &more).is_err(), "{name}");
}

fn get(court: &Court, path: &str) -> Value {
    let mut socket = TcpStream::connect(&court.address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[test]
fn all_that_a_referee_says_as_json_fits() {
    let (court, told) = (Court::new(), told(4, Lie::Output, 2));
    holds("http-referee", &get(&court, "/v1/referee"));
    let notice = told.file(&court);
    let path = format!("/v1/disputes/{}", notice.dispute);
    let begun = get(&court, &path);
    assert!(begun["awaits"].is_string(), "{begun}");
    holds("http-dispute", &begun);
    let pass = court.list_pass(&operator()).query();
    let own = get(&court, &format!("/v1/disputes?{pass}"));
    assert_eq!(own["disputes"], Value::Array(vec![begun]));
    holds("http-disputes", &own);
    told.play(&court, &notice);
    let over = get(&court, &path);
    assert_eq!(over["loser"], "operator");
    holds("http-dispute", &over);
    for refused in ["/v1/disputes", "/v1/disputes/1", "/v1/nothing"] {
        holds("http-error", &get(&court, refused));
    }
    let events = court.events.lock().unwrap().clone();
    let mut kinds = BTreeSet::new();
    for event in events {
        let event = serde_json::to_value(event).unwrap();
        holds("cli-dispute-referee", &event);
        kinds.insert(event["event"].as_str().unwrap().to_owned());
    }
    let kinds: Vec<String> = kinds.into_iter().collect();
    assert_eq!(kinds, ["ended", "filed", "listening", "said"]);
}
