//! Succinct proofs as a user makes and checks them.

use credence_model::Provenance;
use serde_json::Value;

use crate::shared::{Place, honest, model_file, shipped};

/// The honest bundle, in this folder.
fn bundle(place: &Place) -> &'static str {
    place.write("out.bundle.json", honest())
}

#[test]
fn a_proof_is_added_and_anyone_with_the_model_checks_it() {
    let place = Place::new();
    let bundle = bundle(&place);
    // Nothing is proved yet.
    let verify = ["verify", bundle, "--require", "snark"];
    place.run(&verify).expect(7);
    let proved = place.run(&["prove", bundle, "--json"]).expect(0);
    assert_eq!(proved.json_of("cli-prove")["bits"], 100);
    let verified = place.run(&verify).expect(0);
    assert!(verified.out.contains("proved"), "{verified:#?}");
    assert!(verified.out.contains("soundness"), "{verified:#?}");

    // Again, stronger, elsewhere: one proof replaces the other.
    let stronger = ["prove", bundle, "--security", "128", "--out", "128.json"];
    place.run(&stronger).expect(0);
    let again: Value =
        serde_json::from_slice(&std::fs::read(place.path("128.json")).unwrap()).unwrap();
    assert_eq!(again["evidence"].as_array().unwrap().len(), 1);
    place
        .run(&[
            "verify",
            "128.json",
            "--require",
            "snark",
            "--min-bits",
            "128",
        ])
        .expect(0);
    // The first proof is less sure, and a policy that asks for more refuses it by name.
    let sure = [&verify[..], &["--min-bits", "128"]].concat();
    place.run(&sure).expect(6).says("method `snark` bounds");
    place.write("sure.toml", b"require = ['snark']\nmin_bits = 128");
    place
        .run(&["verify", bundle, "--policy", "sure.toml"])
        .expect(6)
        .says("2^-128");
    place
        .run(&["verify", bundle, "--require", "signed", "--min-bits", "1"])
        .expect(6)
        .says("no method that it requires");
    place
        .run(&["verify", bundle, "--min-bits", "129"])
        .expect_usage();

    // Without the model there is nothing to check it by; with it named, no home is needed.
    let empty = place.path("empty");
    place.run_at(&empty, &verify).expect(7);
    let model = model_file();
    let named = [&verify[..], &["--model", model.to_str().unwrap()]].concat();
    place.run_at(&empty, &named).expect(0);
}

#[test]
fn a_proof_with_a_changed_byte_is_refused() {
    let place = Place::new();
    let bundle = bundle(&place);
    place.run(&["prove", bundle]).expect(0);
    let text = std::fs::read_to_string(place.path(bundle)).unwrap();
    let at = text.find("\"method\":\"snark\"").unwrap();
    let before = text[..at].rfind("\"bytes\":\"").unwrap() + 9;
    for offset in [4, 400, 4000] {
        let mut bytes = text.clone().into_bytes();
        let byte = &mut bytes[before + offset];
        *byte = if *byte == b'A' { b'B' } else { b'A' };
        place.write("forged.json", &bytes);
        let forged = place.run(&["verify", "forged.json", "--require", "snark"]);
        assert!(matches!(forged.code, Some(3 | 8)), "{offset}: {forged:#?}");
    }
}

#[test]
fn what_has_no_proof_is_refused_by_name() {
    let place = Place::new();
    let bundle = bundle(&place);
    place
        .run(&["prove", bundle, "--security", "64"])
        .expect_usage();
    place
        .run(&["prove", bundle, "--memory", "0"])
        .expect(2)
        .says("memory");
    place
        .run_at(&place.path("empty"), &["prove", bundle])
        .expect(7);
    assert_eq!(std::fs::read(place.path(bundle)).unwrap(), honest());
    // Another model than the claimed one.
    let (onnx, inputs) = (shipped("forest.onnx"), shipped("forest.calibrate.npz"));
    let own = place.path("own");
    let import = [
        "model",
        "import",
        onnx.to_str().unwrap(),
        "--calibrate",
        inputs.to_str().unwrap(),
    ];
    place
        .run_at(&own, &[&import[..], &["--name", "forest"]].concat())
        .expect(0);
    let other = ["prove", bundle, "--model", "forest"];
    place.run_at(&own, &other).expect(5).says("another model");
}

#[test]
fn a_proof_with_committed_weights_is_checked_by_someone_s_word() {
    let place = Place::new();
    let bundle = bundle(&place);
    let commit = ["weights", "commit"];
    let model = model_file();
    let model = model.to_str().unwrap();
    let made = place.run(
        &[
            &commit[..],
            &[model, "--out", "w.json", "--no-log", "--json"],
        ]
        .concat(),
    );
    let made = made.expect(0).json_of("cli-weights");
    let voucher = made["voucher"].as_str().unwrap();
    place
        .run(&["weights", "check", "w.json", "--model", model, "--json"])
        .expect(0)
        .json_of("cli-weights");
    place
        .run(&["prove", bundle, "--weights", "committed"])
        .expect(0);

    // Whoever checks has no model, and is told whose word it took.
    let empty = place.path("empty");
    let verify = [
        "verify",
        bundle,
        "--require",
        "snark",
        "--weights",
        "w.json",
    ];
    let anyone = place.run_at(&empty, &verify).expect(0);
    assert!(anyone.out.contains(voucher), "{anyone:#?}");
    assert!(anyone.out.contains("any key was accepted"), "{anyone:#?}");
    let trusting = [&verify[..], &["--voucher", voucher]].concat();
    let known = place.run_at(&empty, &trusting).expect(0);
    assert!(!known.out.contains("any key was accepted"), "{known:#?}");
    // By the model alone there is no proof to check: this one commits to weights.
    place
        .run(&["verify", bundle, "--require", "snark"])
        .expect(7);

    // A stranger's word.
    let other = place.path("other");
    let stranger = [
        &commit[..],
        &[model, "--out", "s.json", "--no-log", "--json"],
    ]
    .concat();
    place.run_at(&other, &stranger).expect(0);
    let by_stranger = [
        "verify",
        bundle,
        "--require",
        "snark",
        "--weights",
        "s.json",
    ];
    let asked = [&by_stranger[..], &["--voucher", voucher]].concat();
    place.run_at(&empty, &asked).expect(6).says("vouches for");
    // A binding that was changed.
    let text = std::fs::read_to_string(place.path("w.json")).unwrap();
    let at = text.find("\"bytes\":\"").unwrap() + 60;
    let mut bytes = text.into_bytes();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    place.write("w.json", &bytes);
    place.run_at(&empty, &verify).expect(5).says("card");
}

/// A language model that speaks, as a file.
fn speaker(place: &Place) -> &'static str {
    let model = credence_testkit::speaking::speaking(SPEAKER);
    let bytes = model.to_safetensors(&Provenance::default()).unwrap();
    place.write("speaker.safetensors", &bytes)
}

/// A seed whose model can be proved.
const SPEAKER: u64 = 0;

#[test]
fn an_answer_of_a_chat_is_proved_and_every_token_drawn_again() {
    let place = Place::new();
    let model = speaker(&place);
    let chat = |bundle: &str, more: &[&str]| {
        let ask = [
            "chat",
            model,
            "the",
            "--max-tokens",
            "3",
            "--receipt",
            bundle,
        ];
        place.run(&[&ask[..], more].concat()).expect(0);
    };
    chat("greedy.json", &[]);
    chat(
        "drawn.json",
        &["--temperature", "0.8", "--top-p", "0.9", "--top-k", "20"],
    );
    for bundle in ["greedy.json", "drawn.json"] {
        let verify = ["verify", bundle, "--require", "snark", "--model", model];
        place.run(&verify).expect(7);
        place.run(&["prove", bundle, "--model", model]).expect(0);
        let verified = place.run(&verify).expect(0);
        assert!(verified.out.contains("proved"), "{verified:#?}");
        assert!(verified.out.contains("soundness"), "{verified:#?}");
    }
    // One answer's proof is not the other's.
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(place.path(name)).unwrap()).unwrap()
    };
    let mut mixed = read("greedy.json");
    mixed["evidence"] = read("drawn.json")["evidence"].clone();
    place.write("mixed.json", &serde_json::to_vec(&mixed).unwrap());
    let verify = [
        "verify",
        "mixed.json",
        "--require",
        "snark",
        "--model",
        model,
    ];
    let refused = place.run(&verify);
    assert!(matches!(refused.code, Some(3 | 8)), "{refused:#?}");
}
