//! An honest bundle, a policy that it meets, and two methods small enough to see through.
#![expect(
    clippy::unwrap_used,
    reason = "a value that cannot be made is a failed test"
)]

use credence_base::{ModelId, Name, Nonce, Profile, SigningKey, TraceRoot};
use credence_claim::commitment::{input_root, output_root, params_root};
use credence_claim::{
    Basis, Case, Claim, ClaimFields, Commitments, ConstrainedDecoding, Counts, Evidence, Finding,
    FinishReason, Method, MethodError, MethodId, Opened, Openings, Part, Refutation, Roots, Salts,
    SeedSource,
};
use credence_receipt::{Bundle, Inference, Statement, sign};
use credence_verify::{Facts, Policy};

pub(crate) const TIME_UNIX_S: u64 = 1_795_219_200;
pub(crate) const INPUT: &[u8] = b"abc";
pub(crate) const PARAMS: &[u8] = b"shout";
pub(crate) const TRACE: TraceRoot = TraceRoot::from_bytes([3; 32]);
pub(crate) const MODEL: ModelId = ModelId::from_bytes([4; 32]);
pub(crate) const NONCE: Nonce = Nonce::from_bytes([5; 32]);

/// The computation of these tests.
pub(crate) fn run_model(input: &[u8]) -> Vec<u8> {
    input.to_ascii_uppercase()
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

pub(crate) fn salts() -> Salts {
    Salts::derive(&[2; 32])
}

pub(crate) fn honest_fields() -> ClaimFields {
    fields_for(&key(), &run_model(INPUT), TRACE)
}

/// A claim that `operator` makes of `output` and `trace`, true or not.
pub(crate) fn fields_for(operator: &SigningKey, output: &[u8], trace: TraceRoot) -> ClaimFields {
    let roots = Roots {
        input: input_root(INPUT),
        params: params_root(PARAMS),
        output: output_root(output),
        trace,
    };
    let Commitments {
        input,
        params,
        output,
        trace,
    } = Commitments::new(&operator.public_key(), &salts(), &roots);
    ClaimFields {
        profile: Profile::Exact1,
        model: MODEL,
        input,
        params,
        output,
        trace,
        counts: Counts {
            input: 3,
            output: 3,
        },
        finish: FinishReason::Stop,
        nonce: Some(NONCE),
        seed: SeedSource::Derived,
        constrained: Some(engine()),
    }
}

pub(crate) fn engine() -> ConstrainedDecoding {
    ConstrainedDecoding {
        engine: Name::new("grammar").unwrap(),
        version: Name::new("1.2").unwrap(),
    }
}

pub(crate) fn openings_for(output: &[u8]) -> Openings {
    let salts = salts();
    let opened = |salt, content: &[u8]| {
        Some(Opened {
            salt,
            content: content.to_vec(),
        })
    };
    Openings {
        input: opened(salts.input, INPUT),
        params: opened(salts.params, PARAMS),
        output: opened(salts.output, output),
        trace: Some(salts.trace),
    }
}

pub(crate) fn evidence() -> Vec<Evidence> {
    let method = MethodId::new("seal").unwrap();
    vec![Evidence {
        method,
        version: 1,
        bytes: Seal::BYTES.to_vec(),
    }]
}

pub(crate) fn bundle_of(fields: ClaimFields, operator: &SigningKey, openings: Openings) -> Bundle {
    let statement = Statement::Inference(Inference {
        claim: Claim::new(fields).unwrap(),
        operator: operator.public_key(),
        time_unix_s: TIME_UNIX_S,
    });
    Bundle::new(sign(&statement, operator).unwrap(), openings, evidence()).unwrap()
}

pub(crate) fn honest_bundle() -> Bundle {
    bundle_of(honest_fields(), &key(), openings_for(&run_model(INPUT)))
}

pub(crate) fn policy() -> Policy {
    Policy {
        required: vec![
            MethodId::SIGNED,
            MethodId::REPLAY,
            MethodId::new("seal").unwrap(),
        ],
        operators: Some(vec![key().public_key()]),
        models: Some(vec![MODEL]),
        age_max_s: Some(3600),
        skew_max_s: 60,
        nonce: Some(NONCE),
        vouchers: None,
        bits_min: None,
        log: None,
    }
}

pub(crate) fn facts() -> Facts {
    Facts::at(TIME_UNIX_S + 10)
}

/// Runs the computation again, as the true `replay` runs a model.
pub(crate) struct Replay;

impl Method for Replay {
    fn id(&self) -> MethodId {
        MethodId::REPLAY
    }

    fn version(&self) -> u32 {
        1
    }

    fn needs_evidence(&self) -> bool {
        false
    }

    fn check(&self, case: &Case<'_>, evidence: Option<&[u8]>) -> Result<Finding, MethodError> {
        assert!(evidence.is_none(), "no evidence is for this method");
        let (input, _params) = (case.input()?, case.params()?);
        let output = run_model(input);
        case.check_output(&output)?;
        case.check_trace(&TRACE)?;
        let refute = |refutation| Err(MethodError::Refuted(refutation));
        let claim = case.claim().fields();
        let got = u64::try_from(input.len()).unwrap();
        if claim.counts.input != got {
            return refute(Refutation::InputCount {
                claimed: claim.counts.input,
                got,
            });
        }
        if claim.counts.output != got {
            return refute(Refutation::OutputCount {
                claimed: claim.counts.output,
                got,
            });
        }
        if claim.finish != FinishReason::Stop {
            return refute(Refutation::Finish {
                claimed: claim.finish,
                got: FinishReason::Stop,
            });
        }
        if claim.seed != SeedSource::Derived {
            return refute(Refutation::Seed);
        }
        if claim.constrained != Some(engine()) {
            return refute(Refutation::Feature {
                feature: "constrained decoding",
            });
        }
        Ok(Finding::re_executed(got, 1))
    }
}

/// A method that needs evidence, and knows the only right one.
pub(crate) struct Seal;

impl Seal {
    pub(crate) const BYTES: &[u8] = b"sealed";
}

impl Method for Seal {
    fn id(&self) -> MethodId {
        MethodId::new("seal").unwrap()
    }

    fn version(&self) -> u32 {
        1
    }

    fn needs_evidence(&self) -> bool {
        true
    }

    fn check(&self, _case: &Case<'_>, evidence: Option<&[u8]>) -> Result<Finding, MethodError> {
        if evidence == Some(Self::BYTES) {
            let basis = Basis::Proved;
            return Ok(Finding {
                basis,
                ..Finding::signed(&"seal", true)
            });
        }
        let source = "not the seal".into();
        Err(MethodError::Malformed {
            part: Part::Evidence,
            source,
        })
    }
}
