//! A monitor as whoever runs it sees it: a log that changes its story, and the file that proves it.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::shared::{Place, credence, line_of, names};

/// A home whose log has one entry: the statement of a key that is this home's alone. Every such log has the same key.
fn log_of(place: &Place, name: &str, like: Option<&Path>) -> (std::path::PathBuf, String) {
    let own = place.path(name);
    place.run_at(&own, &["key", "show"]).expect(0);
    if let Some(like) = like {
        for file in ["log.pem", "log.name"] {
            let from = like.join("keys").join(file);
            std::fs::copy(from, own.join("keys").join(file)).unwrap();
        }
    }
    let key = place.run_at(&own, &["log", "init"]).expect(0);
    let file = format!("{name}.json");
    let expire = ["key", "expire", "--at", "2999-01-01", "--out", &file];
    place.run_at(&own, &expire).expect(0);
    (own.join("log/log"), key.out.trim().to_owned())
}

struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(place: &Place) -> Self {
        Self::start_as(place, "watcher", "monitor.toml")
    }

    fn start_as(place: &Place, home: &str, config: &str) -> Self {
        let mut child = credence(&place.path(home), place.folder.path())
            .args(["monitor", config])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until a line says this.
    fn says(&mut self, text: &str) -> String {
        let found = self
            .lines
            .find(|line| line.as_ref().unwrap().contains(text));
        found.unwrap().unwrap()
    }

    fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(killed.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a program reads of the first alarm.
fn alarm_as_json(place: &Place) -> serde_json::Value {
    let mut child = credence(&place.path("watcher"), place.folder.path())
        .args(["monitor", "monitor.toml", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Running { child, lines };
    let alarm = line_of("cli-monitor", &told.says("\"alarm\""));
    assert_eq!(told.stop(), Some(5));
    alarm
}

#[test]
fn a_log_that_changes_its_story_is_told_on() {
    let place = Place::new();
    let (one, key) = log_of(&place, "one", None);
    let (other, same) = log_of(&place, "other", Some(&place.path("one")));
    assert_eq!(key, same);
    std::fs::rename(&one, place.path("shown")).unwrap();
    let config = format!(
        "state = \"state\"\nevidence = \"evidence\"\ninterval_s = 1\n[[log]]\nkey = \"{key}\"\nat = \"shown\"\n"
    );
    place.write("monitor.toml", config.as_bytes());

    let mut honest = Running::start(&place);
    honest.says("first seen, with 1 entries");
    assert_eq!(honest.stop(), Some(0));

    // The liar shows another entry of the same place, to a monitor that started anew.
    std::fs::rename(place.path("shown"), place.path("before")).unwrap();
    std::fs::rename(&other, place.path("shown")).unwrap();
    let mut told = Running::start(&place);
    told.says("ALARM");
    assert_eq!(told.stop(), Some(5));
    let evidence = names(&place.path("evidence"));
    let bundle = evidence
        .iter()
        .find(|name| name.ends_with(".json"))
        .unwrap();
    let bundle = format!("evidence/{bundle}");
    let confirmed = place
        .run(&["verify", "--kind", "equivocation", &bundle])
        .expect(0);
    assert!(
        confirmed.out.contains("a log said two things"),
        "{confirmed:#?}"
    );
    // What was seen before is not forgotten for what was shown then.
    assert_eq!(alarm_as_json(&place)["alarm"], "equivocation");
    let mut again = Running::start(&place);
    again.says("ALARM");
    assert_eq!(again.stop(), Some(5));
}

/// A port that is free now.
fn port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn two_monitors_that_ask_one_another_convict_a_log_that_forked() {
    let place = Place::new();
    let (one, key) = log_of(&place, "one", None);
    let (other, same) = log_of(&place, "other", Some(&place.path("one")));
    assert_eq!(key, same);
    // One of them has more entries, so that nothing of one size was signed twice but the first.
    for at in ["2998-01-01", "2997-01-01"] {
        let words = ["key", "expire", "--at", at, "--out", &format!("{at}.json")];
        place.run_at(&place.path("one"), &words).expect(0);
    }
    let expire = ["key", "expire", "--at", "2996-01-01", "--out", "2996.json"];
    place.run_at(&place.path("other"), &expire).expect(0);
    let ports = [port(), port()];
    for (at, log) in [(0, &one), (1, &other)] {
        let peer = ports[1 - at];
        let config = format!(
            "state = \"state-{at}\"\nevidence = \"evidence-{at}\"\ninterval_s = 1\nlisten = \"127.0.0.1:{}\"\n\
             [[log]]\nkey = \"{key}\"\nat = \"{}\"\n[[peer]]\nname = \"p\"\nat = \"http://127.0.0.1:{peer}\"\n",
            ports[at],
            log.display()
        );
        place.write(["a.toml", "b.toml"][at], config.as_bytes());
    }
    let mut second = Running::start_as(&place, "watcher-b", "b.toml");
    second.says("first seen, with 2 entries");
    let mut first = Running::start_as(&place, "watcher-a", "a.toml");
    first.says("first seen, with 3 entries");
    let said = first.says("ALARM");
    assert!(
        said.contains("3 entries") && said.contains("2 that it signed"),
        "{said}"
    );
    let file = said.split('`').nth(3).unwrap().to_owned();
    assert!(file.ends_with(".evidence"), "{said}");
    assert_eq!(first.stop(), Some(5));
    drop(second);
    let confirmed = place
        .run(&["verify", "--kind", "evidence", &file])
        .expect(0);
    assert!(
        confirmed.out.contains("of which one is false"),
        "{confirmed:#?}"
    );
    let json = place
        .run(&["verify", "--kind", "evidence", &file, "--json"])
        .expect(0);
    let json = json.json_of("cli-verify-evidence");
    assert_eq!(
        (&json["smaller"]["size"], &json["larger"]["size"]),
        (&2.into(), &3.into())
    );
}
