//! Every decoder against seeded mutations of honest inputs: no panic, one form, and honest inputs are taken.
//!
//! This is the short run that CI makes; `fuzz/README.md` says how to run the same targets for hours.

use credence_testkit::decoders::TARGETS;
use credence_testkit::mutation::{Choices, mutate};

const ROUNDS: u64 = 20_000;

#[test]
fn honest_inputs_are_accepted() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for seed in seeds {
            assert!((target.run)(&seed), "{} refuses its seed", target.name);
        }
    }
}

#[test]
fn mutations_are_refused_or_read_in_one_form() {
    for target in TARGETS {
        for (index, seed) in (target.seeds)().iter().enumerate() {
            let mut choices = Choices::new(u64::try_from(index).unwrap());
            let accepted = (0..ROUNDS)
                .filter(|_| (target.run)(&mutate(seed, &mut choices)))
                .count();
            println!("{}: {accepted} of {ROUNDS} mutations accepted", target.name);
        }
    }
}

#[test]
fn every_truncation_is_refused_or_read() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            // Long seeds are cut at every length of their first and last kilobyte.
            let near_an_end = |length: &usize| *length < 1024 || seed.len() - length < 1024;
            for length in (0..seed.len()).filter(near_an_end) {
                (target.run)(&seed[..length]);
            }
        }
    }
}

#[test]
fn every_target_has_its_libfuzzer_twin_and_every_twin_its_target() {
    let fuzz = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let name = target.name;
        let twin = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs")));
        let calls = format!("credence_testkit::decoders::run(\"{name}\", bytes)");
        assert!(twin.unwrap().contains(&calls), "{name}");
        let bin = format!("[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&bin), "{name} is no binary of fuzz/");
    }
    let known = |name: &str| TARGETS.iter().any(|target| target.name == name);
    for file in std::fs::read_dir(fuzz.join("fuzz_targets")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // These two link what reads ONNX, which this crate does not.
        let apart = ["onnx", "requests"].contains(&name.as_str());
        assert!(known(&name) != apart, "{name}");
    }
}
