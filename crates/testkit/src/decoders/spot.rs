//! Targets of spot checks: evidence, a model's card, and the whole method over one honest claim.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use credence_base::{Profile, PublicKey, SigningKey};
use credence_claim::{
    Case, Claim, ClaimFields, Commitments, Counts, FinishReason, Method as _, Opened, Openings,
    Roots, Salts, SeedSource, commitment,
};
use credence_exec::{Engine, Isa, Options};
use credence_method_spot::{Card, Challenge, Demand, Evidence, Spot};
use credence_model::Model;
use credence_prove_spot::{Carry, Opener};

use super::Target;
use crate::program_gen::{model, request};

pub(super) const EVIDENCE: Target = Target {
    name: "spot_evidence",
    seeds: || vec![honest().evidence.clone()],
    run: |bytes| {
        let read = Evidence::decode(bytes);
        read.map(|evidence| assert_eq!(evidence.encode().unwrap(), bytes))
            .is_ok()
    },
};

pub(super) const CARD: Target = Target {
    name: "spot_card",
    seeds: || vec![honest().card.clone()],
    run: |bytes| {
        let read = Card::decode(honest().model.id(), bytes);
        read.map(|_| assert_eq!(bytes, honest().card, "another card was accepted"))
            .is_ok()
    },
};

/// Only the honest evidence convinces.
pub(super) const CHECK: Target = Target {
    name: "spot_check",
    seeds: || vec![honest().evidence.clone()],
    run: |bytes| {
        let honest = honest();
        let case = Case::check(&honest.claim, &honest.operator, &honest.openings).unwrap();
        let checked = honest.spot.check(&case, Some(bytes));
        checked
            .map(|_| assert_eq!(bytes, honest.evidence, "other evidence was accepted"))
            .is_ok()
    },
};

pub(super) struct Honest {
    pub(super) model: Arc<Model>,
    pub(super) claim: Claim,
    pub(super) operator: PublicKey,
    pub(super) openings: Openings,
    card: Vec<u8>,
    evidence: Vec<u8>,
    spot: Spot,
}

const CELLS: u32 = 4;

pub(super) fn honest() -> &'static Honest {
    static HONEST: OnceLock<Honest> = OnceLock::new();
    HONEST.get_or_init(made)
}

fn made() -> Honest {
    let model = Arc::new(model(4));
    let inputs = request(&model, 4, 2);
    let engine = Engine::new(Arc::clone(&model), options()).unwrap();
    let execution = engine.run(&inputs).unwrap();
    let operator = SigningKey::from_seed(&[1; 32]).public_key();
    let salts = Salts::derive(&[2; 32]);
    let contents = [
        inputs.encode(),
        vec![1, 0, 0, 0, 0],
        execution.outputs.encode(),
    ];
    let [input, params, output] = &contents;
    let roots = Roots {
        input: commitment::input_root(input),
        params: commitment::params_root(params),
        output: commitment::output_root(output),
        trace: execution.trace.root(),
    };
    let commitments = Commitments::new(&operator, &salts, &roots);
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model: model.id(),
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts: Counts {
            input: execution.positions,
            output: execution.positions,
        },
        finish: FinishReason::Complete,
        nonce: None,
        seed: SeedSource::Nothing,
        constrained: None,
    })
    .unwrap();
    let [input, params, output] = contents;
    let shown = |salt, content| Some(Opened { salt, content });
    let openings = Openings {
        input: shown(salts.input, input),
        params: shown(salts.params, params),
        output: shown(salts.output, output),
        trace: Some(salts.trace),
    };
    let (card, evidence) = opened(&model, &Case::check(&claim, &operator, &openings).unwrap());
    let known = Card::decode(model.id(), &card).unwrap();
    let demand = Demand {
        bits: CELLS,
        ..Demand::USUAL
    };
    Honest {
        spot: Spot::new(vec![known], demand, Challenge::Claim).unwrap(),
        model,
        claim,
        operator,
        openings,
        card,
        evidence,
    }
}

pub(super) fn options() -> Options {
    Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    }
}

/// The model's card, and evidence about the case.
fn opened(model: &Arc<Model>, case: &Case<'_>) -> (Vec<u8>, Vec<u8>) {
    let opener = Opener::new(model, options()).unwrap();
    let rerun = opener.rerun(case).unwrap();
    let evidence = rerun.prove(&Challenge::Claim, (CELLS, 0), Carry::Nothing);
    (opener.card(false).unwrap(), evidence.unwrap())
}
