//! `credence demo`: three verifications in processes of their own, one accepted and two refused.

use crate::shared::Place;

#[test]
fn the_demo_runs_and_leaves_a_bundle() {
    let place = Place::new();
    let done = place.run(&["demo"]).expect(0);
    for words in [
        "fidelity over",
        "██",
        "answer ",
        "accepted: the policy is met",
        "not checked",
        "exit code 0",
        "exit code 5",
        "exit code 8",
        "not what the claim commits to",
        "method `replay` found the claim false: output `logits`",
        "Try next:",
    ] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    assert!(place.path("demo.bundle.json").exists());
    // The command that it ends with works.
    let next = done
        .out
        .lines()
        .find(|line| line.starts_with("  credence verify "));
    let arguments: Vec<&str> = next.unwrap().split_whitespace().skip(1).collect();
    place.run(&arguments).expect(0);
}

#[test]
fn the_demo_in_json() {
    let place = Place::new();
    let json = place.run(&["demo", "--json"]).expect(0).json_of("cli-demo");
    assert_eq!(json["labels"], json["answers"]);
    let codes: Vec<_> = json["verifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["exit_code"].as_i64().unwrap())
        .collect();
    assert_eq!(codes, [0, 5, 8]);
}

#[test]
fn the_demo_says_when_it_has_no_place() {
    let place = Place::new();
    std::fs::create_dir(place.path("demo.bundle.json")).unwrap();
    place.run(&["demo"]).expect(9).says("is a folder");
}
