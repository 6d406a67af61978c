//! `vectors/spot/` is what is made today, and its evidence convinces from the files alone.

use credence_claim::Method as _;
use credence_method_spot::{Card, Challenge, Evidence, Form, Spot};
use credence_model::Model;
use serde_json::Value;

use crate::common::demand;
use crate::making::{CELLS, files, folder};

fn unhex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn the_files_are_what_is_made_today_and_convince() {
    for (name, made) in files() {
        let text = std::fs::read_to_string(folder().join(name)).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, made, "{name}: examples/spot_vectors.rs makes it anew");
        let program =
            credence_model::program_from_bytes(read["program"].as_str().unwrap().as_bytes());
        let weights = read["weights"].as_array().unwrap().iter().map(unhex);
        let model = Model::new(program.unwrap(), weights.collect()).unwrap();
        assert_eq!(model.id().to_string(), read["model_id"].as_str().unwrap());
        let evidence = unhex(&read["evidence"]);
        let form = Evidence::decode(&evidence).unwrap().form;
        let challenge = match form {
            Form::Claim => Challenge::Claim,
            _ => Challenge::Auditor(unhex(&read["auditor"]).try_into().unwrap()),
        };
        let card = Card::decode(model.id(), &unhex(&read["card"])).unwrap();
        let spot = Spot::new(vec![card], demand(CELLS, 2), challenge).unwrap();
        let claim = credence_claim::Claim::decode(&unhex(&read["claim"])).unwrap();
        let salts = credence_claim::Salts::derive(&unhex(&read["salt_master"]).try_into().unwrap());
        let opened = |salt, field: &str| {
            Some(credence_claim::Opened {
                salt,
                content: unhex(&read[field]),
            })
        };
        let openings = credence_claim::Openings {
            input: opened(salts.input, "input"),
            params: opened(salts.params, "params"),
            output: opened(salts.output, "output"),
            trace: Some(salts.trace),
        };
        let operator =
            credence_base::PublicKey::from_bytes(&unhex(&read["operator"]).try_into().unwrap());
        let operator = operator.unwrap();
        let case = credence_claim::Case::check(&claim, &operator, &openings).unwrap();
        spot.check(&case, Some(&evidence)).unwrap();
    }
}
