//! An honest embedding passes; each named liar is refuted, and each by the check that is there for it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_base::{Profile, SigningKey, TraceRoot};
use credence_claim::{
    Claim, ClaimFields, Commitments, Counts, FinishReason, Method as _, Opened, Openings, Roots,
    Salts, SeedSource, commitment,
};
use credence_exec::{Engine, Isa, Options};
use credence_model::{Elements, Model, Tensor};
use credence_testkit::speaking::{EMBEDDING_CONTEXT, EMBEDDING_WIDTH, embedding, speaking};

use super::*;
use crate::{Replay, TENSOR_PARAMS};

fn options() -> Options {
    let isa = Isa::detect();
    let threads = NonZeroUsize::MIN;
    Options { threads, isa }
}

fn embedder(seed: u64) -> Embedder {
    let engine = Engine::new(Arc::new(embedding(seed)), options()).unwrap();
    Embedder::new(engine).unwrap()
}

/// What an operator commits to.
#[derive(Clone)]
struct Answer {
    input: Vec<u8>,
    params: Vec<u8>,
    output: Vec<u8>,
    trace: TraceRoot,
    counts: Counts,
    finish: FinishReason,
    seed: SeedSource,
}

fn answer(encoder: &Embedder, content: Content, choice: u32) -> Answer {
    let prompt = Prompt::new(content, choice, encoder.text()).unwrap();
    let made = encoder.run(&[prompt.ids()]).unwrap();
    Answer {
        input: prompt.encode().unwrap(),
        params: TENSOR_PARAMS.to_vec(),
        output: made[0].output.encode(),
        trace: made[0].trace_root,
        counts: Counts {
            input: u64::try_from(prompt.ids().len()).unwrap(),
            output: 1,
        },
        finish: FinishReason::Complete,
        seed: SeedSource::Nothing,
    }
}

/// What is said of a text that is not the request's first.
const MANY: &str = "as many embeddings";

fn words(text: &str) -> Content {
    Content::Text(text.to_owned())
}

fn check(model: &Arc<Model>, answer: &Answer) -> Result<Finding, MethodError> {
    let operator = SigningKey::from_seed(&[3; 32]).public_key();
    let salts = Salts::derive(&[9; 32]);
    let roots = Roots {
        input: commitment::input_root(&answer.input),
        params: commitment::params_root(&answer.params),
        output: commitment::output_root(&answer.output),
        trace: answer.trace,
    };
    let all = Commitments::new(&operator, &salts, &roots);
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model: model.id(),
        input: all.input,
        params: all.params,
        output: all.output,
        trace: all.trace,
        counts: answer.counts,
        finish: answer.finish,
        nonce: None,
        seed: answer.seed,
        constrained: None,
    })
    .unwrap();
    let opened = |salt, content: &[u8]| {
        let content = content.to_vec();
        Some(Opened { salt, content })
    };
    let openings = Openings {
        input: opened(salts.input, &answer.input),
        params: opened(salts.params, &answer.params),
        output: opened(salts.output, &answer.output),
        trace: Some(salts.trace),
    };
    let case = Case::check(&claim, &operator, &openings).unwrap();
    Replay::new(Arc::clone(model), options())
        .unwrap()
        .check(&case, None)
}

fn output(encoder: &Embedder, change: impl Fn(&mut Vec<f32>)) -> Vec<u8> {
    let mut vector = encoder.run(&[&[2, 4, 3]]).unwrap()[0].vector().to_vec();
    change(&mut vector);
    let width = u64::try_from(vector.len()).unwrap();
    let tensor = Tensor::new("embedding", vec![width], Elements::Fp32(vector)).unwrap();
    Tensors::new(vec![tensor]).unwrap().encode()
}

#[test]
fn an_honest_embedding_is_run_again() {
    let encoder = embedder(1);
    for content in [words("The things!"), words("thing"), words("☃ é")] {
        let finding = check(encoder.model(), &answer(&encoder, content, 0)).unwrap();
        assert!(!finding.not_checked.iter().any(|said| said.contains(MANY)));
    }
    let second = check(encoder.model(), &answer(&encoder, words("thing"), 1)).unwrap();
    assert!(second.not_checked.iter().any(|said| said.contains(MANY)));
    let mut tokens = answer(&encoder, words("the"), 0);
    tokens.input = Prompt::tokens(vec![2, 4, 3], 0).unwrap().encode().unwrap();
    assert!(check(encoder.model(), &tokens).is_ok());
}

#[test]
fn every_liar_is_caught_by_the_check_that_is_there_for_it() {
    let encoder = embedder(2);
    let honest = answer(&encoder, words("the"), 0);
    let refuted = |change: &dyn Fn(&mut Answer)| {
        let mut lie = honest.clone();
        change(&mut lie);
        match check(encoder.model(), &lie).unwrap_err() {
            MethodError::Refuted(refutation) => format!("{refutation:?}"),
            other => format!("{other:?}"),
        }
    };
    // The editor: one bit of one element; and a whole other vector.
    let bit = output(&encoder, |v| v[5] = f32::from_bits(v[5].to_bits() ^ 1));
    assert!(refuted(&|a| a.output = bit.clone()).contains("OutputValue"));
    let short = output(&encoder, |v| v.truncate(3));
    assert!(refuted(&|a| a.output = short.clone()).contains("Output"));
    // The one that embeds another text, and says it was this one.
    let other = answer(&encoder, words("things"), 0);
    assert!(refuted(&|a| a.output = other.output.clone()).contains("OutputValue"));
    // The one whose tokens are of another text.
    let swapped = Prompt::tokens(vec![2, 5, 3], 0).unwrap().encode().unwrap();
    let swapped = String::from_utf8(swapped).unwrap();
    let swapped = swapped.replace("\"choice\":0,", "\"choice\":0,\"text\":\"the\",");
    assert!(refuted(&|a| a.input = swapped.clone().into_bytes()).contains("Prompt"));
    // The one that did not run, or ran another model.
    let elsewhere = answer(&embedder(3), words("the"), 0);
    assert!(refuted(&|a| a.trace = elsewhere.trace).contains("Trace"));
    // The one that counts more than there was.
    assert!(refuted(&|a| a.counts.input += 1).contains("InputCount"));
    assert!(refuted(&|a| a.counts.output = 2).contains("OutputCount"));
    // Those that claim what no encoder does.
    assert!(refuted(&|a| a.finish = FinishReason::Stop).contains("Finish"));
    assert!(refuted(&|a| a.params = vec![2, 0, 0, 0, 0]).contains("Malformed"));
    let chat = br#"{"chat":{"add_generation_prompt":true,"extra":{},"messages":[]},"choice":0,"tokens":[2,4,3],"version":1}"#;
    assert!(refuted(&|a| a.input = chat.to_vec()).contains("Conversation"));
    let long = vec![4; usize::try_from(EMBEDDING_CONTEXT).unwrap() + 1];
    let long = Prompt::tokens(long, 0).unwrap().encode().unwrap();
    let too_long = refuted(&|a| {
        a.input = long.clone();
        a.counts.input = u64::from(EMBEDDING_CONTEXT) + 1;
    });
    assert!(too_long.contains("Context"), "{too_long}");
}

#[test]
fn texts_side_by_side_are_each_alone() {
    let encoder = embedder(4);
    let texts: Vec<Vec<u32>> = (1..30)
        .map(|len| (0..len).map(|t| t * 7 % 50).collect())
        .collect();
    let slices: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let together = encoder.run(&slices).unwrap();
    for (text, got) in slices.iter().zip(&together) {
        assert_eq!(got, &encoder.run(&[text]).unwrap()[0]);
        assert_eq!(
            got.vector().len(),
            usize::try_from(EMBEDDING_WIDTH).unwrap()
        );
    }
    assert!(encoder.run(&[&[9999]]).is_err());
    assert_eq!(encoder.run(&[]).unwrap(), []);
}

#[test]
fn a_model_of_the_other_kind_is_refused() {
    let engine = Engine::new(Arc::new(speaking(1)), options()).unwrap();
    assert!(Embedder::new(engine).is_err());
    let engine = Engine::new(Arc::new(embedding(1)), options()).unwrap();
    assert!(credence_generate::Language::new(engine).is_err());
}
