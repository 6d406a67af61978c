//! `credence serve`: a real process, a real socket, a receipt that `verify` accepts, and a stop by signal.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::shared::{Place, credence, four_digits, home, names};

pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) first: String,
}

/// Starts a server on a free port and waits for the line that names it.
pub(crate) fn start(place: &Place, arguments: &[&str]) -> Server {
    let mut child = credence(home(), place.folder.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--json"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut first).unwrap();
    let json: Value = serde_json::from_str(&first).unwrap();
    Server {
        child,
        address: json["address"].as_str().unwrap().to_owned(),
        first,
    }
}

impl Server {
    /// Asks, and gives the head and the body of the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (String, String) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// Asks, and gives the answer if one came whole.
    pub(crate) fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<(String, String)> {
        let mut socket = TcpStream::connect(&self.address).ok()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let len = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let whole = len.is_some_and(|len| len.parse() == Ok(body.len()));
        whole.then(|| (head.to_owned(), body.to_owned()))
    }

    /// Ends it at once, without a warning (`SIGKILL`).
    pub(crate) fn kill(&self) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-KILL", &id]).status().unwrap();
        assert!(killed.success());
    }

    pub(crate) fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().code()
    }
}

fn fits(schema: &str, text: &str) {
    let done = crate::shared::Done {
        code: Some(0),
        out: format!("{}\n", text.trim_end()),
        err: String::new(),
    };
    done.json_of(schema);
}

#[test]
fn serves_answers_with_receipts_that_verify() {
    let place = Place::new();
    let server = start(&place, &["cnn", "--no-keep"]);
    fits("cli-serve", &server.first);
    for (path, schema) in [
        ("/v2", "http-server"),
        ("/v2/health/live", "http-live"),
        ("/v2/health/ready", "http-ready"),
        ("/v2/models/cnn", "http-model"),
        ("/v2/models/cnn/ready", "http-model-ready"),
    ] {
        let (head, body) = server.ask("GET", path, "");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        fits(schema, &body);
    }
    fits("http-infer-request", &four_digits());
    let (head, body) = server.ask("POST", "/v2/models/cnn/infer", &four_digits());
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
    fits("http-infer-response", &body);
    let digest = head
        .lines()
        .find_map(|line| line.strip_prefix("credence-receipt: "))
        .unwrap();
    let path = head
        .lines()
        .find_map(|line| line.strip_prefix("credence-bundle: "))
        .unwrap();
    let (head, bundle) = server.ask("GET", path, "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let file = place.write("served.json", bundle.as_bytes());
    let verified = place
        .run(&["verify", file, "--model", "cnn", "--json"])
        .expect(0);
    assert_eq!(verified.json()["receipt"], digest);
    let (head, body) = server.ask("POST", "/v2/models/cnn/infer", "{");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    fits("http-error", &body);
    assert_eq!(server.stop(), Some(0), "a signal to stop is no failure");
    assert!(!home().join("receipts").exists(), "--no-keep keeps nothing");
}

#[test]
fn receipts_are_kept_in_the_home_folder() {
    let place = Place::new();
    let own = place.path("home");
    std::fs::create_dir_all(own.join("models")).unwrap();
    for name in names(&home().join("models")) {
        let from = home().join("models").join(&name);
        std::fs::copy(from, own.join("models").join(&name)).unwrap();
    }
    let server = start(&place, &["--home", own.to_str().unwrap()]);
    let (head, _) = server.ask("POST", "/v2/models/cnn/infer", &four_digits());
    let digest = head
        .lines()
        .find_map(|line| line.strip_prefix("credence-receipt: "))
        .unwrap();
    let kept = own.join("receipts").join(format!("{digest}.json"));
    place
        .run(&["verify", kept.to_str().unwrap(), "--model", "cnn"])
        .expect(0);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_cannot_be_served_is_refused_at_once() {
    let place = Place::new();
    place
        .run_at(&place.path("empty"), &["serve"])
        .expect(7)
        .says("no model to serve");
    place.run(&["serve", "nobody"]).expect(7).says("`nobody`");
    let server = start(&place, &["cnn", "--no-keep"]);
    place
        .run(&["serve", "cnn", "--no-keep", "--listen", &server.address])
        .expect(9)
        .says("cannot listen");
    assert_eq!(server.stop(), Some(0));
}
