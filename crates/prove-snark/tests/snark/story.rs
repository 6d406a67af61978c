//! A claim about a run, as an operator makes it and a verifier gets it.
//!
//! It deliberately judges nothing.

use std::sync::Arc;

use crate::common::engine;
use crate::small;
use credence_base::{Profile, PublicKey, SigningKey};
use credence_claim::{
    Case, Claim, ClaimFields, Commitments, Counts, Finding, FinishReason, Method as _, MethodError,
    Opened, Openings, Roots, Salts, SeedSource, commitment,
};
use credence_method_snark::Snark;
use credence_method_snark::pcs::Security;
use credence_model::{Model, Tensors};
use credence_prove_snark::{Options, ProveError, Weights, prove, prove_with_weights};

const TENSOR_PARAMS: &[u8] = &[1, 0, 0, 0, 0];
pub(crate) const OPTIONS: Options = Options {
    security: Security::Bits100,
    memory_bytes_max: 1 << 30,
};

/// What an operator commits to.
pub(crate) struct Story {
    pub(crate) model: Arc<Model>,
    pub(crate) input: Vec<u8>,
    pub(crate) params: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) positions: u64,
    pub(crate) fields: fn(&mut ClaimFields),
}

/// What it signs, and opens.
pub(crate) struct Told {
    pub(crate) claim: Claim,
    pub(crate) operator: PublicKey,
    pub(crate) openings: Openings,
}

impl Story {
    /// An honest answer of the first small program.
    pub(crate) fn honest() -> Self {
        let (_, model, inputs) = small::programs().remove(0);
        Self::of(model, &inputs)
    }

    /// An honest answer.
    pub(crate) fn of(model: Model, inputs: &Tensors) -> Self {
        let model = Arc::new(model);
        let execution = engine(Arc::clone(&model)).run(inputs).unwrap();
        Self {
            model,
            input: inputs.encode(),
            params: TENSOR_PARAMS.to_vec(),
            output: execution.outputs.encode(),
            positions: execution.positions,
            fields: |_| {},
        }
    }

    pub(crate) fn told(&self) -> Told {
        let operator = SigningKey::from_seed(&[1; 32]).public_key();
        let salts = Salts::derive(&[2; 32]);
        let roots = Roots {
            input: commitment::input_root(&self.input),
            params: commitment::params_root(&self.params),
            output: commitment::output_root(&self.output),
            trace: credence_base::TraceRoot::from_bytes([6; 32]),
        };
        let commitments = Commitments::new(&operator, &salts, &roots);
        let mut fields = ClaimFields {
            profile: Profile::Exact1,
            model: self.model.id(),
            input: commitments.input,
            params: commitments.params,
            output: commitments.output,
            trace: commitments.trace,
            counts: Counts {
                input: self.positions,
                output: self.positions,
            },
            finish: FinishReason::Complete,
            nonce: None,
            seed: SeedSource::Nothing,
            constrained: None,
        };
        (self.fields)(&mut fields);
        let opened = |salt, content: &[u8]| {
            Some(Opened {
                salt,
                content: content.to_vec(),
            })
        };
        let openings = Openings {
            input: opened(salts.input, &self.input),
            params: opened(salts.params, &self.params),
            output: opened(salts.output, &self.output),
            trace: None,
        };
        Told {
            claim: Claim::new(fields).unwrap(),
            operator,
            openings,
        }
    }

    pub(crate) fn prove(&self, options: Options) -> Result<Vec<u8>, ProveError> {
        let told = self.told();
        let case = Case::check(&told.claim, &told.operator, &told.openings).unwrap();
        prove(&engine(Arc::clone(&self.model)), &case, options)
    }

    pub(crate) fn prove_with(
        &self,
        options: Options,
        weights: &Weights,
    ) -> Result<Vec<u8>, ProveError> {
        let told = self.told();
        let case = Case::check(&told.claim, &told.operator, &told.openings).unwrap();
        prove_with_weights(&engine(Arc::clone(&self.model)), &case, options, weights)
    }

    pub(crate) fn check(
        &self,
        method: &Snark,
        evidence: Option<&[u8]>,
    ) -> Result<Finding, MethodError> {
        let told = self.told();
        let case = Case::check(&told.claim, &told.operator, &told.openings).unwrap();
        method.check(&case, evidence)
    }

    pub(crate) fn method(&self) -> Snark {
        Snark::new(Arc::clone(&self.model), Security::Bits100)
    }
}

/// The text of an error with its sources.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
