//! Figures of a spot check for a language model's file: sizes, times, and what the operator's rerun costs.
//!
//! `cargo run --release -p credence-prove-spot --example figures -- model.safetensors [answer tokens] [cells]`
//!
//! It answers one prompt greedily, claims it, runs it again, opens cells and checks them. It deliberately writes no file.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints what it measured, and stops where something fails"
)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use credence_base::{Profile, SigningKey};
use credence_claim::{
    Case, Claim, ClaimFields, Commitments, Counts, FinishReason, Method as _, Opened, Openings,
    Roots, Salts, SeedSource, commitment,
};
use credence_exec::sampling::{Parameters, Settings};
use credence_exec::{Append, Engine, Isa, Options};
use credence_generate::{Content, Finish, Generation, Language, Limits, Prompt};
use credence_method_spot::{
    Card, Cell, Challenge, Demand, Evidence, Extent, Layout, Spot, Tree, opening_size,
};
use credence_model::Model;
use credence_prove_spot::{Carry, Opener};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap();
    let mut number = |usual: u32| arguments.next().map_or(usual, |text| text.parse().unwrap());
    let (length, cells) = (number(128), number(64));
    let (model, _) = Model::from_safetensors(&std::fs::read(path).unwrap()).unwrap();
    let model = Arc::new(model);
    let options = Options {
        threads: NonZeroUsize::new(2).unwrap(),
        isa: Isa::detect(),
    };
    let (claim, operator, openings) = answer(&model, options, length);
    let case = Case::check(&claim, &operator, &openings).unwrap();

    let start = Instant::now();
    let opener = Opener::new(&model, options).unwrap();
    println!("prepare the model            {:>9.1?}", start.elapsed());
    let start = Instant::now();
    let rerun = opener.rerun(&case).unwrap();
    println!(
        "run again                    {:>9.1?}  ({} bytes of trace)",
        start.elapsed(),
        rerun.trace_bytes()
    );
    let start = Instant::now();
    let evidence = rerun.evidence(&Challenge::Claim, (cells, 1), Carry::Nothing);
    let evidence = evidence.unwrap();
    let bytes = evidence.encode().unwrap();
    println!("open                         {:>9.1?}", start.elapsed());
    sizes(&evidence, bytes.len());
    let no_rows = rerun.prove(&Challenge::Auditor([1; 32]), (cells, 0), Carry::Nothing);
    println!(
        "evidence, no token drawn     {:>9} bytes",
        no_rows.unwrap().len()
    );

    largest(&model);
    let card_bytes = opener.card(false).unwrap();
    let start = Instant::now();
    let card = Card::decode(model.id(), &card_bytes).unwrap();
    println!(
        "check the card               {:>9.1?}  ({} bytes)",
        start.elapsed(),
        card_bytes.len()
    );
    let text_bytes = opener.card(true).unwrap();
    let start = Instant::now();
    let with_text = Card::decode(model.id(), &text_bytes).unwrap();
    println!(
        "check the card with its text {:>9.1?}  ({} bytes)",
        start.elapsed(),
        text_bytes.len()
    );
    let demand = Demand {
        bits: cells.min(128),
        ..Demand::USUAL
    };
    for (name, card) in [("", card), (", and the words", with_text)] {
        let spot = Spot::new(vec![card], demand, Challenge::Claim).unwrap();
        let mut best = core::time::Duration::MAX;
        for _ in 0..50 {
            let start = Instant::now();
            spot.check(&case, Some(&bytes)).unwrap();
            best = best.min(start.elapsed());
        }
        println!("verify{name:<23}{best:>9.1?}  (best of 50)");
    }
}

/// The cells that take most to open at the end of the model's context, by node.
fn largest(model: &Model) {
    let program = model.program();
    let Some(language) = &program.spec().language else {
        return;
    };
    let extent = Extent {
        positions: language.context.into(),
        sampled_from: 0,
    };
    let layout = Layout::new(program, extent).unwrap();
    let mut all = Vec::new();
    let mut failed = 0;
    for (node, spec, shape) in program.nodes().filter(|(_, spec, _)| spec.cut) {
        for index in (0..shape.cells()).step_by((shape.cells() / 100).max(1)) {
            let cell = Cell {
                position: extent.positions - 1,
                node,
                index,
            };
            match opening_size(&layout, cell) {
                Ok(size) => all.push((size.total(), size, spec.name.clone())),
                Err(_) => failed += 1,
            }
        }
    }
    all.sort_by_key(|(total, _, _)| core::cmp::Reverse(*total));
    for (total, size, name) in all.iter().take(4) {
        println!(
            "largest opening of a cell    {total:>9} bytes: {name} ({} of content)",
            size.content
        );
    }
    println!("  of {} cells; {failed} not counted", all.len());
}

fn sizes(evidence: &Evidence, total: usize) {
    println!("evidence                     {total:>9} bytes");
    for tree in &evidence.trees {
        let chunks: u64 = tree.runs.iter().map(|run| run.chunks).sum();
        let name = match tree.tree {
            Tree::Weights => "weights",
            Tree::Positions => "positions",
            Tree::Keys => "keys",
            Tree::Values => "values",
            Tree::Sampled => "sampled",
        };
        println!(
            "  {name:<12} {:>6} runs {chunks:>6} chunks {:>8} packed {:>8} of chaining values",
            tree.runs.len(),
            tree.packed.len(),
            tree.values.len() * 32
        );
    }
}

fn answer(
    model: &Arc<Model>,
    options: Options,
    length: u32,
) -> (Claim, credence_base::PublicKey, Openings) {
    let engine = Engine::new(Arc::clone(model), options).unwrap();
    let language = Language::new(engine).unwrap();
    let settings = Settings {
        temperature: 0,
        // The end token is kept out, so that the answer has the length asked for.
        ..Settings::neutral(length)
    };
    let parameters = Parameters::new(settings).unwrap();
    let content = Content::Text("Once upon a time, in a village between two hills,".to_owned());
    let prompt = Prompt::new(content, 0, language.text()).unwrap();
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: language.context(),
    };
    let mut generation = Generation::new(language.text(), &parameters, ([0; 32], 0), limits);
    let mut session = language.engine().session().unwrap();
    let mut next = prompt.ids().to_vec();
    let start = Instant::now();
    while generation.finish().is_none() {
        let mut drawn = None;
        let mut appends = [Append {
            session: &mut session,
            tokens: &next,
            sampled: 1,
        }];
        let mut sink = |_: usize, _: usize, logits: &[i32]| {
            drawn = Some(generation.step(logits).unwrap());
        };
        language.engine().advance(&mut appends, &mut sink).unwrap();
        next = vec![drawn.unwrap().token];
    }
    println!(
        "generate                     {:>9.1?}  ({} prompt tokens, {} answered)",
        start.elapsed(),
        prompt.ids().len(),
        generation.tokens().len()
    );
    let finish = match generation.finish() {
        Some(Finish::Stop) => FinishReason::Stop,
        _ => FinishReason::Length,
    };
    let count = |n: usize| u64::try_from(n).unwrap();
    let counts = Counts {
        input: count(prompt.ids().len()),
        output: count(generation.tokens().len()),
    };
    let contents = [
        prompt.encode().unwrap(),
        parameters.encode(),
        generation.output().encode().unwrap(),
    ];
    claim(model, contents, (session.trace_root(), counts, finish))
}

fn claim(
    model: &Model,
    [input, params, output]: [Vec<u8>; 3],
    (trace, counts, finish): (credence_base::TraceRoot, Counts, FinishReason),
) -> (Claim, credence_base::PublicKey, Openings) {
    let operator = SigningKey::from_seed(&[1; 32]).public_key();
    let salts = Salts::derive(&[2; 32]);
    let roots = Roots {
        input: commitment::input_root(&input),
        params: commitment::params_root(&params),
        output: commitment::output_root(&output),
        trace,
    };
    let commitments = Commitments::new(&operator, &salts, &roots);
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model: model.id(),
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts,
        finish,
        nonce: None,
        seed: SeedSource::Nothing,
        constrained: None,
    });
    let opened = |salt, content| Some(Opened { salt, content });
    let openings = Openings {
        input: opened(salts.input, input),
        params: opened(salts.params, params),
        output: opened(salts.output, output),
        trace: Some(salts.trace),
    };
    (claim.unwrap(), operator, openings)
}
