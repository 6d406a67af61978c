//! Targets of succinct proofs: evidence with public and with committed weights over one honest claim, and a card of weights.

use std::sync::{Arc, OnceLock};

use credence_base::{Profile, PublicKey, SigningKey, TraceRoot};
use credence_claim::{
    Case, Claim, ClaimFields, Commitments, Counts, FinishReason, Method as _, Opened, Openings,
    Roots, Salts, SeedSource, commitment,
};
use credence_exec::Engine;
use credence_method_snark::pcs::Security;
use credence_method_snark::weights::{Card, WeightsId};
use credence_method_snark::{Known as _, Relation, Snark, Voucher};
use credence_model::Model;
use credence_prove_snark::{Options, Weights, prove, prove_with_weights};

use super::{Target, spot};
use crate::program_gen::request;
use crate::samples;

/// Only the honest proof convinces.
pub(super) const PROOF: Target = Target {
    name: "snark_proof",
    seeds: || vec![honest().evidence.clone()],
    run: |bytes| is_taken(&honest().snark, bytes, &honest().evidence),
};

/// The same of a proof with committed weights.
pub(super) const APART: Target = Target {
    name: "snark_apart",
    seeds: || vec![honest().evidence_apart.clone()],
    run: |bytes| is_taken(&honest().snark_apart, bytes, &honest().evidence_apart),
};

/// A card is named by its bytes, so another one is of another name; whatever it says, building a circuit of it is refused at worst.
pub(super) const CARD: Target = Target {
    name: "snark_card",
    seeds: || vec![honest().weights.card_bytes().to_vec()],
    run: |bytes| {
        let honest = honest();
        let id = honest.weights.card().id();
        if bytes != honest.weights.card_bytes() {
            assert!(
                Card::decode(id, honest.weights.id(), bytes).is_err(),
                "another card was accepted under the honest one's name"
            );
        }
        let Ok(card) = Card::decode(id, WeightsId::of(bytes), bytes) else {
            return false;
        };
        assert_eq!(card.id(), id);
        Relation::apart(Arc::new(card), 1).is_ok()
    },
};

fn is_taken(snark: &Snark, bytes: &[u8], evidence: &[u8]) -> bool {
    let honest = honest();
    let case = Case::check(&honest.claim, &honest.operator, &honest.openings).unwrap();
    let checked = snark.check(&case, Some(bytes));
    checked
        .map(|_| assert_eq!(bytes, evidence, "other evidence was accepted"))
        .is_ok()
}

struct Honest {
    claim: Claim,
    operator: PublicKey,
    openings: Openings,
    weights: Weights,
    evidence: Vec<u8>,
    evidence_apart: Vec<u8>,
    snark: Snark,
    snark_apart: Snark,
}

fn honest() -> &'static Honest {
    static HONEST: OnceLock<Honest> = OnceLock::new();
    HONEST.get_or_init(made)
}

fn made() -> Honest {
    let (spec, params) = samples::program();
    let model = Arc::new(Model::new(spec, params).unwrap());
    let inputs = request(&model, 4, 1);
    let engine = Engine::new(Arc::clone(&model), spot::options()).unwrap();
    let output = engine.run(&inputs).unwrap().outputs.encode();
    let operator = SigningKey::from_seed(&[1; 32]).public_key();
    let salts = Salts::derive(&[2; 32]);
    let (input, params) = (inputs.encode(), vec![1, 0, 0, 0, 0]);
    let roots = Roots {
        input: commitment::input_root(&input),
        params: commitment::params_root(&params),
        output: commitment::output_root(&output),
        trace: TraceRoot::from_bytes([6; 32]),
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
            input: 1,
            output: 1,
        },
        finish: FinishReason::Complete,
        nonce: None,
        seed: SeedSource::Nothing,
        constrained: None,
    })
    .unwrap();
    let shown = |salt, content| Some(Opened { salt, content });
    let openings = Openings {
        input: shown(salts.input, input),
        params: shown(salts.params, params),
        output: shown(salts.output, output),
        trace: None,
    };
    let case = Case::check(&claim, &operator, &openings).unwrap();
    let options = Options {
        security: Security::Bits100,
        memory_bytes_max: 1 << 30,
    };
    let weights = Weights::commit(&model).unwrap();
    let evidence = prove(&engine, &case, options).unwrap();
    let evidence_apart = prove_with_weights(&engine, &case, options, &weights).unwrap();
    let voucher = Voucher {
        key: operator,
        time_unix_s: 0,
        is_expected: true,
    };
    let mut snark = Snark::new(model, Security::Bits100);
    let card = Arc::clone(weights.card());
    let mut snark_apart = Snark::apart(card, voucher, Security::Bits100);
    for method in [&mut snark, &mut snark_apart] {
        method.prepare(1).unwrap();
    }
    Honest {
        claim,
        operator,
        openings,
        weights,
        evidence,
        evidence_apart,
        snark,
        snark_apart,
    }
}
